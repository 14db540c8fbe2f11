"""Blur that varies: kernels in the middles of equal parts of an image, and a mixture of
the nearest ones in between. A map of them is `R x C x n x n`, as in `KernelMap`."""

from collections.abc import Sequence

import numpy as np

from kernelgan_jax import degradation


def kernel_at(kernel_map: np.ndarray, row: float, column: float) -> np.ndarray:
    """The kernel at a place, in fractions of the image's height and width.

    Example:
      >>> kernel_map = np.arange(4.0).reshape(2, 2, 1, 1)
      >>> [kernel_at(kernel_map, 0.5, place).item() for place in (0, 0.25, 0.5, 1)]
      [1.0, 1.0, 1.5, 2.0]
    """
    down, right = (
        _shares([place], count)[0]
        for place, count in zip((row, column), kernel_map.shape[:2], strict=True)
    )
    return np.einsum("i,j,ijuv->uv", down, right, kernel_map)


def downscale(image: np.ndarray, kernel_map: np.ndarray, scale: int) -> np.ndarray:
    """Downscales an image, `H x W x C`, with the kernel of each place.

    The scale must divide its sides.
    """
    down, right = (
        _shares((np.arange(side // scale) + 0.5) / (side // scale), count)
        for side, count in zip(image.shape[:2], kernel_map.shape[:2], strict=True)
    )
    # Each LR pixel is linear in its kernel.
    lr = np.zeros((len(down), len(right), image.shape[2]))
    for i, j in np.ndindex(*kernel_map.shape[:2]):
        share = down[:, i, None, None] * right[:, j, None]
        lr += share * degradation.downscale(image, kernel_map[i, j], scale)
    return lr


def _shares(places: Sequence[float] | np.ndarray, count: int) -> np.ndarray:
    """The share of each of `count` kernels along an axis, `places x count`."""
    middles = (np.arange(count) + 0.5) / count
    return np.stack([np.interp(places, middles, own) for own in np.eye(count)], axis=1)
