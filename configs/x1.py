"""Deblurring: the kernel of a plain blur, and the image restored at its own size.

python main.py --config=configs/x1.py --image=photo.png
"""

from kernelgan_jax.presets.x1 import get_config

__all__ = ["get_config"]
