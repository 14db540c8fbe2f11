"""The best settings for scale 3; see x2.py.

python main.py --config=configs/x3.py --image=photo.png
"""

from kernelgan_jax.presets.x3 import get_config

__all__ = ["get_config"]
