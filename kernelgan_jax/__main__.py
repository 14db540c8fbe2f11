"""`python -m kernelgan_jax`."""

import sys

from kernelgan_jax.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
