"""Photographs as cameras and the web leave them: nothing is taken for certain.

python main.py --config=configs/real.py --image=photo.jpg

Noise and JPEG are found in each image, as always. But a camera interpolates colours,
removes noise and sharpens, which leaves errors of its own at edges and in texture, and
kernels that are not as certain as their posteriors say. So the network is told of 20 %
uncertainty of the kernel's width and of 10 gray levels of noise at least, and its
result is mixed with that of the Wiener filter (docs/deep_wiener.md has what that gains
and costs).
"""

from dataclasses import asdict

from ml_collections import ConfigDict

from kernelgan_jax.config import Config
from kernelgan_jax.super_resolution.deep_wiener.config import DeepWienerConfig


def get_config() -> ConfigDict:
    settings = DeepWienerConfig(kernel_std=0.2, noise_std=0.04, strength=0.7)
    return ConfigDict(asdict(Config(deep_wiener=settings)))
