"""The noise of an image, from its fitted spectrum and JPEG's blocks."""

import numpy as np

from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.pixels import LUMA

JPEG_NOISE = 3.0
"""Smallest noise that is assumed for an image with JPEG's blocks, gray levels. At
qualities 90 and 75, super-resolution trained with noise of this standard deviation was
the best on four images (2, 3, 4 and 6 were tried)."""


def channel_noise_std(spectrum: Spectrum, image: np.ndarray, *, jpeg: bool) -> float:
    """Standard deviation of the noise in each channel, as a fraction of the range.

    In a colour image the noise of the channels is taken to be independent, so that the
    gray image has 0.67 times as much of it.

    Args:
      spectrum: Fitted spectrum of the gray image.
      image: `H x W x C`.
      jpeg: Whether the image shows JPEG's blocks; the noise is then at least
        `JPEG_NOISE`.
    """
    is_gray = bool((image == image[..., :1]).all())
    gray_noise = float(np.exp(spectrum.log_noise / 2))
    noise = gray_noise / (1 if is_gray else float(np.linalg.norm(LUMA)))
    return max(noise, JPEG_NOISE if jpeg else 0) / 255
