"""Whether the unblurred steps of an image were drawn on it: what its kernels say.

Kernels are fitted without the places of such steps, and with them. A picture that is so
sharp itself has a narrow kernel, or is explained about as well with them and does not
speak against the kernel that is then found: its other parts are soft. If the steps were
drawn, the spectrum with them is that of no picture, or the rest rules its kernel out.
Around letters that are known to be drawn, less of this is asked.
"""

import math

import numpy as np

from kernelgan_jax.estimators.spectral import given_kernels
from kernelgan_jax.estimators.spectral.best import Fits, best_family
from kernelgan_jax.estimators.spectral.measured import Measured
from kernelgan_jax.usable_pixels.unblurred_steps import allows_steps

LESS_LIKELY, FORBIDDEN = 1.65, 1.1
"""Steps were drawn if the loss of the rest grows by this factor with the kernel that is
found with them; the second if this one, too, forbids them, or around letters. How much
larger the loss of all is than that of the rest counts as well, by its square root."""


def steps_were_drawn(
    measured: Measured, without: Fits, with_them: Fits, *, scale: int
) -> bool:
    """Whether unblurred steps were drawn on an image, by fits without and with them."""
    loss, own = best_family(without)
    loss_with_them, kernel = best_family(with_them)
    believed = not measured.of_letters
    if np.isfinite(loss_with_them) and believed and allows_steps(own, scale=scale):
        return False
    spectra = measured.power, measured.observation
    crossed = float(given_kernels.losses([kernel], *spectra, scale=scale)[0])
    allowed = believed and allows_steps(kernel, scale=scale)
    return were_drawn(loss, loss_with_them, crossed, allowed=allowed)


def were_drawn(
    without: float, with_them: float, crossed: float, *, allowed: bool
) -> bool:
    """Whether steps were drawn, and are not the picture's.

    The numbers were chosen on 12 images of Kodak and 24 photographs that the network
    was trained with, downscaled with kernels of all kinds, with and without drawings.

    Args:
      without: Loss without the places of the steps; infinite if no fit succeeded.
      with_them: Loss with these.
      crossed: Loss without them, with the kernel that was found with them.
      allowed: Whether this kernel leaves steps unblurred, and they are not around
        letters that are known to be drawn.

    Example:
      >>> were_drawn(0.02, 0.02, 0.04, allowed=True)
      True
      >>> were_drawn(0.02, 0.02, 0.02, allowed=True)
      False
    """
    if not math.isfinite(without) or not math.isfinite(with_them):
        return math.isfinite(without)
    limit = LESS_LIKELY if allowed else FORBIDDEN
    return not crossed * math.sqrt(with_them / without) <= limit * without
