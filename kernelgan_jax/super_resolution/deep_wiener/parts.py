"""How an image becomes what the network's programs take: tiles of few shapes."""

from collections.abc import Sequence

import numpy as np

from kernelgan_jax.super_resolution.deep_wiener.network import FACTORS, MAX_KERNEL
from kernelgan_jax.super_resolution.tiles import Tile, best_side, cut

TILE = 512
"""Largest side of the tiles that larger images are cut into, with their margins, LR
pixels."""

MARGIN = 24
"""What is dropped of a tile at each side: tiles agree with the whole image to a
twentieth of a gray level. A multiple of what the network joins."""

BUCKET = 64
"""Smaller images are extended to multiples of this: few shapes are compiled."""


def extended_shape(shape: Sequence[int], *, scale: int, tile: int) -> tuple[int, int]:
    """Height and width of an image with what `extended` adds.

    A kernel needs room, the network joins pixels, and few shapes are to be compiled.

    Args:
      shape: Height and width of the image; more numbers are ignored.
      scale: A scale of the network.
      tile: Largest side of a tile.
    """
    least = -(-MAX_KERNEL // scale)
    unit = FACTORS[scale] // scale

    def longer(side: int) -> int:
        bucket = -(-max(side, least) // BUCKET) * BUCKET
        return bucket if bucket <= tile else side + -side % unit

    return longer(shape[0]), longer(shape[1])


def extended(image: np.ndarray, *, scale: int, tile: int) -> np.ndarray:
    """An image, `H x W x C`, with a mirrored margin at its bottom and right."""
    longer = extended_shape(image.shape, scale=scale, tile=tile)
    pad = [(0, new - old) for new, old in zip(longer, image.shape, strict=False)]
    if not np.any(pad):
        return image
    return np.pad(image, [*pad, (0, 0)], mode="symmetric")


def tiles(shape: Sequence[int], *, tile: int) -> list[Tile]:
    """The tiles of an extended image, all of one shape, each side at most `tile`."""
    least = min(tile, max(tile - 2 * BUCKET, 2 * MARGIN + BUCKET))
    choices = range(tile, least - 1, -BUCKET // 2)
    rows, columns = (best_side(side, choices, margin=MARGIN) for side in shape[:2])
    return cut(shape, margin=MARGIN, tile=(rows, columns))
