"""Kernels of the usual resamplers: what most downscaled images were made with.

They have no unknowns, and negative lobes that no family has. Their spectra are fitted
as those of the families. A family has unknowns that also fit the content of an image,
such as its softness: by how much a resampler's loss may be larger and the resampler
still be as likely was chosen on photographs that were downscaled with both.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from kernelgan_jax import blur_kernels, kernels, metrics
from kernelgan_jax.estimators.spectral.likelihood import PRIOR_WEIGHT


class Resampler(NamedTuple):
    """A kernel that depends on the scale alone."""

    make: Callable[[int], np.ndarray]
    """`make(scale)`: the kernel, not aligned."""
    allowance: float
    """How much larger than a family's its loss is where both are as likely."""


RESAMPLERS = {
    "bicubic": Resampler(blur_kernels.bicubic, 0.012),
    "lanczos": Resampler(blur_kernels.lanczos, 0.009),
    "box": Resampler(blur_kernels.box, 0.012),
    "nearest": Resampler(blur_kernels.nearest, 0.018),
}
"""By name; the bicubic one is the most usual. The last one is left out at scale 2,
where it would be the box once more."""

MAX_NOISE = 3.0
"""In more noise than this, gray levels, the spectrum cannot tell resamplers from other
kernels; none is then taken."""


def resampler_kernels(scale: int) -> np.ndarray:
    """The kernels of all resamplers, aligned: `R x n x n`, n the side of the frame."""
    names = [name for name in RESAMPLERS if (name, scale) != ("nearest", 2)]
    return np.stack([resampler_kernel(name, scale) for name in names])


def resampler_kernel(name: str, scale: int) -> np.ndarray:
    """The kernel of one resampler, aligned: `n x n`, n the side of the frame."""
    made = kernels.centre(RESAMPLERS[name].make(scale), scale)
    return metrics.pad_to_frame(made, scale=scale)


def probabilities(
    losses: np.ndarray, family_loss: float, *, clarity: float = 1.0
) -> np.ndarray:
    """How likely a family and each resampler are.

    Args:
      losses: Losses of the resamplers' fits, as many as there are at the scale: mean
        misfits of about `1 / (2 PRIOR_WEIGHT)` independent frequencies; not finite if a
        fit failed.
      family_loss: Loss of the family's fit.
      clarity: `Observation.clarity`: losses differ less where JPEG hides the spectrum.

    Returns:
      The family's number and the resamplers', from 0 to 1, of sum 1.

    Example:
      >>> found = probabilities(np.array([0.012, 0.019, np.nan]), 0.0)
      >>> [round(float(p), 2) for p in found]
      [0.48, 0.48, 0.04, 0.0]
      >>> unclear = probabilities(np.full(3, 0.012), 0.0, clarity=0.5)
      >>> unclear[1] < 0.2
      np.True_
    """
    allowances = np.array([each.allowance for each in RESAMPLERS.values()])
    equal = np.array([family_loss, *(losses - clarity * allowances[: len(losses)])])
    if not np.isfinite(equal).any():
        return np.eye(1, len(equal))[0]
    nats = np.where(np.isfinite(equal), -equal / (2 * PRIOR_WEIGHT), -np.inf)
    return softmax(nats)
