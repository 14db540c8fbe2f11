"""Whether the parts of an image agree that one kernel is better than another.

A kernel with many unknowns also fits what is peculiar to a scene: a cloud, a pattern.
What an image was blurred with is in all of its parts, what a cloud looks like in one.
"""

import itertools

import numpy as np

from kernelgan_jax.estimators.spectral import given_kernels
from kernelgan_jax.estimators.spectral.measured import Measured, window_power
from kernelgan_jax.estimators.spectral.periodogram import to_gray

PARTS = 3
"""Parts along each side of an image..."""

MIN_PART_SIDE = 48
"""... of which there are fewer where they would be smaller than this, LR pixels."""

MOST_UNUSABLE = 0.5
"""Parts with a larger share of unusable pixels do not count."""

MOST_GAIN = 0.3
"""Most that one part can say: in those that show little, losses differ much by chance.
"""


def mean_gain(
    measured: Measured, kernel: np.ndarray, usual: np.ndarray, *, scale: int
) -> float:
    """How much better a kernel explains the parts of an image, on average.

    Args:
      kernel: As `given_kernels.losses` takes kernels.
      usual: The kernel that it is compared with, in the same form.

    Returns:
      The mean natural logarithm of the ratio of both losses, from `-MOST_GAIN` to
      `MOST_GAIN`: positive where the kernel is the better one, 0 if no part counts.
    """
    gray, unusable = to_gray(measured.own), measured.unusable
    gains = []
    for place in itertools.product(*map(_slices, gray.shape)):
        hidden = None if unusable is None else unusable[place]
        if hidden is not None and hidden.mean() > MOST_UNUSABLE:
            continue
        power = window_power(gray[place], hidden)
        # JPEG has added the same share of power as in the whole image.
        added = measured.observation.added * power / measured.power
        seen = measured.observation._replace(added=added)
        own, other = given_kernels.losses([kernel, usual], power, seen, scale=scale)
        if np.isfinite(own) and np.isfinite(other):
            gains.append(np.log(other / own).clip(-MOST_GAIN, MOST_GAIN))
    return float(np.mean(gains)) if gains else 0.0


def _slices(side: int) -> list[slice]:
    count = min(PARTS, max(1, side // MIN_PART_SIDE))
    ends = [side * i // count for i in range(count + 1)]
    return list(itertools.starmap(slice, itertools.pairwise(ends)))
