"""Photographs as cameras and the web leave them: nothing is taken for certain.

python main.py --config=configs/real.py --image=photo.jpg

Noise and JPEG are found in each image, as always. But a camera interpolates colours,
removes noise and sharpens, which leaves errors of its own at edges and in texture, and
kernels that are not as certain as their posteriors say. So the network is told of 20 %
uncertainty of the kernel's width and of 10 gray levels of noise at least, and its
result is mixed with that of the Wiener filter (docs/deep_wiener.md has what that gains
and costs).
"""

from kernelgan_jax.presets.real import get_config

__all__ = ["get_config"]
