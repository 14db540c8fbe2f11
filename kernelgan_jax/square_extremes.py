"""Smallest and largest values of the squares around pixels, faster than SciPy's.

SciPy's filters convert each value to float64 and look at lines one by one. Here whole
arrays are compared with themselves, shifted: log2(side) times for each axis.
"""

import numpy as np


def minimum(image: np.ndarray, side: int) -> np.ndarray:
    """Smallest value of the square around each pixel, inside of the image.

    Args:
      image: `H x W`, of any type that can be compared, also bool.
      side: Side of the square; an even one has one pixel more above and to the left.

    Returns:
      `H x W`: what `scipy.ndimage.minimum_filter` returns.

    Example:
      >>> minimum(np.array([[3, 1, 2, 4, 5]]), 3).tolist()
      [[1, 1, 1, 2, 4]]
    """
    return _extreme(np.minimum, image, side)


def maximum(image: np.ndarray, side: int) -> np.ndarray:
    """Largest value of the square around each pixel; see `minimum`.

    Example:
      >>> maximum(np.array([[False, False, True, False]]), 3).tolist()
      [[False, True, True, True]]
    """
    return _extreme(np.maximum, image, side)


def _extreme(choose: np.ufunc, image: np.ndarray, side: int) -> np.ndarray:
    """The values of squares that a function of two values chooses."""
    before = side // 2
    lines = image
    for axis in (0, 1):
        pads = [(0, 0), (0, 0)]
        # The last pixel itself is in all squares that reach beyond it.
        pads[axis] = (before, side - 1 - before)
        lines = np.moveaxis(np.pad(lines, pads, mode="edge"), axis, 0)
        length = 1  # of the runs whose extremes `lines` has
        while length < side:
            step = min(length, side - length)
            lines = choose(lines[:-step], lines[step:])
            length += step
        lines = np.moveaxis(lines, 0, axis)
    return lines
