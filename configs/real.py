"""Camera photos: trained with noise, and not made to agree with the noisy image.

python main.py --config=configs/real.py --image=photo.jpg
"""

from kernelgan_jax.presets.real import get_config

__all__ = ["get_config"]
