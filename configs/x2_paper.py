"""KernelGAN as published: the x2 kernel of a synthetically downscaled image.

python main.py --config=configs/x2_paper.py --image=photo.png

Measured on 2 CPU cores on 2026-11-25: kernel PSNR 52.78 dB on 24 Kodak images x 3 seeds
(benchmarks/kodakrk.md); 11 s for each image.
"""

from kernelgan_jax.presets.x2_paper import get_config

__all__ = ["get_config"]
