"""Mosaics that hide a part of a picture, as a face: adjoining rectangles of one colour.

Where the picture is smooth they border on each other without steps, so that by these
only some of them are found to be drawn.
"""

import numpy as np
import scipy.ndimage
import scipy.sparse

LEAST_SIDE = 4
"""Pixels of the shorter side of the smallest rectangle; pictures have smaller ones."""

_SIDES = (((0, 1, 3), (0, 1, 2)), ((2, 3, 1), (2, 3, 0)))
"""Of the first row, the end of the last, the first column and the end of the last: what
a rectangle and the one to its right have in common, and that below it."""


def adjoining(part: np.ndarray, is_drawn: np.ndarray) -> np.ndarray:
    """Finds the rectangles that adjoin drawn ones, one after the other.

    Rectangles adjoin that have a whole side in common.

    Args:
      part: `H x W` integers: the number of each pixel's part of one colour, or -1.
      is_drawn: For each part, whether it is drawn.

    Returns:
      For each part, whether it is a rectangle in such a row with a drawn one.

    Example:
      >>> part = np.repeat(np.arange(3), 5) * np.ones((6, 1), int)
      >>> adjoining(part, np.array([True, False, False]))
      array([ True,  True,  True])
    """
    found = np.zeros(len(is_drawn), bool)
    area = np.bincount(part[part >= 0], minlength=len(found))
    large = np.flatnonzero(area >= LEAST_SIDE**2)
    number = np.zeros(len(found) + 1, np.int32)  # The last one is for -1.
    number[large] = np.arange(1, len(large) + 1)
    boxes = scipy.ndimage.find_objects(number[part])
    ends = np.array([(r.start, r.stop, c.start, c.stop) for r, c in boxes])
    ends = ends.reshape(-1, 4)
    height, width = ends[:, 1] - ends[:, 0], ends[:, 3] - ends[:, 2]
    is_rectangle = (height * width == area[large]) & (height >= LEAST_SIDE)
    is_rectangle &= width >= LEAST_SIDE
    ends, rectangles = ends[is_rectangle], large[is_rectangle]
    pairs = []
    for own, following in _SIDES:
        places = {tuple(side): i for i, side in enumerate(ends[:, following])}
        found_at = (places.get(tuple(side), -1) for side in ends[:, own])
        pairs += [(i, j) for i, j in enumerate(found_at) if j >= 0]
    first, second = np.array(pairs, int).reshape(-1, 2).T
    graph = scipy.sparse.coo_array(
        (np.ones(len(pairs), bool), (first, second)), (len(rectangles),) * 2
    )
    _, group = scipy.sparse.csgraph.connected_components(graph, False)
    found[rectangles] = np.isin(group, group[is_drawn[rectangles]])
    return found
