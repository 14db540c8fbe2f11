"""The page of `kernelgan-jax web` as a Hugging Face Space, which listens at 7860."""

import sys

from kernelgan_jax.__main__ import command

if __name__ == "__main__":
    sys.argv[1:] = ["web", "--host=0.0.0.0", "--port=7860", "--max_mb=20"]
    command()
