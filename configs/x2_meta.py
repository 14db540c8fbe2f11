"""KernelGAN from a meta-learned start: the x2 kernel in 200 steps.

python main.py --config=configs/x2_meta.py --image=photo.png

The idea of MetaKernelGAN (Lee et al., "Meta-Learned Kernel For Blind Super-Resolution
Kernel Estimation", WACV 2024): both networks start from weights that were trained on
photographs whose kernels are known.
"""

from kernelgan_jax.presets.x2_meta import get_config

__all__ = ["get_config"]
