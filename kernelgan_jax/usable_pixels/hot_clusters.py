"""Small clusters of hot or dead pixels that stretch the range of an image.

Isolated pixels differ from all of their neighbours (`isolated_pixels.py`); in a
cluster, as a defect of 2 x 2 pixels of a sensor, they have neighbours like themselves.
Those that stay within the picture's range do little harm; those far outside of it leave
the picture a part of its own range.
"""

import math

import numpy as np
import scipy.ndimage

from kernelgan_jax.usable_pixels.isolated_pixels import LEAST_RANGE, SURE

MOST_PIXELS = 16
"""Pixels of the largest cluster."""

MOST_SHARE = 0.01
"""Of the image, in all clusters together."""

MOST_CLUSTERS = 64
"""Images with more of them have them as part of their picture."""

_EIGHT = np.ones((3, 3), bool)
"""Pixels that touch at a corner are neighbours."""


def find_clusters(pixels: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Finds small clusters of pixels that make the image's range much larger.

    Without all of them the range would be less than `LEAST_RANGE` of what it is. Each
    is beyond the pixels around it by at least twice their range, as isolated pixels
    are: what was blurred with the picture, such as a lamp or a star, is not. Where all
    are single pixels, none is returned: they are isolated.

    Args:
      pixels: `H x W x C`.
      areas: `H x W` bool: where none are looked for.

    Returns:
      `H x W` bool.
    """
    found = np.zeros(areas.shape, bool)
    while (more := _outermost(pixels, areas | found)).any():
        found |= more
    return found


def _outermost(pixels: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """The clusters at one end of the range that the image has outside of areas."""
    none = np.zeros(areas.shape, bool)
    seen = pixels[~areas] if areas.any() else pixels
    if not seen.size:
        return none
    low, high = float(seen.min()), float(seen.max())
    if low == high:
        return none
    margin = (1 - LEAST_RANGE) * (high - low)
    top, bottom = high - margin, low + margin
    if pixels.dtype.kind in "ui":  # So that they are compared as they are.
        top, bottom = math.floor(top), math.ceil(bottom)
    for outside in (pixels > top, pixels < bottom):
        chosen = outside.any(axis=2) & ~areas
        if chosen.sum() > min(MOST_SHARE * chosen.size, MOST_PIXELS * MOST_CLUSTERS):
            continue
        labels, count = scipy.ndimage.label(chosen, _EIGHT)
        if not 0 < count < min(chosen.sum(), MOST_CLUSTERS):
            continue
        places = scipy.ndimage.find_objects(labels)
        if all(_is_alone(pixels, labels, *each) for each in enumerate(places, 1)):
            return chosen
    return none


def _is_alone(
    pixels: np.ndarray, labels: np.ndarray, number: int, place: tuple[slice, slice]
) -> bool:
    """Whether a cluster is small, and in a channel far beyond the pixels around it."""
    near = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in place)
    own = labels[near] == number
    ring = scipy.ndimage.binary_dilation(own, _EIGHT) & ~own
    if own.sum() > MOST_PIXELS or not ring.any():
        return False
    values = pixels[near].astype(np.float64)
    middle, around = values[own], values[ring]
    low, high = around.min(axis=0), around.max(axis=0)
    beyond = np.maximum(middle.min(axis=0) - high, low - middle.max(axis=0))
    return bool((beyond > SURE[0] * (high - low)).any())
