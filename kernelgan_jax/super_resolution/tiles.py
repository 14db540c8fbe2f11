"""Applies a local operator to a large image, tile by tile, without seams.

A tile is read with a margin as wide as the operator's receptive field, and the margin
of the result is dropped. Tiles at the image's edge lie flush with it, so that the
operator pads there as it would for the whole image: the result is the same.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


def apply_tiled(
    operator: Callable[[np.ndarray], Any],
    image: np.ndarray,
    *,
    scale: int,
    margin: int,
    tile: int,
) -> np.ndarray:
    """Enlarges an image by a local operator.

    Args:
      operator: Takes `h x w x C`, gives `scale*h x scale*w x C`. A value of the result
        depends on no pixel further than `margin` away. It meets one tile shape only.
      image: `H x W x C`.
      scale: Factor by which the operator enlarges.
      margin: Receptive radius of the operator, in pixels of `image`.
      tile: Side of a tile with its margins, more than `2*margin`.

    Returns:
      `scale*H x scale*W x C`, float32.

    Raises:
      ValueError: If the tile is not larger than its margins.
    """
    if tile <= 2 * margin:
        raise ValueError(f"tile is {tile}; it must be more than {2 * margin}")
    height, width, channels = image.shape
    out = np.empty((scale * height, scale * width, channels), np.float32)
    for row in _spans(height, margin, tile):
        for column in _spans(width, margin, tile):
            (top, first_row, end_row), (left, first_column, end_column) = row, column
            part = operator(image[top : top + tile, left : left + tile])
            out[
                scale * first_row : scale * end_row,
                scale * first_column : scale * end_column,
            ] = np.asarray(part)[
                scale * (first_row - top) : scale * (end_row - top),
                scale * (first_column - left) : scale * (end_column - left),
            ]
    return out


def _spans(size: int, margin: int, tile: int) -> Iterator[tuple[int, int, int]]:
    """Start of each tile along an axis, and first and end pixel of what it is kept."""
    first = 0
    while first < size:
        start = min(max(first - margin, 0), max(size - tile, 0))
        end = size if start + tile >= size else start + tile - margin
        yield start, first, end
        first = end
