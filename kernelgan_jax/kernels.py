"""SR kernels as arrays: composing, cleaning, centring, measuring and making them.

The convention, for the whole project: a kernel is an `h x w` **correlation** kernel,
rows first, sum 1. It makes an LR image from an HR image with scale `s` by

    LR[i, j] = sum_uv kernel[u, v] HR[s*i + u - h//2, s*j + v - w//2]

and it is aligned when its centre of mass lies at `(h//2, w//2) + (s - 1)/2`, so that
the bicubic enlargement of LR lies on top of HR (see `resize.py`). Positions are in HR
pixels, (row, column), 0 at the centre of the first value.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage


def collapse(
    filters: Sequence[jax.Array], strides: Sequence[int] | None = None
) -> jax.Array:
    """Composes the filters of a deep linear network into the one kernel they stand for.

    Correlating with `filters[0]`, then `filters[1]`, ... equals correlating once with
    the result (paper, section 4.1). The composition runs from the output side, where
    there is one channel: for the paper's generator 1.1 M multiply-adds, a thousandth of
    what the layers themselves take on a crop.

    Args:
      filters: Filters in the order in which they apply, each `h x w x in x out` (Flax's
        layout), the first with 1 input channel, the last with 1 output channel.
      strides: The stride of each layer; all 1 if not given. The last one's does not
        matter for the kernel.

    Returns:
      `h x w` kernel, of side `1 + sum_i (h_i - 1) s_0 ... s_(i-1)`. Its sum is not
      normalised.
    """
    strides = strides or [1] * len(filters)
    kernel = filters[-1][..., 0]
    for filter_, stride in reversed(list(zip(filters, strides, strict=True))[:-1]):
        kernel = _dilate(kernel, stride)
        products = jnp.einsum("hwo,pqio->hpwqi", kernel, filter_)
        kernel = _overlap_add(_overlap_add(products, 0), 1)
    return kernel[..., 0]


def _dilate(kernel: jax.Array, stride: int) -> jax.Array:
    """Puts `stride - 1` zeros between the rows and columns of `h x w x channels`."""
    between = (0, 0, stride - 1)
    zero = jnp.zeros((), kernel.dtype)
    return jax.lax.pad(kernel, zero, (between, between, (0, 0, 0)))


def _overlap_add(x: jax.Array, axis: int) -> jax.Array:
    """Sums `x[.., i, j, ..]` over all `i + j = n`: the sum in a full convolution.

    Padding each row by its number of rows and cutting the flattened array short shears
    it, row `i` by `i` places, so that one sum along the columns does it.
    """
    rows, columns = x.shape[axis : axis + 2]
    before, after = x.shape[:axis], x.shape[axis + 2 :]
    width = [(0, 0)] * x.ndim
    width[axis + 1] = (0, rows)
    flat = jnp.pad(x, width).reshape(*before, rows * (columns + rows), *after)
    out = rows + columns - 1
    flat = jax.lax.slice_in_dim(flat, 0, rows * out, axis=axis)
    return flat.reshape(*before, rows, out, *after).sum(axis)


def remove_floor(
    kernel: np.ndarray, fraction: float = 0.0, count: int = 40
) -> np.ndarray:
    """Removes negative values and a noise floor, and makes the sum 1.

    The floor that is subtracted is `fraction` of the (count + 1)-th largest value. The
    reference subtracts 0.75 of the 41st, which makes kernels narrower by a third in
    variance, even true ones; 0 only clips what is negative.

    Args:
      kernel: `h x w`.
      fraction: From 0 to 1.
      count: Number of values that count as signal, from 1 to `h*w - 1`.

    Returns:
      `h x w`, non-negative, sum 1.

    Raises:
      ValueError: If an argument is out of range or nothing positive is left.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction is {fraction}; it must be from 0 to 1")
    if not 1 <= count < kernel.size:
        raise ValueError(f"count is {count}; it must be from 1 to {kernel.size - 1}")
    floor = fraction * np.sort(kernel, axis=None)[-count - 1]
    return normalise(np.clip(kernel - floor, 0, None))


def centre(kernel: np.ndarray, scale: int) -> np.ndarray:
    """Shifts a kernel, by cubic spline, to the alignment of this module for `scale`.

    The kernel is first padded by as much as the shift needs, so the result is larger.

    Args:
      kernel: `h x w`, sum not 0.
      scale: The kernel's scale, a positive integer.

    Returns:
      `(h + 2p) x (w + 2p)`, p = 1 + the shift rounded up.
    """
    shift = alignment(kernel.shape, scale) - centre_of_mass(kernel)
    pad = math.ceil(np.abs(shift).max()) + 1
    return scipy.ndimage.shift(np.pad(kernel, pad), shift)


def scale_width(kernel: np.ndarray, factor: float) -> np.ndarray:
    """Makes a kernel wider or narrower around its centre of mass, linearly.

    Args:
      kernel: `h x w`, sum not 0.
      factor: By how much; above 1 the kernel grows by as much.

    Returns:
      `(h + 2p) x (w + 2p)`, sum 1, p as much as the growth needs.
    """
    pad = math.ceil(max(factor - 1, 0) * max(kernel.shape) / 2)
    padded = np.pad(kernel, pad)
    centre = np.array(centre_of_mass(padded))
    stretched = scipy.ndimage.affine_transform(
        padded, np.eye(2) / factor, offset=centre - centre / factor, order=1
    )
    return normalise(stretched)


def stack(kernels: Sequence[np.ndarray]) -> np.ndarray:
    """Kernels of several sizes in one array, with zeros around the smaller ones.

    Args:
      kernels: N of them, `h_i x w_i`, whose sizes differ by even numbers, as those of
        `centre` do: so all stay aligned.

    Returns:
      `N x h x w`, of the largest height and width.
    """
    sizes = np.array([kernel.shape for kernel in kernels])
    pads = (sizes.max(0) - sizes) // 2
    return np.stack(
        [
            np.pad(kernel, [(n, n) for n in pad])
            for kernel, pad in zip(kernels, pads, strict=True)
        ]
    )


def kernel_x4(kernel: np.ndarray) -> np.ndarray:
    """The x4 kernel that follows from a x2 kernel (paper, section 4.2).

    Downscaling twice by 2 is downscaling once by 4, with the x2 kernel convolved with
    itself dilated by 2.

    Args:
      kernel: `n x n`, aligned for scale 2.

    Returns:
      `m x m` with `m = 3n - 2 - 2*(n//2)`, aligned for scale 4, sum 1.
    """
    n = len(kernel)
    full = np.zeros((3 * n - 2, 3 * n - 2), kernel.dtype)
    for (u, v), value in np.ndenumerate(kernel):
        full[2 * u : 2 * u + n, 2 * v : 2 * v + n] += value * kernel
    inside = slice(n // 2, len(full) - n // 2)
    return normalise(full[inside, inside])


def trim(kernel: np.ndarray) -> np.ndarray:
    """A kernel without rings at its border that hold next to nothing.

    Args:
      kernel: `h x w`, sum 1, of no value below 0.

    Returns:
      The part of it outside of which each row and column sums to under 1e-5, with the
      same margin taken from all sides, so that it stays aligned; sum 1.
    """
    margins = []
    for axis in (0, 1):
        found = np.flatnonzero(kernel.sum(1 - axis) >= 1e-5)
        margins += [found[0], kernel.shape[axis] - 1 - found[-1]]
    margin = min(margins)
    height, width = kernel.shape
    return normalise(kernel[margin : height - margin, margin : width - margin])


def normalise(kernel: np.ndarray) -> np.ndarray:
    """The kernel divided by its sum.

    Raises:
      ValueError: If the sum is not a positive finite number.
    """
    total = kernel.sum()
    if not (np.isfinite(total) and total > 0):
        raise ValueError(f"the kernel's sum is {total}; it must be positive and finite")
    return kernel / total


def check(
    kernel: np.ndarray, *, scale: int, image_shape: tuple[int, int] | None = None
) -> None:
    """Checks that an image can be super-resolved with a kernel.

    Args:
      kernel: Any array.
      scale: The scale it is to be used at.
      image_shape: Height and width of the LR image, if known.

    Raises:
      ValueError: If it is not two-dimensional, empty, not finite, sums to 0, is larger
        than the image, or is aligned for another scale than this one.
    """
    if kernel.ndim != 2 or kernel.size == 0:
        raise ValueError(
            f"kernel has shape {kernel.shape}; it must be height x width, not empty"
        )
    if not np.issubdtype(kernel.dtype, np.number) or np.iscomplexobj(kernel):
        raise ValueError(f"kernel holds {kernel.dtype}, not real numbers")
    if not np.isfinite(kernel).all():
        raise ValueError("kernel has values that are not finite")
    total = float(kernel.sum())
    if not total > 1e-6 * float(np.abs(kernel).max()):
        raise ValueError(f"kernel sums to {total:g}; it must be positive")
    height, width = kernel.shape
    if image_shape is not None and (height > image_shape[0] or width > image_shape[1]):
        raise ValueError(
            f"kernel is {width}x{height}, larger than the image, "
            f"{image_shape[1]}x{image_shape[0]}; crop the kernel's empty margin"
        )
    # An aligned kernel says which scale it was made for. Symmetric ones, centred on
    # themselves, do not say it, and pass.
    middle = np.array(kernel.shape) // 2
    found = 2 * (centre_of_mass(kernel.astype(np.float64)) - middle) + 1
    symmetric = np.abs(found - np.array(kernel.shape) % 2).max() < 0.1
    for other in range(1, 9):
        if other != scale and not symmetric and np.abs(found - other).max() < 0.45:
            raise ValueError(
                f"kernel is aligned for scale {other}, not {scale} (its centre of mass "
                f"is {(other - 1) / 2:g} pixels off its middle value); use "
                f"--config.scale={other}, or the kernel of this scale"
            )


def alignment(shape: Sequence[int], scale: int) -> np.ndarray:
    """Where an aligned `h x w` kernel has its centre of mass: (row, column), pixels."""
    return np.array(shape) // 2 + (scale - 1) / 2


def centre_of_mass(kernel: Any) -> Any:
    """Centre of mass, (row, column) in pixels, of an `h x w` kernel, NumPy or JAX.

    In its place a kernel whose sum is exactly 0 gives its first moments.
    """
    xp: Any = jnp if isinstance(kernel, jax.Array) else np
    total = kernel.sum()
    total = xp.where(total == 0, xp.ones_like(total), total)
    rows = xp.arange(kernel.shape[0], dtype=kernel.dtype)
    columns = xp.arange(kernel.shape[1], dtype=kernel.dtype)
    return xp.stack(
        [(kernel.sum(1) * rows).sum() / total, (kernel.sum(0) * columns).sum() / total]
    )


def covariance(kernel: np.ndarray) -> np.ndarray:
    """Covariance of a kernel taken as a distribution: 2 x 2, rows first, pixels^2."""
    kernel = kernel / kernel.sum()
    position = np.indices(kernel.shape).reshape(2, -1)
    position = position - centre_of_mass(kernel)[:, None]
    return (kernel.ravel() * position) @ position.T


def widths(kernel: np.ndarray) -> tuple[float, float, float]:
    """Standard deviations along the principal axes, and the direction of the longer.

    Returns:
      (longer, shorter) in pixels, and the angle in degrees, from -90 to 90, of the
      longer axis against the horizontal, counter-clockwise as seen in a picture. A
      kernel with negative values can have a negative variance: its standard deviation
      is given as 0.
    """
    variance, axis = np.linalg.eigh(covariance(kernel))
    row, column = axis[:, 1]
    angle = math.degrees(math.atan2(-row, column))
    angle = (angle + 90) % 180 - 90
    shorter, longer = np.sqrt(np.clip(variance, 0, None))
    return float(longer), float(shorter), angle
