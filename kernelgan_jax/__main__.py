"""`python -m kernelgan_jax`: the command of `app/cli.py`."""

import sys

from kernelgan_jax.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
