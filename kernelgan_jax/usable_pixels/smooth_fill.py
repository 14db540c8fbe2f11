"""Filling gaps in an image as smoothly as its surroundings go on.

The filled pixels minimise the sum of the squared Laplacian, so that levels and slopes
go on across lines, letters and the rims of larger areas.

References:
  Bertalmio, Sapiro, Caselles, Ballester, "Image Inpainting", SIGGRAPH 2000, for filling
  by differential equations.
"""

import numpy as np
import scipy.ndimage
import scipy.sparse

STEPS = 80
"""Steps of conjugate gradients, at most."""

PRECISION = 1e-4
"""Relative residual at which they end."""


def fill_smoothly(
    values: np.ndarray, unknown: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """Finds smooth values for some of the pixels.

    Args:
      values: `H x W x C` floating point; a start where it is unknown.
      unknown: `H x W` bool.
      chosen: Rows and columns of the unknown pixels that are filled, `2 x n`; the
        others keep their values.

    Returns:
      `n x C` float64, within the range of the image where it is known.

    Example:
      >>> ramp = np.arange(12.0)[None, :, None] * np.ones((9, 1, 1))
      >>> unknown = np.zeros((9, 12), bool)
      >>> unknown[:, 5:7] = True
      >>> damaged = np.where(unknown[..., None], 0, ramp)
      >>> filled = fill_smoothly(damaged, unknown, np.argwhere(unknown).T)
      >>> filled[:2, 0].round(2).tolist()
      [5.0, 6.0]
    """
    seen = values[~unknown]
    if not len(seen):
        return values[tuple(chosen)].astype(np.float64)
    lowest, highest = seen.min(axis=0), seen.max(axis=0)
    values = values - lowest  # The precision is that of differences, not of levels.
    height, width = unknown.shape
    place = np.full(unknown.shape, -1, np.int64)
    place[tuple(chosen)] = np.arange(chosen.shape[1])
    rows, columns = np.nonzero(scipy.ndimage.binary_dilation(place >= 0))
    # One row for each pixel whose Laplacian is changed by what is filled.
    equation = np.arange(len(rows))
    entries, known = [], np.zeros((len(rows), values.shape[2]))
    count = np.zeros(len(rows))
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        i, j = rows + down, columns + right
        inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
        i, j = i.clip(0, height - 1), j.clip(0, width - 1)
        count += inside
        here = place[i, j]
        is_filled = inside & (here >= 0)
        entries.append((equation[is_filled], here[is_filled], np.ones(is_filled.sum())))
        is_known = inside & (here < 0)
        known[is_known] += values[i, j][is_known]
    here = place[rows, columns]
    entries.append((equation[here >= 0], here[here >= 0], -count[here >= 0]))
    known[here < 0] -= count[here < 0, None] * values[rows, columns][here < 0]
    first, second, factors = map(np.concatenate, zip(*entries, strict=True))
    shape = (len(rows), chosen.shape[1])
    laplacian = scipy.sparse.csr_array((factors, (first, second)), shape)
    start = values[tuple(chosen)].astype(np.float64)
    filled = _least_squares(laplacian, -known, start)
    return np.clip(filled + lowest, lowest, highest)


def _least_squares(
    matrix: scipy.sparse.csr_array, target: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """The least squared `matrix @ x - target`, by conjugate gradients: `n x C`.

    The channels share each product. SciPy's method solves one by one, with products of
    vectors in BLAS, whose threads wait for each other on a busy machine.
    """
    normal, right = (matrix.T @ matrix).tocsr(), matrix.T @ target
    found = start.copy()
    residual = right - normal @ found
    direction = residual.copy()
    error = _inner(residual, residual)
    enough = PRECISION**2 * _inner(right, right)
    for _ in range(STEPS):
        going = error > enough
        if not going.any():
            break
        product = normal @ direction
        curvature = _inner(direction, product)
        step = np.divide(error, curvature, out=np.zeros_like(error), where=going)
        found += step * direction
        residual -= step * product
        before, error = error, _inner(residual, residual)
        ratio = np.divide(error, before, out=np.zeros_like(error), where=going)
        direction *= ratio
        direction += residual
    return found


def _inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The inner products of columns, `C`."""
    products: np.ndarray = np.einsum("nc,nc->c", a, b)
    return products
