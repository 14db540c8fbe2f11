"""KernelGAN from a meta-learned start: the x2 kernel in 200 steps."""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config
from kernelgan_jax.estimators.kernelgan.config import META


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(estimator="kernelgan", kernelgan=META)))
