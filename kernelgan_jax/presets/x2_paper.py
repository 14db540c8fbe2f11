"""KernelGAN as published: the x2 kernel of a synthetically downscaled image.

python main.py --config=configs/x2_paper.py --image=photo.png

Measured on 2 CPU cores on 2026-11-25: kernel PSNR 52.78 dB on 24 Kodak images x 3 seeds
(benchmarks/kodakrk.md); 11 s for each image.
"""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(estimator="kernelgan")))
