"""Isolated pixels of an image, hot or dead: which these are, and what belongs there.

A pixel is isolated if it is far from what its neighbours predict. The prediction is
linear, from the 24 pixels around, and fitted to the image itself: how far a pixel of
the picture may be from it depends on the picture, and on the place in it.
"""

import numpy as np
import scipy.ndimage

from kernelgan_jax import square_extremes

LEAST_SHARE = 2e-4
"""Isolated pixels that are a smaller share do not count: pictures have some of their
own..."""

LEAST_RANGE = 0.75
"""... unless the range of the other pixels is a smaller part of that of all: what is
far outside of it would stretch the image's own range."""

SURE = (2.0, 0.1)
"""A pixel that is isolated without doubt is beyond its neighbours by so many times
their range, and by this fraction of the image's. Without such pixels, none are."""

IN_DOUBT = (0.5, 0.04)
"""The same for all that may be."""

FAR = 5.0
"""They are, if they differ from their prediction by so many times what other pixels
do, there and in the whole image, added up."""

LEAST_FOUND = 0.5
"""What is found is at least this many times as much as is sure; else it is picture."""

SIDE = 5
"""Pixels at each side of the square from which its middle is predicted."""

MAX_SAMPLES = 2**14
"""Pixels of each channel that the prediction is fitted to."""

_RIDGE = 1e-3
"""What is added to the variances of levels, in squared gray levels of the image's own
range."""


def find_isolated(pixels: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Finds pixels that are far from what their neighbours predict.

    Args:
      pixels: `H x W x C`.
      areas: `H x W` bool: where none are looked for.

    Returns:
      `H x W` bool.
    """
    found = _isolated(pixels, areas)
    if found.any() and _stretch(found, pixels, areas):
        # In the range of the others, more may be far from their neighbours.
        found |= find_isolated(fill_isolated(pixels, areas, found), areas)
    return found


def _isolated(pixels: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """`find_isolated`, in the range that the image has with these pixels."""
    none = np.zeros(areas.shape, bool)
    low, high = float(pixels.min()), float(pixels.max())
    sure, in_doubt = _beyond(pixels, high - low)
    sure, in_doubt = sure & ~areas, in_doubt & ~areas
    are_few = sure.mean() < LEAST_SHARE
    if not sure.any() or (are_few and not _stretch(sure, pixels, areas)):
        return none
    filled = _stencil(pixels, areas, in_doubt)
    weights = _prediction(filled, areas | in_doubt)
    if weights is None:
        return none
    found = none.copy()
    for channel in range(pixels.shape[2]):
        plane, own = (
            each[..., channel].astype(np.float32) - np.float32(low)
            for each in (filled, pixels)
        )
        predicted = scipy.ndimage.correlate(plane, weights)
        square = (plane - predicted) ** 2
        there = np.sqrt(scipy.ndimage.uniform_filter(square, SIDE).clip(0))
        usual = there + np.sqrt(square.mean())
        found |= abs(own - predicted) > FAR * usual
    found &= in_doubt
    least = 0.0 if are_few else LEAST_SHARE * found.size
    return found if found.sum() >= max(least, LEAST_FOUND * sure.sum()) else none


def _stretch(chosen: np.ndarray, pixels: np.ndarray, areas: np.ndarray) -> bool:
    """Whether chosen pixels make the picture's range much larger than it is."""
    inside = ~areas[..., None]
    others = inside & ~chosen[..., None]
    if not others.any():
        return False
    top, bottom = pixels.max(), pixels.min()
    whole, rest = (
        float(pixels.max(where=where, initial=bottom))
        - float(pixels.min(where=where, initial=top))
        for where in (inside, others)
    )
    return rest < LEAST_RANGE * whole


def fill_isolated(
    pixels: np.ndarray, areas: np.ndarray, isolated: np.ndarray
) -> np.ndarray:
    """A copy of an image with isolated pixels as their neighbours predict them.

    Args:
      pixels: `H x W x C`.
      areas: `H x W` bool: what does not count.
      isolated: `H x W` bool.
    """
    filled = _stencil(pixels, areas, isolated)
    if not isolated.any():
        return filled
    weights = _prediction(filled, areas | isolated)
    # Where the prediction reads what is no picture, the stencil's value stays.
    near = square_extremes.maximum(areas, SIDE)
    rows, columns = np.nonzero(isolated & ~near)
    if weights is None or not len(rows):
        return filled
    for channel in range(pixels.shape[2]):
        plane = filled[..., channel].astype(np.float64)
        around = _around(plane, rows, columns)
        value = scipy.ndimage.correlate(plane, weights)[rows, columns]
        value = value.clip(around.min(axis=0), around.max(axis=0))
        filled[rows, columns, channel] = _of_type(value, pixels)
    return filled


def _beyond(pixels: np.ndarray, span: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that are far beyond all of their neighbours but one, and those that are
    a little beyond: `H x W` bool."""
    sure, in_doubt = np.zeros((2, *pixels.shape[:2]), bool)
    for channel in range(pixels.shape[2]):
        values = pixels[..., channel]
        plane = values.astype(np.float32)
        if values.dtype.kind == "f":  # whole numbers are compared as they are
            values = plane
        rows, columns = np.nonzero(_stands_out(values, IN_DOUBT[1] * span))
        around = np.sort(_around(plane, rows, columns), axis=0)
        low, high = around[1], around[-2]
        own = plane[rows, columns]
        beyond = np.maximum(own - high, low - own)
        for found, (factor, step) in ((sure, SURE), (in_doubt, IN_DOUBT)):
            alone = beyond > np.maximum(step * span, factor * (high - low))
            found[rows[alone], columns[alone]] = True
    return sure, in_doubt


def _prediction(filled: np.ndarray, others: np.ndarray) -> np.ndarray | None:
    """The weights, `SIDE x SIDE`, that predict a pixel from those around it, 0 in the
    middle; None if there are too few pixels without `others`."""
    half = SIDE // 2
    usable = ~square_extremes.maximum(others, SIDE)
    usable[:half] = usable[-half:] = usable[:, :half] = usable[:, -half:] = False
    rows, columns = np.nonzero(usable)
    if len(rows) < 4 * SIDE**2:
        return None
    chosen = slice(None, None, -(-len(rows) // MAX_SAMPLES))
    rows, columns = rows[chosen], columns[chosen]
    middle = SIDE**2 // 2
    known = np.delete(np.arange(SIDE**2), middle)
    squares = np.zeros((SIDE**2, SIDE**2))
    span = max(float(filled.max()) - float(filled.min()), 1e-30)
    for channel in range(filled.shape[2]):
        plane = filled[..., channel]
        samples = [
            plane[rows + i, columns + j]
            for i in range(-half, half + 1)
            for j in range(-half, half + 1)
        ]
        levels = np.stack(samples).astype(np.float64)
        levels -= levels[known].mean(axis=0)  # So the weights add up to 1.
        squares += (levels / span) @ (levels / span).T
    ridge = _RIDGE * len(rows) / 255**2 * np.eye(len(known))
    found = np.linalg.solve(
        squares[np.ix_(known, known)] + ridge, squares[known, middle]
    )
    found += (1 - found.sum()) / len(found)
    weights: np.ndarray = np.insert(found, middle, 0.0).reshape(SIDE, SIDE)
    return weights.astype(np.float32)


def _stands_out(plane: np.ndarray, step: float) -> np.ndarray:
    """Pixels that are above, or below, three of the four beside them: `H x W` bool.

    All pixels beyond all of their neighbours but one are among these.
    """
    padded = np.pad(plane, 1, mode="reflect")
    middle = slice(1, -1)
    column = padded[:-2, middle], padded[2:, middle]
    row = padded[middle, :-2], padded[middle, 2:]
    lower = np.maximum(np.minimum(*column), np.minimum(*row))
    upper = np.minimum(np.maximum(*column), np.maximum(*row))
    # These are the second and the third of the four by size, in one order or the other.
    own = plane.astype(np.float32)
    above = own - np.maximum(lower, upper) > step
    below = own - np.minimum(lower, upper) < -step
    stands_out: np.ndarray = above | below
    return stands_out


def _around(plane: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The eight neighbours of some pixels: `8 x n`, those with a common side first."""
    padded = np.pad(plane, 1, mode="reflect")
    sides = ((0, 1), (1, 0), (1, 2), (2, 1))
    corners = ((0, 0), (0, 2), (2, 0), (2, 2))
    return np.stack([padded[rows + i, columns + j] for i, j in sides + corners])


def _stencil(pixels: np.ndarray, areas: np.ndarray, isolated: np.ndarray) -> np.ndarray:
    """Fills isolated pixels from their eight neighbours; see `fill_isolated`."""
    filled = pixels.copy()
    if not isolated.any():
        return filled
    rows, columns = np.nonzero(isolated)
    known = _around(~(areas | isolated), rows, columns).astype(np.float32)
    # Exact for cubic polynomials; the mean where a neighbour is unknown.
    weights = np.repeat([0.5, -0.25], 4)[:, None]
    weights = np.where(known.all(axis=0), weights, known)
    weights = weights / np.maximum(weights.sum(axis=0), 1e-9)
    for channel in range(pixels.shape[2]):
        plane = pixels[..., channel].astype(np.float64)
        around = _around(plane, rows, columns)
        value = (weights * around).sum(axis=0).clip(around.min(0), around.max(0))
        value = np.where(known.any(axis=0), value, plane[rows, columns])
        filled[rows, columns, channel] = _of_type(value, pixels)
    return filled


def _of_type(value: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Values as pixels of an image's type."""
    return np.rint(value) if pixels.dtype.kind in "ui" else value
