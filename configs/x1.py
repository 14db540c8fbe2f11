"""Deblurring at scale 1; see x2.py.

python main.py --config=configs/x1.py --image=photo.png
"""

from kernelgan_jax.presets.x1 import get_config

__all__ = ["get_config"]
