"""Pixels that are mixed with what was drawn on a picture: soft edges, thin strokes.

Letters and lines are mostly drawn with soft edges, so that of thin strokes few pixels
have exactly their colour. A frame or an area without data mostly ends in a step.
"""

import numpy as np
import scipy.ndimage

from kernelgan_jax import square_extremes
from kernelgan_jax.usable_pixels.drawn_areas import at_border

RING = 1
"""Width in pixels of what is mixed with drawn areas around them."""

GAP = 1
"""Half the width of gaps between mixed pixels that are mixed, too."""

LEAST_STEP = 0.1
"""Steps at which it is seen whether a border is soft, as a fraction of the range."""

MIXED_SHARE = 0.15
"""A pixel beside an area is mixed with it if it has come so far to its colour..."""

SOFT_SHARE = 0.15
"""... and a border is soft if there are so many more of these pixels than of those
that are as far on the other side."""

REACH = 2
"""Pixels from soft areas to the thin strokes that go on from them..."""

STROKE = 7
"""... narrower than this, pixels..."""

FAR = 0.7
"""... whose pixels have come so far from what is around them to the area's colour..."""

LEAST_STROKE = 0.25
"""... and stand out by this fraction of the image's range."""

MOST_COLOURS = 4
"""Number of the most frequent colours of soft areas that thin strokes can have."""


def find_mixed(pixels: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Finds pixels around drawn areas that are mixed with them.

    Areas at the image's border are looked at one by one, the others together: letters
    are too small to be looked at alone.

    Args:
      pixels: `H x W x C`.
      drawn: `H x W` bool.

    Returns:
      `H x W` bool, without the drawn pixels.
    """
    labels, _ = scipy.ndimage.label(drawn)
    outer = at_border(labels)
    groups = np.where(outer, labels + 1, drawn.astype(labels.dtype))
    soft = _is_soft(pixels, drawn, groups)[groups] & drawn
    mixed: np.ndarray = np.zeros_like(drawn)
    if soft.any():
        soft |= _thin_strokes(pixels, soft & ~outer) & ~drawn
        # Wider, and then narrower again: gaps between strokes are filled.
        wide = square_extremes.maximum(soft, 2 * (RING + GAP) + 1)
        mixed = square_extremes.minimum(wide, 2 * GAP + 1) & ~drawn
    return mixed


def _is_soft(pixels: np.ndarray, drawn: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Whether the borders of each group of areas are soft; group 0 is no area."""
    cross = scipy.ndimage.generate_binary_structure(2, 1)
    rows, columns = np.nonzero(scipy.ndimage.binary_dilation(drawn, cross) & ~drawn)
    area = scipy.ndimage.distance_transform_edt(
        ~drawn, return_distances=False, return_indices=True
    )[:, rows, columns]
    height, width = drawn.shape
    row = (2 * rows - area[0]).clip(0, height - 1)
    column = (2 * columns - area[1]).clip(0, width - 1)
    own, following, painted = (
        pixels[place].astype(np.float32)
        for place in ((rows, columns), (row, column), tuple(area))
    )
    step = painted - following
    square = (step**2).sum(axis=1)
    least = (LEAST_STEP * float(np.ptp(pixels))) ** 2
    counts = (square >= least) & ~drawn[row, column]
    share = ((own - following) * step).sum(axis=1) / np.maximum(square, 1e-30)
    group, number = groups[tuple(area)], int(groups.max()) + 1
    mixed, beyond, all_of_them = (
        np.bincount(group[counts & chosen], minlength=number)
        for chosen in (share > MIXED_SHARE, share < -MIXED_SHARE, True)
    )
    is_soft: np.ndarray = mixed - beyond > SOFT_SHARE * all_of_them
    return is_soft


def _thin_strokes(pixels: np.ndarray, letters: np.ndarray) -> np.ndarray:
    """Pixels near letters that stand out from what is around them towards the letters'
    colour: `H x W` bool."""
    found: np.ndarray = np.zeros_like(letters)
    if not letters.any():
        return found
    span = float(np.ptp(pixels))
    colours, counts = np.unique(pixels[letters], axis=0, return_counts=True)
    for colour in colours[np.argsort(-counts)[:MOST_COLOURS]].astype(np.float32):
        distance = np.zeros(letters.shape, np.float32)
        for channel, level in enumerate(colour):
            distance += (pixels[..., channel].astype(np.float32) - level) ** 2
        distance = np.sqrt(distance)
        # How far from the colour the surroundings are, where strokes are left out.
        around = square_extremes.maximum(distance, STROKE)
        around = square_extremes.minimum(around, STROKE)
        step = around - distance
        near = square_extremes.maximum(letters & (distance == 0), 2 * REACH + 1)
        found |= near & (step > FAR * around) & (step >= LEAST_STROKE * span)
    return found
