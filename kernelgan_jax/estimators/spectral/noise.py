"""The noise of an image, from its fitted spectrum and JPEG's blocks."""

import numpy as np
import scipy.ndimage

from kernelgan_jax import square_extremes
from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.pixels import LUMA_NORM, own_channels

JPEG_NOISE = 3.0
"""Smallest noise that is assumed for an image with JPEG's blocks, gray levels. At
qualities 90 and 75, super-resolution trained with noise of this standard deviation was
the best on four images (2, 3, 4 and 6 were tried)."""

FULL_JPEG = 0.15
"""Strength of JPEG from which that is so: quality 85."""

BLOCK = 16
"""Side of the blocks of which the flattest show the noise."""

FLATTEST = 5
"""Percentile of the blocks' noise that counts."""

FLAT_FACTOR = 1.25
"""The flattest blocks of white noise show somewhat less than its standard deviation:
0.85 to 0.9 of it on Kodak images with noise of 1 to 10 gray levels."""


def flat_noise_std(gray: np.ndarray, *, unusable: np.ndarray | None = None) -> float:
    """Standard deviation of the noise in the flattest parts of an image, gray levels.

    White noise is the same everywhere: there is no more of it than this. What a narrow
    kernel leaves of aliasing looks like noise in the spectrum, but is not in flat
    parts. Blocks with black or white pixels, and those without any change, are left
    out.

    Args:
      gray: `H x W` in gray levels.
      unusable: `H x W` bool: blocks with such pixels are left out, too.

    Returns:
      The noise; infinite if there are too few blocks.

    References:
      Immerkaer, "Fast Noise Variance Estimation", CVIU 1996, for the filter.
    """
    second = np.array([1.0, -2.0, 1.0])
    detail = gray.astype(np.float64)
    for axis in (0, 1):
        detail = scipy.ndimage.correlate1d(detail, second, axis)
    square = scipy.ndimage.uniform_filter((detail / 6) ** 2, BLOCK)
    clipped = (gray <= 0.5) | (gray >= 254.5)
    if unusable is not None:
        clipped |= unusable
    clipped = square_extremes.maximum(clipped, BLOCK)
    middle = slice(BLOCK, -BLOCK, BLOCK // 2)
    usable = ~clipped[middle, middle] & (square[middle, middle] > 1e-4)
    if usable.sum() < 20:
        return float("inf")
    variance = np.percentile(square[middle, middle][usable], FLATTEST)
    return FLAT_FACTOR * float(np.sqrt(variance))


def rounding_noise_std(image: np.ndarray, steps: int) -> float:
    """Standard deviation of a gray image's rounding noise, gray levels.

    Args:
      image: `H x W x C` in its own range.
      steps: Number of steps that its range has.
    """
    step = 255 / max(steps, 1)
    return step / 12**0.5 * (1.0 if _is_gray(image) else LUMA_NORM)


def _is_gray(image: np.ndarray) -> bool:
    return len(own_channels(image).kept) == 1


def channel_noise_std(spectrum: Spectrum, image: np.ndarray, *, jpeg: float) -> float:
    """Standard deviation of each channel's noise, as a fraction of the own range.

    In a colour image the noise of the channels is taken to be independent, so that the
    gray image has 0.67 times as much of it.

    Args:
      spectrum: Fitted spectrum of the gray image.
      image: `H x W x C`.
      jpeg: Strength of JPEG compression; the noise is at least `jpeg_noise_std`.
    """
    gray_noise = float(np.exp(spectrum.log_noise / 2))
    noise = gray_noise / (1 if _is_gray(image) else LUMA_NORM)
    return max(noise, jpeg_noise_std(jpeg)) / 255


def jpeg_noise_std(strength: float) -> float:
    """Noise that super-resolution assumes after JPEG, gray levels.

    Args:
      strength: Of the compression; from `FULL_JPEG` on the noise is `JPEG_NOISE`, below
        it in proportion.
    """
    return JPEG_NOISE * min(strength / FULL_JPEG, 1)
