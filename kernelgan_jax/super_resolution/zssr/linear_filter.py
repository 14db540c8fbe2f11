"""TODO docstring."""

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution.zssr.network import pixel_shuffle

FILTER_RADIUS = 5
"""Radius of the linear filter of `zssr_fast`, LR pixels."""


FOLDS, RIDGE_FACTORS = 4, (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""Of its cross-validation: parts of the image, and factors on the ridge."""


def linear_enlargement(image: Any, linear: Any | None, scale: int) -> Any:
    """What the network adds to: bicubic enlargement, plus a linear filter's output.

    Args:
      image: `H x W x C`, NumPy or JAX.
      linear: `n x n x 1 x s*s` filter of `fit_linear`, or None.
      scale: s.

    Returns:
      `sH x sW x C`.
    """
    enlarged = bicubic_resize(image, scale)
    if linear is None:
        return enlarged
    xp: Any = jnp if isinstance(image, jax.Array) else np
    planes = jnp.moveaxis(jnp.asarray(image), -1, 0)[:, None]
    pad = linear.shape[0] // 2
    planes = jnp.pad(planes, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="symmetric")
    # The filter is the same for all colours: they are the batch.
    more = jax.lax.conv_general_dilated(
        planes,
        jnp.asarray(linear),
        (1, 1),
        "VALID",
        dimension_numbers=("NCHW", "HWIO", "NCHW"),
    )
    more = more.reshape(-1, *more.shape[2:])
    return enlarged + xp.moveaxis(xp.asarray(pixel_shuffle(more, scale)), 0, -1)


def _patches(
    image: np.ndarray, blurred: np.ndarray, scale: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """What `fit_linear` learns from: of `FOLDS` parts, one below the other, in strips.

    Yields:
      The part; sons' patches, a row each; what bicubic lacks of the father under them.
    """
    side = 2 * FILTER_RADIUS + 1
    height, width = image.shape[:2]
    for top, left in np.ndindex(scale, scale):
        high, wide = (height - top) // scale, (width - left) // scale
        if min(high, wide) < side:
            continue
        rows = slice(top, top + scale * high)
        columns = slice(left, left + scale * wide)
        son = blurred[rows, columns][::scale, ::scale]
        residual = image[rows, columns] - bicubic_resize(son, scale)
        residual = residual.reshape(high, scale, wide, scale, -1)
        residual = residual.transpose(0, 2, 4, 1, 3)[
            :, FILTER_RADIUS : wide - FILTER_RADIUS
        ]
        patches = np.lib.stride_tricks.sliding_window_view(son, (side, side), (0, 1))
        ends = np.linspace(0, len(patches), FOLDS + 1).astype(int)
        for part, (first, last) in enumerate(itertools.pairwise(ends)):
            # In strips: the patches are side^2 times as large as the image.
            for row in range(first, last, 64):
                strip = patches[row : min(row + 64, last)]
                y = residual[FILTER_RADIUS + row : FILTER_RADIUS + row + len(strip)]
                yield part, strip.reshape(-1, side**2), y.reshape(-1, scale**2)


def fit_linear(
    pairs: list[tuple[np.ndarray, np.ndarray]], scale: int, noise: float
) -> np.ndarray:
    """The linear filter that best predicts fathers from sons, beyond bicubic.

    Ridge regression of each of the s x s pixels under an LR pixel on the LR patch
    around it: the Wiener filter of the image's own statistics. Small images have too
    few patches for it: how far it is held back is chosen by cross-validation over
    `FOLDS` parts of the image, one below the other.

    Args:
      pairs: Images, `H x W x C`, and the same blurred.
      scale: s.
      noise: Standard deviation of the LR image's noise, in [0, 1] units. Sons have less
        of it than the LR image, so that without it the filter would amplify noise.

    Returns:
      `(2*REACH + 1) x (2*REACH + 1) x 1 x s*s` float32.
    """
    side = 2 * FILTER_RADIUS + 1
    # Of each part: the patches' products, those with the targets, the targets' squares.
    products = np.zeros((FOLDS, side**2, side**2))
    targets = np.zeros((FOLDS, side**2, scale**2))
    squares = np.zeros(FOLDS)
    count = 0
    for image, blurred in pairs:
        for part, x, y in _patches(image, blurred, scale):
            products[part] += x.T @ x
            targets[part] += x.T @ y
            squares[part] += (y**2).sum()
            count += len(x)

    def solution(held_back: float, without: int | None = None) -> np.ndarray:
        used = [part for part in range(FOLDS) if part != without]
        ridge = held_back * (count * noise**2 + 1e-6) * np.eye(side**2)
        return np.linalg.solve(products[used].sum(0) + ridge, targets[used].sum(0))

    def error(held_back: float) -> float:
        total = 0.0
        for part in range(FOLDS):
            w = solution(held_back, without=part)
            cross, square = (w * targets[part]).sum(), (w * (products[part] @ w)).sum()
            total += squares[part] - 2 * cross + square
        return total

    # Of equal errors, as where one part has all patches, the one that does least.
    chosen = solution(min(reversed(RIDGE_FACTORS), key=error))
    return chosen.reshape(side, side, 1, scale**2).astype(np.float32)
