"""The best settings for scale 2: the spectral kernel, and super-resolution with it.

python main.py --config=configs/x2.py --image=photo.png

The kernel is that of the likelihood of the image's power spectrum (docs/spectral.md).

Measured on 2 CPU cores on 2026-11-29: kernel PSNR 59.72 dB, worst 56.11, on 24 Kodak
images; SR 31.75 dB, 32.61 with the true kernels (docs/accuracy.md).
"""

from kernelgan_jax.presets.x2 import get_config

__all__ = ["get_config"]
