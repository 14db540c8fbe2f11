"""KernelGAN-FKP: the x2 kernel, with a normalising flow as generator."""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config
from kernelgan_jax.estimators.kernelgan.config import FLOW


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(estimator="kernelgan", kernelgan=FLOW)))
