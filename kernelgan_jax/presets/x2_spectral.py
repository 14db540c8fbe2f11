"""The x2 kernel alone: seconds of compilation, then 0.5 s for each image."""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(sr="none")))
