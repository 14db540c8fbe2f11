"""Whether the unblurred steps of an image were drawn on it: what its kernels say.

Kernels are fitted without the places of such steps, and with them. A picture that is so
sharp itself has a narrow kernel, or is explained about as well with them and does not
speak against the kernel that is then found: its other parts are soft. If the steps were
drawn, the spectrum with them is that of no picture, or the rest rules its kernel out.
"""

import math

import numpy as np

from kernelgan_jax import equivalent_gaussian
from kernelgan_jax.estimators.spectral.best import Fits

LESS_LIKELY = 1.5
"""Steps were drawn if the loss of the rest grows by this factor with the kernel that is
found with them. How much larger the loss of all is than that of the rest counts as
well, by its square root."""

NARROW = 0.5
"""Standard deviation of kernels that leave steps unblurred, LR pixels: two thirds of a
step are then between two pixels."""


def allows_steps(kernel: np.ndarray, *, scale: int) -> bool:
    """Whether a kernel, `n x n`, leaves steps along rows or columns unblurred."""
    if not np.isfinite(kernel).all():
        return False
    variances = np.diag(equivalent_gaussian.covariance(kernel, scale=scale))
    return bool(variances.min() < (NARROW * scale) ** 2)


def were_drawn(without: float, with_them: float, crossed: float) -> bool:
    """Whether steps were drawn, and are not the picture's.

    Args:
      without: Loss without the places of the steps; infinite if no fit succeeded.
      with_them: Loss with these.
      crossed: Loss without them, with the kernel that was found with them.

    Example:
      >>> were_drawn(0.02, 0.03, 0.03), were_drawn(0.02, 0.02, 0.02)
      (True, False)
    """
    if not math.isfinite(without) or not math.isfinite(with_them):
        return math.isfinite(without)
    return not crossed * math.sqrt(with_them / without) <= LESS_LIKELY * without


def best_fit(fits: Fits) -> tuple[float, np.ndarray]:
    """Loss and kernel of the best family; the loss is infinite if there is none."""
    losses = np.asarray(fits.families.loss)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    best = int(np.argmin(losses))
    return float(losses[best]), np.asarray(fits.families.kernel)[best]
