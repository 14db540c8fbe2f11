"""The best settings for scale 4; see x2.py.

python main.py --config=configs/x4.py --image=photo.png
"""

from kernelgan_jax.presets.x4 import get_config

__all__ = ["get_config"]
