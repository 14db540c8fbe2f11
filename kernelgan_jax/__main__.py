"""The programs: `kernelgan-jax`, also `python -m kernelgan_jax`, and the benchmark's.

They need packages that the library does not, which is looked at here, before anything
imports them.
"""

import importlib.util
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import NoReturn

COMMAND_PACKAGES = {
    "absl": "absl-py",
    "imagecodecs": "imagecodecs",
    "matplotlib": "matplotlib",
    "ml_collections": "ml_collections",
    "PIL": "pillow",
    "tifffile": "tifffile",
    "tqdm": "tqdm",
}
"""The modules that every command needs, with the names of the packages in the extra
`command`."""

LARGER_EXTRAS = ("benchmark", "web")
"""Commands that need more than the extra `command`; their extras have their names."""

_PATIENCE = 2.0
"""Seconds in which threads may end their work after a signal has ended the run."""


def command() -> NoReturn:
    """The program `kernelgan-jax`: runs a command and ends the process."""
    _multiply_in_one_thread()
    _end(main())


def benchmark_command() -> NoReturn:
    """The program `kernelgan-benchmark`: runs it and ends the process."""
    _multiply_in_one_thread()
    _end(benchmark())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status.

    Args:
      argv: The arguments without the program's name; by default those of the process.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    first = argv[0] if argv else ""
    if _misses_packages(first if first in LARGER_EXTRAS else "command"):
        return 2
    from kernelgan_jax.app import cli
    from kernelgan_jax.app.commands import BENCHMARK

    if first == BENCHMARK:
        from kernelgan_jax.benchmark import cli as benchmark_cli

        return benchmark_cli.main(argv[1:], program=f"{cli.program()} {BENCHMARK}")
    return cli.main(argv)


def benchmark() -> int:
    """Runs the benchmark; returns its exit status."""
    if _misses_packages("benchmark"):
        return 2
    from kernelgan_jax.benchmark import cli

    return cli.main()


def _multiply_in_one_thread() -> None:
    """Has NumPy and SciPy, not loaded yet, multiply matrices in the thread that asks.

    While threads of their own wait for more, they occupy cores that other images and
    compilations run on; and what they sum depends on their number, in the last bits.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _end(status: int) -> NoReturn:
    """Ends the process; after a signal without waiting for what cannot be stopped.

    Python waits for its threads, and a compilation in one of them may take 20 seconds.
    What such a thread leaves half written lies in a hidden folder, which the next run
    removes.
    """
    if status > 128:
        deadline = time.monotonic() + _PATIENCE
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    os._exit(status)
    sys.exit(status)


def _misses_packages(extra: str) -> bool:
    """Whether packages of every command are missing; says which extra brings them."""
    missing = [
        package
        for module, package in COMMAND_PACKAGES.items()
        if importlib.util.find_spec(module) is None
    ]
    if missing:
        from kernelgan_jax.app.terminal import print_error

        print_error(
            f"kernelgan-jax needs {', '.join(missing)}: "
            f'pip install "kernelgan-jax[{extra}]"'
        )
    return bool(missing)


if __name__ == "__main__":
    command()
