"""KernelGAN from a meta-learned start: the x2 kernel in 200 steps.

python main.py --config=configs/x2_meta.py --image=photo.png

The idea of MetaKernelGAN (Lee et al., "Meta-Learned Kernel For Blind Super-Resolution
Kernel Estimation", WACV 2024): both networks start from weights that were trained on
photographs whose kernels are known.

Measured on 2026-11-27: kernel PSNR 54.91 dB on 24 Kodak images x 2 seeds, of which the
start alone has 54.80 (benchmarks/meta_start.md); 1.4 s of processor time.
"""

from kernelgan_jax.presets.x2_meta import get_config

__all__ = ["get_config"]
