"""KernelGAN's x4 kernel, which follows from its x2 kernel (paper, section 4.2).

python main.py --config=configs/x4_paper.py --image=photo.png
"""

from kernelgan_jax.presets.x4_paper import get_config

__all__ = ["get_config"]
