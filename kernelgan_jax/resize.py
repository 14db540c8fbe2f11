"""Antialiased bicubic resizing, and downscaling with a kernel.

Alignment, for the whole project: pixel `i` of an image covers the interval `[i, i +
1)`, so that resizing keeps the corners of the image (not the centres of its corner
pixels) in place, as MATLAB's `imresize` does: LR pixel `i` sits at HR position `s*i +
(s - 1)/2`. A kernel therefore has its centre of mass there too (see `kernels.py`), and
the bicubic enlargement of an LR image lies on top of its HR image.

Images are `H x W x C` (or `H x W`); NumPy arrays in give NumPy arrays out, JAX arrays
JAX arrays.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage


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


def downscale(image: Any, kernel: Any, scale: int) -> Any:
    """Downscales an image with an SR kernel: correlation, then subsampling.

    `LR[i, j] = sum_uv kernel[u, v] image[scale*i + u - h//2, scale*j + v - w//2]`, with
    mirrored borders.

    Args:
      image: `H x W` or `H x W x C`, floating point, NumPy or JAX.
      kernel: `h x w` correlation kernel; for a JAX image no larger than the image.
      scale: Positive integer.

    Returns:
      `ceil(H/scale) x ceil(W/scale) [x C]`, of the kind and dtype of the image.

    Raises:
      ValueError: If the scale or a rank is out of range.
    """
    if scale < 1 or int(scale) != scale:
        raise ValueError(f"scale is {scale!r}; it must be a positive integer")
    if image.ndim not in (2, 3):
        raise ValueError(f"image has {image.ndim} axes; it must have 2 or 3")
    if kernel.ndim != 2:
        raise ValueError(f"kernel has {kernel.ndim} axes; it must have 2")
    if isinstance(image, jax.Array):
        before = [side // 2 for side in kernel.shape]
        pad = [(b, side - 1 - b) for b, side in zip(before, kernel.shape, strict=True)]
        planes = image[None] if image.ndim == 2 else jnp.moveaxis(image, -1, 0)
        padded = jnp.pad(planes, ((0, 0), *pad), mode="symmetric")
        # Colours are the batch: one filter for all.
        out = jax.lax.conv_general_dilated(
            padded[:, None],
            jnp.asarray(kernel, image.dtype)[None, None],
            (scale, scale),
            "VALID",
        )[:, 0]
        return out[0] if image.ndim == 2 else jnp.moveaxis(out, 0, -1)
    kernel = kernel.reshape(kernel.shape + (1,) * (image.ndim - 2))
    return scipy.ndimage.correlate(image, kernel, mode="reflect")[::scale, ::scale]
