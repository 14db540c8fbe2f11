"""Areas of exactly one colour, whose value is known whatever the kernel is."""

import numpy as np
import scipy.ndimage

from kernelgan_jax import square_extremes
from kernelgan_jax.usable_pixels.drawn_areas import STEP, differences

FLAT_RADIUS = 4
"""Pixels on all sides of a flat one that have its colour: more than usual kernels."""

SOFT = 2
"""Pixels between a flat area and the step at which it ends."""


def find_flat(pixels: np.ndarray) -> np.ndarray:
    """Finds pixels of flat areas of exactly one colour: `H x W` bool.

    Their value is known, whatever the kernel is: around some pixels all is of their
    colour. It goes on from these in squares of 2 x 2 pixels up to letters and others
    that end in steps; flat parts of a picture end gradually.

    Args:
      pixels: `H x W x C`.

    Example:
      >>> pixels = np.zeros((20, 30, 1), np.uint8)
      >>> pixels[:, 20:] = 9 + np.arange(10)[None, :, None]
      >>> find_flat(pixels)[5].sum()
      np.int64(20)
    """
    apart = [differences(pixels, axis) for axis in (1, 0)]
    right, down = (each == 0 for each in apart)
    flat = np.ones(pixels.shape[:2], bool)
    flat[:, :-1] &= right
    flat[:-1] &= down
    # Also the last row and column of the square are compared with their next.
    flat = square_extremes.minimum(flat, 2 * FLAT_RADIUS + 1)
    if not flat.any():
        return flat
    ends = np.zeros_like(flat)
    least = STEP * (float(pixels.max()) - float(pixels.min()))
    ends[:, :-1] |= apart[0] >= least
    ends[:-1] |= apart[1] >= least
    ends = square_extremes.maximum(ends, 2 * (FLAT_RADIUS + SOFT) + 1)
    square = right[:-1] & right[1:] & down[:, :-1]
    squares = np.zeros_like(flat)
    for place in (np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, :-1], np.s_[1:, 1:]):
        squares[place] |= square
    found: np.ndarray = scipy.ndimage.binary_propagation(
        flat, mask=flat | (squares & ends)
    )
    return found
