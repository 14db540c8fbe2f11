"""The x2 kernel alone: seconds of compilation, then 0.5 s for each image.

python main.py --config=configs/x2_spectral.py --image=photo.png
"""

from kernelgan_jax.presets.x2_spectral import get_config

__all__ = ["get_config"]
