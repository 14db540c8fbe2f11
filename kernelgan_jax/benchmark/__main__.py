"""The benchmark as a module: `python -m kernelgan_jax.benchmark`."""

import sys

from kernelgan_jax.__main__ import benchmark

if __name__ == "__main__":
    sys.exit(benchmark())
