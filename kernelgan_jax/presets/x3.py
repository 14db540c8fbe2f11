"""The best settings for scale 3; see x2.py.

python main.py --config=configs/x3.py --image=photo.png
"""

from kernelgan_jax.config import Config


def get_config() -> Config:
    return Config(scale=3)
