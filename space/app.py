"""The page of `kernelgan-jax web` as a Hugging Face Space, which listens at 7860."""

import sys

from kernelgan_jax.app.cli import main

if __name__ == "__main__":
    sys.exit(main(["web", "--host=0.0.0.0", "--port=7860", "--max_mb=20"]))
