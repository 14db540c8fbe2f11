"""The best settings for scale 2: the spectral kernel, and super-resolution with it."""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(scale=2)))
