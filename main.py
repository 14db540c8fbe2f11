"""Finds the kernels that images were downscaled with, and super-resolves them.

python main.py --config=configs/x2.py --image=photo.png
"""

from kernelgan_jax.__main__ import command

if __name__ == "__main__":
    command()
