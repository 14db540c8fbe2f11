"""KernelGAN as published: the x2 kernel of a synthetically downscaled image."""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(estimator="kernelgan")))
