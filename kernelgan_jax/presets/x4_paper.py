"""KernelGAN's x4 kernel, which follows from its x2 kernel (paper, section 4.2)."""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(estimator="kernelgan", scale=4)))
