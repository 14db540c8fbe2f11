"""Whether the unblurred steps of an image were drawn on it: what its kernels say.

Kernels are fitted without the places of such steps first (`Measured.with_steps`). If
the kernel that is found is too wide for unblurred steps, they were drawn. If it is not,
a kernel is fitted with them, too. It is about the same for a picture that is so sharp,
and much narrower where the steps are sharper than the rest of the picture.
"""

import numpy as np

from kernelgan_jax import equivalent_gaussian
from kernelgan_jax.estimators.spectral.best import Fits
from kernelgan_jax.estimators.spectral.families import GAUSSIAN
from kernelgan_jax.estimators.spectral.measured import Measured

NARROW = 0.5
"""Standard deviation of kernels that leave steps unblurred, LR pixels: two thirds of a
step are then between two pixels."""

NARROWER = 0.5
"""A kernel is much narrower if its smaller variance is less than this part of the
other's."""


def with_steps(measured: Measured, fits: Fits, *, scale: int) -> Measured | None:
    """What is to be fitted, too, as there may be unblurred steps in the picture.

    Args:
      measured: The measurements.
      fits: Their fits.
      scale: As of the fits.

    Returns:
      The measurements with the steps; None if there are none, or if they were drawn.
    """
    if measured.with_steps is None:
        return None
    forbidden = _least_variance(fits, scale) >= (NARROW * scale) ** 2
    return None if forbidden else measured.with_steps


def were_drawn(without: Fits, with_them: Fits, *, scale: int) -> bool:
    """Whether steps are sharper than the rest of the picture.

    Args:
      without: The fits without the places of the steps.
      with_them: The fits with these.
      scale: As of the fits.
    """
    narrow = _least_variance(with_them, scale)
    return narrow < NARROWER * _least_variance(without, scale)


def _least_variance(fits: Fits, scale: int) -> float:
    """Smaller variance of the Gaussian along rows and columns, pixels^2; 0 if it is not
    finite."""
    kernel = np.asarray(fits.families.kernel[GAUSSIAN])
    if not np.isfinite(kernel).all():
        return 0.0
    variances = np.diag(equivalent_gaussian.covariance(kernel, scale=scale))
    return max(float(variances.min()), 0.0)
