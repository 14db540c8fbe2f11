"""Camera photos: all pixels are trained on, as their borders were never resampled.

python main.py --config=configs/real.py --image=photo.jpg
"""

from ml_collections import ConfigDict

from kernelgan_jax.config import Config


def get_config() -> ConfigDict:
    return ConfigDict(Config(border=0).asdict())
