"""Deblurring: the kernel of a plain blur, and the image restored at its own size."""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(scale=1)))
