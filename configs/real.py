"""Photographs as cameras and the web leave them: nothing is taken for certain.

python main.py --config=configs/real.py --image=photo.jpg

Noise and JPEG are found in each image, as always. But cameras sharpen and denoise, so a
kernel is never as certain as its posterior says: the network is told that its width is
uncertain by 20 % at least. Where estimated kernels are right, this loses 0.3 dB on 24
Kodak images (docs/deep_wiener.md).
"""

from kernelgan_jax.presets.real import get_config

__all__ = ["get_config"]
