"""The paper's settings, for the x2 kernel of a synthetically downscaled image.

python main.py --config=configs/x2.py --image=photo.png
"""

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(Config().asdict())
