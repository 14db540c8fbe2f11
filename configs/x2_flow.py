"""KernelGAN-FKP: the x2 kernel, with a normalising flow on Gaussian kernels as generator.

python main.py --config=configs/x2_flow.py --image=photo.png

Liang, Zhang, Gu, Van Gool, Timofte, "Flow-based Kernel Prior with Application to Blind
Super-Resolution", CVPR 2021: the latent code of the kernel is trained instead of weights,
without warm start and penalties, which the flow makes needless, and for fewer steps.
"""

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(
        Config(
            prior="flow",
            iterations=600,
            decay_every=300,
            generator_learning_rate=1e-3,
            bicubic_weight=0.0,
            sum_weight=0.0,
            boundary_weight=0.0,
            centre_weight=0.0,
            sparsity_weight=0.0,
        ).asdict()
    )
