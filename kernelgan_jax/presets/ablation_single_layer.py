"""The paper's ablation: one 13 x 13 filter in place of the deep linear generator."""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig


def get_config() -> ConfigDict:
    return ConfigDict(
        asdict(
            Config(
                estimator="kernelgan",
                kernelgan=KernelGANConfig(generator_kernels=(13,)),
            )
        )
    )
