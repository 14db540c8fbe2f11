"""Camera photos: trained with noise, and not made to agree with the noisy image.

python main.py --config=configs/real.py --image=photo.jpg
"""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config
from kernelgan_jax.super_resolution.zssr.config import ZSSRConfig


def get_config() -> ConfigDict:
    return ConfigDict(
        asdict(Config(zssr=ZSSRConfig(noise_std=0.0125, back_projections=0)))
    )
