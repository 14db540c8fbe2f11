"""The benchmark as a module: `python -m kernelgan_jax.benchmark`."""

import sys

from kernelgan_jax.benchmark.cli import main

if __name__ == "__main__":
    sys.exit(main())
