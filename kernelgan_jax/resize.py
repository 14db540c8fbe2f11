"""TODO docstring."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -1/2."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _taps(size: int, out: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Source indices and weights, each `out x taps`, of a one-dimensional resize."""
    stretch = min(scale, 1.0)  # antialiasing: the kernel widens as the image shrinks
    width = 4 / stretch
    centre = (np.arange(out) + 0.5) / scale - 0.5
    first = np.floor(centre - width / 2).astype(int) + 1
    index = first[:, None] + np.arange(int(np.ceil(width)) + 1)
    weight = cubic(stretch * (centre[:, None] - index))
    weight /= weight.sum(axis=1, keepdims=True)
    used = np.any(weight != 0, axis=0)
    mirror = np.concatenate([np.arange(size), np.arange(size)[::-1]])
    return mirror[index[:, used] % (2 * size)], weight[:, used]


def bicubic_resize(image: Any, scale: float) -> Any:
    """Resizes an image bicubically, with antialiasing when it shrinks.

    Equals MATLAB's `imresize(image, scale)`: Keys' kernel, mirrored borders.

    Args:
      image: `H x W` or `H x W x C`, floating point, NumPy or JAX.
      scale: Positive factor of both sides.

    Returns:
      `ceil(scale*H) x ceil(scale*W) [x C]`, of the same kind and dtype.

    Raises:
      ValueError: If the scale or the rank is out of range.
    """
    if not 0 < scale < np.inf:
        raise ValueError(f"scale is {scale!r}; it must be positive and finite")
    if image.ndim not in (2, 3):
        raise ValueError(f"image has {image.ndim} axes; it must have 2 or 3")
    xp: Any = jnp if isinstance(image, jax.Array) else np
    for axis in (0, 1):
        size = image.shape[axis]
        # Rounded first: 0.1 * 30 is a little more than 3 in floating point.
        index, weight = _taps(size, int(np.ceil(round(scale * size, 6))), scale)
        shape = [1] * image.ndim
        shape[axis] = -1
        # Tap by tap: no array of H x W x taps.
        image = sum(
            xp.take(image, index[:, t], axis=axis)
            * xp.asarray(weight[:, t].reshape(shape), dtype=image.dtype)
            for t in range(index.shape[1])
        )
    return image
