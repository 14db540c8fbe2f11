"""Whether the parts of an image agree that one kernel is better than another.

A kernel with many unknowns also fits what is peculiar to a scene: a cloud, a pattern.
What an image was blurred with is in all of its parts, what a cloud looks like in one.
"""

import itertools

import numpy as np

from kernelgan_jax.estimators.spectral import given_kernels
from kernelgan_jax.estimators.spectral.measured import Measured, window_power
from kernelgan_jax.estimators.spectral.periodogram import to_gray

PARTS, MIN_SIDE = 3, 48
"""Parts along each side of an image, fewer where they would be smaller, LR pixels."""

MOST = 0.3
"""Most that a part can say, as the logarithm of a ratio of losses: flat parts and those
with little in them can say much, by chance."""


def mean_gain(
    measured: Measured, kernel: np.ndarray, other: np.ndarray, *, scale: int
) -> float:
    """The mean logarithm of how much smaller a kernel's loss is in the parts.

    Args:
      measured: What is measured of an image.
      kernel: `n x n`, aligned for the scale, sum 1.
      other: That it is compared with, likewise.
      scale: Positive integer.

    Returns:
      From `-MOST` to `MOST`: positive where the kernel is the better one.
    """
    gray, unusable = to_gray(measured.own), measured.unusable
    gains = []
    for place in itertools.product(*map(_slices, gray.shape)):
        power = window_power(gray[place], None if unusable is None else unusable[place])
        found = given_kernels.losses(
            [kernel, other], power, measured.observation, scale=scale
        )
        gains.append(np.log(found[1] / found[0]))
    known = np.array(gains)[np.isfinite(gains)]
    return float(known.clip(-MOST, MOST).mean()) if known.size else 0.0


def _slices(side: int) -> list[slice]:
    count = min(PARTS, max(1, side // MIN_SIDE))
    ends = [side * i // count for i in range(count + 1)]
    return list(itertools.starmap(slice, itertools.pairwise(ends)))
