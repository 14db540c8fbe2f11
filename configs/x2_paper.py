"""KernelGAN as published: the x2 kernel of a synthetically downscaled image.

python main.py --config=configs/x2_paper.py --image=photo.png

Measured on 2 CPU cores on 2026-11-24: 11 s an image; kernel PSNR 53.05 dB on 24 Kodak
images x 3 seeds (benchmarks/README.md).
"""

from ml_collections import ConfigDict

from kernelgan_jax.config import DEFAULT


def get_config() -> ConfigDict:
    return ConfigDict(DEFAULT.asdict())
