"""Whether the unblurred steps of an image were drawn on it: what its kernels say.

Kernels are fitted without the places of such steps, and with them. A picture that is so
sharp itself is explained about as well with them, by about the same kernel. If they
were drawn, the spectrum with them is that of no picture, and the kernel that is found
without them is too wide for unblurred steps, or the other is much narrower.
"""

import numpy as np

from kernelgan_jax import equivalent_gaussian
from kernelgan_jax.estimators.spectral.best import Fits
from kernelgan_jax.estimators.spectral.families import GAUSSIAN

LESS_LIKELY = 1.4
"""Loss with steps that were drawn, relative to that without them, at least. On Kodak
images after JPEG of quality 90 it was 1.65 to 5 with subtitles and bars (14 images) and
1.58 to 4.4 with a page of text around them (8), on 24 without any that were downscaled
bicubically up to 1.25."""

NARROW = 0.5
"""Standard deviation of kernels that leave steps unblurred, LR pixels: two thirds of a
step are then between two pixels."""

NARROWER = 0.5
"""A kernel is much narrower if its smaller variance is less than this part of the
other's."""


def were_drawn(without: Fits, with_them: Fits, *, scale: int) -> bool:
    """Whether steps were drawn, and are not the picture's.

    Args:
      without: The fits without the places of the steps.
      with_them: The fits with these.
      scale: As of the fits.
    """
    if _least_loss(with_them) <= LESS_LIKELY * _least_loss(without):
        return False
    least = _least_variance(without, scale)
    forbidden = least >= (NARROW * scale) ** 2
    return forbidden or _least_variance(with_them, scale) < NARROWER * least


def _least_loss(fits: Fits) -> float:
    """Loss of the best family; infinite if there is none."""
    losses = np.asarray(fits.families.loss)
    return float(np.where(np.isfinite(losses), losses, np.inf).min())


def _least_variance(fits: Fits, scale: int) -> float:
    """Smaller variance of the Gaussian along rows and columns, pixels^2; 0 if it is not
    finite."""
    kernel = np.asarray(fits.families.kernel[GAUSSIAN])
    if not np.isfinite(kernel).all():
        return 0.0
    variances = np.diag(equivalent_gaussian.covariance(kernel, scale=scale))
    return max(float(variances.min()), 0.0)
