"""KernelGAN from a meta-learned start: the x2 kernel in 200 steps.

python main.py --config=configs/x2_meta.py --image=photo.png

The idea of MetaKernelGAN (Lee et al., "Meta-Learned Kernel For Blind Super-Resolution
Kernel Estimation", WACV 2024): both networks start from weights that were trained on
photographs whose kernels are known.
"""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config
from kernelgan_jax.estimators.kernelgan.config import META


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(estimator="kernelgan", kernelgan=META)))
