"""The paper's ablation: one 13 x 13 filter in place of the deep linear generator.

python main.py --config=configs/ablation_single_layer.py --image=photo.png
"""

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(Config(generator_kernels=(13,)).asdict())
