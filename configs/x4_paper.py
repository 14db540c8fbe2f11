"""The x4 kernel, which follows analytically from the x2 kernel (paper, section 4.2).

python main.py --config=configs/x4_paper.py --image=photo.png
"""

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(Config(scale=4).asdict())
