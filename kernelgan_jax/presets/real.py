"""Photographs as cameras and the web leave them: nothing is taken for certain."""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config
from kernelgan_jax.super_resolution.deep_wiener.config import DeepWienerConfig


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(deep_wiener=DeepWienerConfig(kernel_std=0.2))))
