"""The program `kernelgan-jax`, also `python -m kernelgan_jax`: chooses the command."""

import sys
from collections.abc import Sequence

from kernelgan_jax.app import cli
from kernelgan_jax.app.commands import BENCHMARK


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status.

    Args:
      argv: The arguments without the program's name; by default those of the process.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == [BENCHMARK]:
        from kernelgan_jax.benchmark import cli as benchmark

        return benchmark.main(argv[1:], program=f"{cli.program()} {BENCHMARK}")
    return cli.main(argv)


if __name__ == "__main__":
    sys.exit(main())
