"""The linear enlargement that the network adds to, and the fit of its filter.

Images are `H x W x C` in [0, 1].
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution.zssr.network import pixel_shuffle

FILTER_RADIUS = 5
"""Radius of the linear filter, LR pixels."""

BICUBIC_RADIUS = 3
"""Radius of the bicubic enlargement, LR pixels, rounded up."""

FOLDS = 4
"""Parts of the image, one below the other, for the cross-validation of the ridge."""

RIDGE_FACTORS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""Factors on the ridge from which the cross-validation chooses."""


def linear_enlargement(image: Any, linear: Any | None, scale: int) -> Any:
    """The bicubic enlargement, plus the output of a linear filter if there is one.

    Args:
      image: `H x W x C`, NumPy or JAX.
      linear: `n x n x 1 x s*s` filter of `fit_linear`, or None.
      scale: s.

    Returns:
      `sH x sW x C`, NumPy or JAX as the image.
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


def base_radius(linear: Any | None) -> int:
    """Receptive radius of `linear_enlargement`, LR pixels."""
    return BICUBIC_RADIUS if linear is None else max(FILTER_RADIUS, BICUBIC_RADIUS)


def fit_linear(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], scale: int, noise_std: float
) -> np.ndarray:
    """The linear filter that best predicts what bicubic enlargement lacks.

    Ridge regression of each of the s x s pixels under an LR pixel on the LR patch
    around it: the Wiener filter of the image's own statistics. Small images have too
    few patches for it. How strong the ridge is, is therefore chosen by cross-validation
    over `FOLDS` parts of the image.

    Args:
      pairs: HR targets, `H x W x C`, and the same blurred (`pairs.blur`), whose every
        s-th pixel is an LR input.
      scale: s.
      noise_std: Standard deviation of the noise of the image that is to be enlarged, as
        a fraction of the range. LR inputs have less of it than that image: without this
        the filter would amplify noise.

    Returns:
      `n x n x 1 x s*s` float32, n = 2 FILTER_RADIUS + 1.
    """
    side = 2 * FILTER_RADIUS + 1
    # For each part of the image: X^T X, X^T Y and the sum of Y^2, for rows X of LR
    # patches and rows Y of what bicubic enlargement lacks under them.
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

    def solution(factor: float, without: int | None = None) -> np.ndarray:
        used = [part for part in range(FOLDS) if part != without]
        ridge = factor * (count * noise_std**2 + 1e-6) * np.eye(side**2)
        return np.linalg.solve(products[used].sum(0) + ridge, targets[used].sum(0))

    def error(factor: float) -> float:
        total = 0.0
        for part in range(FOLDS):
            w = solution(factor, without=part)
            cross, square = (w * targets[part]).sum(), (w * (products[part] @ w)).sum()
            total += squares[part] - 2 * cross + square
        return total

    # Errors are equal where one part has all patches: the strongest ridge is then used.
    chosen = solution(min(reversed(RIDGE_FACTORS), key=error))
    return chosen.reshape(side, side, 1, scale**2).astype(np.float32)


def _patches(
    image: np.ndarray, blurred: np.ndarray, scale: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Cuts out what `fit_linear` learns from, in strips of 64 rows.

    Yields:
      The part of the image, below `FOLDS`; LR patches, a row each; what bicubic
      enlargement lacks of the HR target under the middle of each, a row each.
    """
    side = 2 * FILTER_RADIUS + 1
    height, width = image.shape[:2]
    for top, left in np.ndindex(scale, scale):
        high, wide = (height - top) // scale, (width - left) // scale
        if min(high, wide) < side:
            continue
        rows = slice(top, top + scale * high)
        columns = slice(left, left + scale * wide)
        lr = blurred[rows, columns][::scale, ::scale]
        residual = image[rows, columns] - bicubic_resize(lr, scale)
        residual = residual.reshape(high, scale, wide, scale, -1)
        residual = residual.transpose(0, 2, 4, 1, 3)[
            :, FILTER_RADIUS : wide - FILTER_RADIUS
        ]
        patches = np.lib.stride_tricks.sliding_window_view(lr, (side, side), (0, 1))
        ends = np.linspace(0, len(patches), FOLDS + 1).astype(int)
        for part, (first, last) in enumerate(itertools.pairwise(ends)):
            # In strips, as the patches take side^2 times the memory of the image.
            for row in range(first, last, 64):
                strip = patches[row : min(row + 64, last)]
                y = residual[FILTER_RADIUS + row : FILTER_RADIUS + row + len(strip)]
                yield part, strip.reshape(-1, side**2), y.reshape(-1, scale**2)
