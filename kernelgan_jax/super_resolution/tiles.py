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
    """Enlarges an image by a local operator, tile by tile.

    Args:
      operator: Takes `h x w x C` and returns `scale*h x scale*w x C`. A value of the
        result depends on no pixel further away than `margin`. All tiles of an image
        have one shape, so that one program is compiled.
      image: `H x W x C`.
      scale: Factor by which the operator enlarges.
      margin: Receptive radius of the operator, in pixels of `image`.
      tile: Side of a tile with its margins, more than `2*margin`.

    Returns:
      `scale*H x scale*W x C`, float32.

    Raises:
      ValueError: If the tile is not larger than its margins.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.super_resolution.tiles import apply_tiled
      >>> def double(tile):
      ...     return tile.repeat(2, 0).repeat(2, 1)
      >>> image = np.random.default_rng(0).random((30, 50, 3))
      >>> tiled = apply_tiled(double, image, scale=2, margin=1, tile=16)
      >>> np.allclose(tiled, double(image))
      True
    """
    if tile <= 2 * margin:
        raise ValueError(
            f"tile is {tile}; it must be more than {2 * margin}, twice the margin"
        )
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
    """Yields each tile's start along an axis, and the first and the end pixel kept."""
    first = 0
    while first < size:
        start = min(max(first - margin, 0), max(size - tile, 0))
        end = size if start + tile >= size else start + tile - margin
        yield start, first, end
        first = end
