"""Applies a local operator to a large image, tile by tile, without seams.

A tile is read with a margin as wide as the operator's receptive field, and the margin
of the result is dropped. Tiles at the image's edge lie flush with it, so that the
operator pads there as it would for the whole image: the result is the same.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

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
    height, width, channels = image.shape
    out = np.empty((scale * height, scale * width, channels), np.float32)
    for part in cut((height, width), margin=margin, tile=tile):
        part.write(np.asarray(operator(part.read(image))), out, scale=scale)
    return out


class Tile(NamedTuple):
    """A part of an image, and what is kept of its result, in pixels of the image."""

    rows: slice
    """Read, with the margins."""
    columns: slice
    kept_rows: slice
    """Kept, without them."""
    kept_columns: slice

    def read(self, image: np.ndarray) -> np.ndarray:
        """The part of an image, `h x w x C`."""
        return image[self.rows, self.columns]

    def write(self, result: np.ndarray, out: np.ndarray, *, scale: int) -> None:
        """Writes what is kept of the part's result.

        Args:
          result: `scale*h x scale*w x C`.
          out: The result of the whole image; changed.
          scale: Factor by which the operator enlarges.
        """
        top, left = scale * self.rows.start, scale * self.columns.start
        rows, columns = (
            slice(scale * kept.start, scale * kept.stop)
            for kept in (self.kept_rows, self.kept_columns)
        )
        out[rows, columns] = result[
            rows.start - top : rows.stop - top,
            columns.start - left : columns.stop - left,
        ]


def cut(size: Sequence[int], *, margin: int, tile: int | tuple[int, int]) -> list[Tile]:
    """Cuts an image into tiles of one shape, which overlap by their margins.

    Args:
      size: Height and width of the image.
      margin: Pixels of a tile at each side that are not kept.
      tile: Side of a tile with its margins, or its height and width, more than
        `2*margin`; an axis that is shorter is not cut.

    Raises:
      ValueError: If the tile is not larger than its margins.
    """
    sides = (tile, tile) if isinstance(tile, int) else tile
    if min(sides) <= 2 * margin:
        raise ValueError(
            f"tile is {tile}; it must be more than {2 * margin}, twice the margin"
        )
    rows, columns = (
        list(_spans(side, margin, length))
        for side, length in zip(size[:2], sides, strict=True)
    )
    return [
        Tile(row, column, kept_row, kept_column)
        for row, kept_row in rows
        for column, kept_column in columns
    ]


def best_side(size: int, choices: Iterable[int], *, margin: int) -> int:
    """The side of tiles that covers an axis with the fewest pixels in all.

    Args:
      size: Length of the axis.
      choices: Sides of tiles, each more than `2*margin`; the first of equals is taken.
      margin: Pixels of a tile at each side that are not kept.

    Example:
      >>> best_side(900, (512, 448), margin=24)  # two tiles in place of three
      512
      >>> best_side(800, (512, 448), margin=24)
      448
    """
    return min(
        choices, key=lambda side: side * -(-(size - 2 * margin) // (side - 2 * margin))
    )


def _spans(size: int, margin: int, tile: int) -> Iterator[tuple[slice, slice]]:
    """Yields what is read along an axis for each tile, and what is kept."""
    first = 0
    while first < size:
        start = min(max(first - margin, 0), max(size - tile, 0))
        end = size if start + tile >= size else start + tile - margin
        yield slice(start, min(start + tile, size)), slice(first, end)
        first = end
