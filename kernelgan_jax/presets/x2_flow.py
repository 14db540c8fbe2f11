"""KernelGAN-FKP: the x2 kernel, with a normalising flow as generator.

python main.py --config=configs/x2_flow.py --image=photo.png

Liang, Zhang, Gu, Van Gool, Timofte, "Flow-based Kernel Prior with Application to Blind
Super-Resolution", CVPR 2021: the latent code of the kernel is trained in place of
weights, for fewer steps, without warm start and penalties.

Measured on 2 CPU cores on 2026-11-25: a sixth of the time of configs/x2_paper.py,
kernel PSNR 53.49 dB on 24 Kodak images x 3 seeds (benchmarks/kodakrk.md).
"""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config
from kernelgan_jax.estimators.kernelgan.config import FLOW


def get_config() -> ConfigDict:
    return ConfigDict(asdict(Config(estimator="kernelgan", kernelgan=FLOW)))
