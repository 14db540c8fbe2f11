"""The best we have for the x2 kernel, and super-resolution with it.

python main.py --config=configs/x2.py --image=photo.png

The kernel is that of the likelihood of the image's power spectrum; figures in
benchmarks/README.md.
"""

from ml_collections import ConfigDict

from kernelgan_jax.config import BEST


def get_config() -> ConfigDict:
    return ConfigDict(BEST.asdict())
