"""Antialiased bicubic resizing, aligned as MATLAB's `imresize` is.

Pixel `i` of an image covers the interval `[i, i + 1)`: resizing keeps the corners of
the image in place, not the centres of its corner pixels. Images are `H x W` or
`H x W x C`; NumPy arrays in give NumPy arrays out, JAX arrays give JAX arrays.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import checks

_MAX_SIDE = 2**24
"""Longest side of a resized image, pixels."""


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -1/2.

    Args:
      x: Distances from the centre, of any shape.

    Returns:
      The kernel's values; 0 from a distance of 2 on.

    References:
      Keys, "Cubic Convolution Interpolation for Digital Image Processing", IEEE
      Transactions on Acoustics, Speech, and Signal Processing, 1981.

    Example:
      >>> cubic(np.array([0.0, 0.5, 1.0, 1.5, 2.0])).tolist()
      [1.0, 0.5625, 0.0, -0.0625, 0.0]
    """
    checks.known("x", x)
    checks.finite("x", x)
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def bicubic_resize(image: Any, scale: float) -> Any:
    """Resizes an image bicubically, with antialiasing when it shrinks.

    Equals MATLAB's `imresize(image, scale)`: Keys' kernel, mirrored borders.

    Args:
      image: `H x W` or `H x W x C`, floating point, NumPy or JAX. Sums of bfloat16 and
        float16 images are computed in float32.
      scale: Positive factor of both sides.

    Returns:
      `ceil(scale*H) x ceil(scale*W) [x C]`, of the same kind and dtype. Values can
      leave the range of the image's.

    Raises:
      ValueError: If the scale is out of range or the image not floating point.

    Example:
      >>> bicubic_resize(np.ones((6, 8, 3)), 0.5).shape
      (3, 4, 3)
    """
    checks.number("scale", scale, positive=True, static=True)
    if isinstance(scale, np.integer | jax.Array):
        scale = scale.item()  # Small types may overflow.
    checks.floating("image", image, (2, 3))
    sides = [round(scale * side, 6) for side in image.shape[:2]]
    if not (0 < min(sides) and max(sides) <= _MAX_SIDE):
        raise ValueError(
            f"scale is {scale!r}; the image would become {sides[0]:g} x {sides[1]:g}"
        )
    xp: Any = jnp if isinstance(image, jax.Array) else np
    dtype = image.dtype
    if dtype.itemsize < 4:
        image = image.astype(np.float32)
    for axis in (0, 1):
        # Rounded before: 0.1 * 30 is a little more than 3 in floating point.
        index, weight = _taps(image.shape[axis], int(np.ceil(sides[axis])), scale)
        shape = [1] * image.ndim
        shape[axis] = -1
        # Tap by tap: no array of H x W x taps.
        image = sum(
            xp.take(image, index[:, t], axis=axis)
            * xp.asarray(weight[:, t].reshape(shape), dtype=image.dtype)
            for t in range(index.shape[1])
        )
    return image.astype(dtype, copy=False)


def _taps(size: int, out: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Source indices and weights, each `out x taps`, of a one-dimensional resize."""
    shrink = min(scale, 1.0)  # antialiasing: the kernel widens as the image shrinks
    width = 4 / shrink
    centre = (np.arange(out) + 0.5) / scale - 0.5
    first = np.floor(centre - width / 2).astype(int) + 1
    index = first[:, None] + np.arange(int(np.ceil(width)) + 1)
    weight = cubic(shrink * (centre[:, None] - index))
    weight /= weight.sum(axis=1, keepdims=True)
    used = np.any(weight != 0, axis=0)
    mirror = np.concatenate([np.arange(size), np.arange(size)[::-1]])
    return mirror[index[:, used] % (2 * size)], weight[:, used]
