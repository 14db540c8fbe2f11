"""The best we have for the x3 kernel, and super-resolution with it: see x2.py.

python main.py --config=configs/x3.py --image=photo.png
"""

import dataclasses

from ml_collections import ConfigDict

from kernelgan_jax.config import BEST


def get_config() -> ConfigDict:
    return ConfigDict(dataclasses.replace(BEST, scale=3).asdict())
