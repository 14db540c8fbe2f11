"""The best settings for scale 2: the spectral kernel, and super-resolution with it.

python main.py --config=configs/x2.py --image=photo.png

The kernel is that of the likelihood of the image's power spectrum (docs/spectral.md).

Measured on 2 CPU cores on 2026-11-29: kernel PSNR 59.72 dB, worst 56.11, on 24 Kodak
images; SR 31.77 dB, 32.62 with the true kernels (docs/accuracy.md).
"""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(scale=2)))
