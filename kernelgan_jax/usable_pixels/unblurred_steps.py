"""Steps that are sharper than the rest of a picture: what was drawn on it.

The text and the bars of a screenshot, captions, dates, lines and the rims of a collage
were drawn after the picture was blurred and downscaled. Their borders go from one level
to another between two pixels, whatever their colours, and compression with loss leaves
them so. The picture's own borders do not, unless its kernel is narrow: a kernel that is
fitted without these places shows that.
"""

import numpy as np
import scipy.ndimage

from kernelgan_jax import equivalent_gaussian, square_extremes
from kernelgan_jax.usable_pixels.drawn_areas import at_border

STEP = 0.08
"""Least difference of two neighbours that is a step, of a range of 1."""

UNBLURRED = 0.8
"""A step is not blurred if it is at least this part of all change around it..."""

AROUND = 6
"""... within so many pixels in its direction."""

BOX = 17
"""Side of the boxes in which steps are added up, pixels."""

LEAST_PART = 0.2
"""Drawn is where unblurred steps are at least this part of all steps in the box..."""

LEAST_FACTOR = 3.0
"""... and so many times the part that they are elsewhere..."""

LEAST_SUM = 4.0
"""... and add up to this, of a range of 1."""

LEAST_SHARE = 2e-3
"""What is drawn does not count if it is a smaller share of the pixels."""

LEAST_CONTRAST = 0.01
"""Where the rest has a smaller standard deviation, of a range of 1, there is no picture
but the steps."""

REACH = 8
"""Pixels over which compression spreads a step."""

LETTERS_NEAR, LEAST_NEAR = 24, 1 / 3
"""Steps are of letters if at least this part of them is so near, in pixels, to what is
known to be drawn; of a text mostly some letters are."""

NARROW = 0.5
"""Standard deviation of kernels that leave steps unblurred, LR pixels: two thirds of a
step are then between two pixels."""


def find_unblurred_steps(
    gray: np.ndarray, *, unusable: np.ndarray | None = None
) -> np.ndarray:
    """Finds where steps are sharper than elsewhere.

    Args:
      gray: `H x W` float32 in its own range, [0, 1].
      unusable: `H x W` bool: pixels whose steps do not count, as they are filled.

    Returns:
      `H x W` bool: these steps, and what compression mixes with them.

    Example:
      >>> gray = np.sin(np.arange(120) / 3).astype(np.float32) / 4 + np.zeros((60, 1))
      >>> gray[:20] = 0.8
      >>> np.flatnonzero(find_unblurred_steps(gray.astype(np.float32)).all(1)).tolist()
      [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27]
    """
    steps, unblurred = _steps(gray)
    filled = np.zeros(gray.shape, bool)
    if unusable is not None:
        filled = square_extremes.maximum(unusable, AROUND + 1)
    steps[filled] = unblurred[filled] = 0
    if not unblurred.any():
        return np.zeros(gray.shape, bool)
    near_all, near = (BOX**2 * _mean(values) for values in (steps, unblurred))
    dense = (near >= LEAST_PART * near_all) & (near >= LEAST_SUM)
    elsewhere = ~square_extremes.maximum(dense, BOX) & ~filled
    if not elsewhere.any() or gray[elsewhere].std() < LEAST_CONTRAST:
        return np.zeros(gray.shape, bool)
    usual = unblurred[elsewhere].sum() / max(steps[elsewhere].sum(), 1e-6)
    dense &= near >= LEAST_FACTOR * usual * near_all
    found = square_extremes.maximum(dense & (unblurred > 0), 2 * REACH + 1)
    return found if found.mean() >= LEAST_SHARE else np.zeros_like(found)


def are_of_letters(steps: np.ndarray, unusable: np.ndarray) -> bool:
    """Whether unblurred steps are around letters, or the like.

    Args:
      steps: `H x W` bool: where they were found.
      unusable: `H x W` bool: what is known to be drawn. Frames and other areas that
        reach the image's border do not count.
    """
    labels, _ = scipy.ndimage.label(unusable)
    letters = unusable & ~at_border(labels)
    near = square_extremes.maximum(letters, 2 * LETTERS_NEAR + 1)
    return bool(near[steps].mean() >= LEAST_NEAR)


def allows_steps(kernel: np.ndarray, *, scale: int) -> bool:
    """Whether a kernel, `n x n`, leaves steps along rows or columns unblurred."""
    if not np.isfinite(kernel).all():
        return False
    variances = np.diag(equivalent_gaussian.covariance(kernel, scale=scale))
    return bool(variances.min() < (NARROW * scale) ** 2)


def _steps(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's steps to its right and lower neighbours, and the unblurred ones."""
    steps, unblurred = np.zeros((2, *gray.shape), np.float32)
    for pixels, every, sharp in (
        (gray, steps, unblurred),
        (gray.T, steps.T, unblurred.T),
    ):
        step = np.abs(np.diff(pixels, axis=1))
        step[step < STEP] = 0
        # The two pixels of the step, and as many before them as after them.
        highest, lowest = (
            extreme(pixels, AROUND, axis=1, origin=-1)[:, :-1]
            for extreme in (
                scipy.ndimage.maximum_filter1d,
                scipy.ndimage.minimum_filter1d,
            )
        )
        every[:, :-1] += step
        sharp[:, :-1] += step * (step >= UNBLURRED * (highest - lowest))
    return steps, unblurred


def _mean(values: np.ndarray) -> np.ndarray:
    mean: np.ndarray = scipy.ndimage.uniform_filter(values, BOX)
    return mean
