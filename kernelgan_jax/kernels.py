"""SR kernels as arrays: the convention, and composing, cleaning, placing, measuring.

The convention, for the whole project: a kernel is an `h x w` **correlation** kernel,
rows first, sum 1. It makes an LR image from an HR image with scale `s` by

    LR[i, j] = sum_uv kernel[u, v] HR[s*i + u - h//2, s*j + v - w//2]

and it is aligned when its centre of mass lies at `(h//2, w//2) + (s - 1)/2`, so that
the bicubic enlargement of LR lies on top of HR (see `degradation.py`). Positions are in
HR pixels, (row, column), 0 at the centre of the first value.

All functions take and return NumPy arrays; `centre_of_mass` takes JAX arrays as well.
Kernels are made in `blur_kernels.py`; `export` gives them to other tools.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from kernelgan_jax import checks
from kernelgan_jax.kernel_export import export as export

MAX_SCALE = 8
"""Largest scale that kernels are estimated and checked for."""


class Widths(NamedTuple):
    """Size and direction of a kernel; see `widths`."""

    longer: float
    """Standard deviation along the longer principal axis, pixels."""
    shorter: float
    """Standard deviation along the shorter principal axis, pixels."""
    angle: float
    """Direction of the longer axis against the horizontal, degrees from -90 to 90,
    counter-clockwise as seen in a picture."""

    @classmethod
    def of(cls, covariance: np.ndarray) -> "Widths":
        """The widths that go with a covariance, `2 x 2`, rows first."""
        variance, axis = np.linalg.eigh(covariance)
        row, column = axis[:, 1]
        angle = math.degrees(math.atan2(-row, column))
        angle = (angle + 90) % 180 - 90
        shorter, longer = np.sqrt(np.clip(variance, 0, None))
        return cls(float(longer), float(shorter), angle)


def frame_size(scale: int) -> int:
    """Side of the square frame in which kernels of a scale are compared and fitted.

    Args:
      scale: Positive integer.

    Returns:
      `8 scale + 9` pixels: the field's 25 at x2 and 41 at x4.

    Example:
      >>> [frame_size(scale) for scale in (2, 3, 4)]
      [25, 33, 41]
    """
    scale = checks.scale(scale)
    return 8 * scale + 9


def alignment(shape: Sequence[int], scale: int) -> np.ndarray:
    """Position at which an aligned kernel has its centre of mass.

    Args:
      shape: (h, w) of the kernel.
      scale: Positive integer.

    Returns:
      (row, column) in pixels.

    Example:
      >>> alignment((13, 12), 2).tolist()
      [6.5, 6.5]
    """
    scale = checks.scale(scale)
    return np.array(shape) // 2 + (scale - 1) / 2


def variance_growth(scale: int) -> float:
    """Variance of a scale's kernel where the x2 kernel has variance 1.

    Downscaling by 4 is downscaling by 2, twice; the second kernel acts on pixels twice
    as large, so the x4 kernel has variance 1 + 4. For `s = 2**n` the sum is
    `1 + 4 + ... + 4**(n - 1) = (s**2 - 1) / 3`, which is taken for all other scales.

    Args:
      scale: Positive integer.

    Returns:
      `(scale**2 - 1) / 3`; 0 for scale 1, which has no kernel.

    Example:
      >>> [variance_growth(scale) for scale in (1, 2, 4, 8)]
      [0.0, 1.0, 5.0, 21.0]
    """
    scale = checks.scale(scale)
    return (scale**2 - 1) / 3


def check(
    kernel: np.ndarray, *, scale: int, image_shape: tuple[int, int] | None = None
) -> None:
    """Checks that an image can be super-resolved with a kernel.

    Args:
      kernel: Any array.
      scale: The scale at which the kernel is to be used.
      image_shape: Height and width of the LR image, if known.

    Raises:
      ValueError: If the kernel is not two-dimensional, is empty, is not finite or too
        large for float32, sums to 0 or less, is larger than the image, or is aligned
        for another scale than this one.

    Example:
      >>> check(np.eye(3), scale=2)
      >>> check(np.zeros((3, 3)), scale=2)
      Traceback (most recent call last):
        ...
      ValueError: kernel sums to 0; it must be positive
    """
    scale = checks.scale(scale)
    kernel = checks.matrix("kernel", kernel)
    total = float(kernel.sum())
    if not total > max(1e-6 * float(np.abs(kernel).max()), 1 / checks.MAX_VALUE):
        raise ValueError(f"kernel sums to {total:g}; it must be positive")
    height, width = kernel.shape
    if image_shape is not None and (height > image_shape[0] or width > image_shape[1]):
        raise ValueError(
            f"kernel is {width}x{height}, larger than the image, {image_shape[1]}x"
            f"{image_shape[0]}; use a larger image, or crop the kernel if it is yours"
        )
    # Its centre of mass shows its scale, unless it is symmetric about its own middle.
    middle = np.array(kernel.shape) // 2
    found = 2 * (centre_of_mass(kernel.astype(np.float64)) - middle) + 1
    symmetric = np.abs(found - np.array(kernel.shape) % 2).max() < 0.1
    for other in range(1, MAX_SCALE + 1):
        if other != scale and not symmetric and np.abs(found - other).max() < 0.45:
            raise ValueError(
                f"kernel is aligned for scale {other}, not {scale} (its centre of mass "
                f"is {(other - 1) / 2:g} pixels off its middle value); use scale "
                f"{other}, or the kernel of scale {scale}"
            )


# --- Cleaning and placing ---


def normalise(kernel: np.ndarray) -> np.ndarray:
    """The kernel divided by its sum.

    Args:
      kernel: Array of any shape; float16 and the like become float32.

    Raises:
      ValueError: If the sum is not a positive finite number, or values are masked.

    Example:
      >>> normalise(np.array([[1.0, 3.0]])).tolist()
      [[0.25, 0.75]]
    """
    checks.known("kernel", kernel)
    checks.unmasked("kernel", kernel)
    kernel = checks.not_half(np.asarray(kernel))
    total = kernel.sum() if kernel.dtype.kind in "fiub" and kernel.size else math.nan
    if not (np.isfinite(total) and total > 0):
        raise ValueError(f"the kernel's sum is {total}; it must be positive and finite")
    return kernel / total


def remove_floor(
    kernel: np.ndarray, *, fraction: float = 0.0, count: int = 40
) -> np.ndarray:
    """Removes negative values and a noise floor, and makes the sum 1.

    The floor that is subtracted is `fraction` of the (count + 1)-th largest value. The
    official KernelGAN subtracts 0.75 of the 41st, which makes kernels narrower by a
    third in variance, even true ones; 0 only clips what is negative.

    Args:
      kernel: `h x w`.
      fraction: From 0 to 1.
      count: Number of values that count as signal, from 1 to `h*w - 1`.

    Returns:
      `h x w`, non-negative, sum 1.

    Raises:
      ValueError: If an argument is out of range or nothing positive is left.

    Example:
      >>> kernel = np.array([[0.0, 0.25], [0.75, -0.5]])
      >>> remove_floor(kernel, count=1).tolist()
      [[0.0, 0.25], [0.75, 0.0]]
      >>> remove_floor(kernel, fraction=1, count=1).tolist()
      [[0.0, 0.0], [1.0, 0.0]]
    """
    kernel = checks.matrix("kernel", kernel)
    checks.number("fraction", fraction, maximum=1, static=True)
    count = checks.whole("count", count)
    if not count < kernel.size:
        raise ValueError(f"count is {count}; it must be from 1 to {kernel.size - 1}")
    floor = fraction * np.sort(kernel, axis=None)[-count - 1]
    return normalise(np.clip(kernel - floor, 0, None))


def centre(kernel: np.ndarray, scale: int) -> np.ndarray:
    """Shifts a kernel, by cubic spline, to the alignment of this module for `scale`.

    The kernel is first padded by as much as the shift needs, so the result is larger.

    Args:
      kernel: `h x w`; its values must not nearly cancel.
      scale: The kernel's scale, a positive integer.

    Returns:
      `(h + 2p) x (w + 2p)`, p = 1 + the shift rounded up.

    Example:
      >>> kernel = centre(np.ones((3, 3)) / 9, 2)
      >>> kernel.shape, alignment(kernel.shape, 2).tolist()
      ((7, 7), [3.5, 3.5])
      >>> centre_of_mass(kernel).round(2).tolist()
      [3.5, 3.5]
    """
    kernel = checks.matrix("kernel", kernel, sums=True)
    shift = alignment(kernel.shape, scale) - centre_of_mass(kernel)
    pad = math.ceil(np.abs(shift).max()) + 1
    return scipy.ndimage.shift(np.pad(kernel, pad), shift)


def scale_width(kernel: np.ndarray, factor: float) -> np.ndarray:
    """Makes a kernel wider or narrower around its centre of mass, linearly.

    Args:
      kernel: `h x w`; its values must not nearly cancel.
      factor: Of the widths, up to 100; above 1 the array grows with it.

    Returns:
      `(h + 2p) x (w + 2p)`, sum 1, p as much as the growth needs.

    Raises:
      ValueError: If the factor is out of range, or nothing is left of the kernel.

    Example:
      >>> from kernelgan_jax.blur_kernels import gaussian
      >>> kernel = gaussian(15, variances=(4.0, 4.0), scale=2)
      >>> wider = scale_width(kernel, 1.5)
      >>> wider.shape, round(widths(wider).longer)
      ((23, 23), 3)
    """
    kernel = checks.matrix("kernel", kernel, sums=True)
    checks.number("factor", factor, positive=True, maximum=100, static=True)
    pad = math.ceil(max(factor - 1, 0) * max(kernel.shape) / 2)
    padded = np.pad(kernel, pad + 1)  # Zeros to interpolate with behind the edge.
    centre = np.array(centre_of_mass(padded))
    scaled = scipy.ndimage.affine_transform(
        padded, np.eye(2) / factor, offset=centre - centre / factor, order=1
    )
    return normalise(scaled[1:-1, 1:-1])


def trim(kernel: np.ndarray) -> np.ndarray:
    """Removes rows and columns at the border of a kernel that hold next to nothing.

    Args:
      kernel: `h x w`, sum 1.

    Returns:
      The part outside of which the absolute values of each row and column sum to under
      1e-5. The same margin is taken from all sides: it stays aligned; sum 1.

    Example:
      >>> trim(np.pad(np.full((3, 3), 1 / 9), 4)).shape
      (3, 3)
    """
    kernel = checks.matrix("kernel", kernel)
    margins = []
    for axis in (0, 1):
        found = np.flatnonzero(np.abs(kernel).sum(1 - axis) >= 1e-5)
        if not found.size:
            raise ValueError("kernel has no row or no column that sums to 1e-5")
        margins += [found[0], kernel.shape[axis] - 1 - found[-1]]
    inner = [slice(min(margins), side - min(margins)) for side in kernel.shape]
    return normalise(kernel[tuple(inner)])


def stack(kernels: Sequence[np.ndarray]) -> np.ndarray:
    """Puts kernels of several sizes into one array, with zeros around smaller ones.

    Args:
      kernels: N kernels `h_i x w_i` whose sizes differ by even numbers, as those of
        `centre` do, so that all stay aligned.

    Returns:
      `N x h x w` of the largest height and width.

    Example:
      >>> stack([np.ones((3, 3)), np.ones((5, 7))]).shape
      (2, 5, 7)
    """
    checks.sequence("kernels", kernels)
    kernels = [checks.matrix("kernels", kernel) for kernel in kernels]
    sizes = np.array([kernel.shape for kernel in kernels])
    if ((sizes.max(0) - sizes) % 2).any():
        raise ValueError("kernels have sizes that do not differ by even numbers")
    margins = (sizes.max(0) - sizes) // 2
    pairs = zip(kernels, margins, strict=True)
    return np.stack([np.pad(kernel, np.stack([n, n], 1)) for kernel, n in pairs])


# --- Composing ---


def compose(first: np.ndarray, second: np.ndarray, *, scale: int) -> np.ndarray:
    """The kernel of downscaling by `scale` with one kernel, then with another.

    This is the full convolution of the first kernel with the second, whose values are
    moved `scale` pixels apart.

    Args:
      first: `h x w`, applied to the HR image.
      second: `n x m`, applied to the result.
      scale: Scale of the first downscaling, a positive integer.

    Returns:
      `(h + scale (n - 1)) x (w + scale (m - 1))`, of the first kernel's dtype.

    Example:
      >>> compose(np.array([[1.0, 2.0]]), np.array([[1.0, 10.0]]), scale=2).tolist()
      [[1.0, 2.0, 10.0, 20.0]]
    """
    first, second = checks.matrix("first", first), checks.matrix("second", second)
    scale = checks.scale(scale)
    height, width = first.shape
    sides = (np.array(second.shape) - 1) * scale + first.shape
    full = np.zeros(sides, first.dtype)
    for (u, v), value in np.ndenumerate(second):
        row, column = scale * u, scale * v
        full[row : row + height, column : column + width] += value * first
    return full


def kernel_x4(kernel: np.ndarray) -> np.ndarray:
    """The x4 kernel that follows from a x2 kernel: downscaling by 2, twice.

    The margin of the composed kernel, `n//2` pixels at the top and left and as many as
    the alignment needs at the bottom and right, is cut off.

    Args:
      kernel: `n x n`, n at least 3, aligned for scale 2.

    Returns:
      `m x m`, aligned for scale 4, sum 1; m is `2n - 1` for odd n and `2n` for even n.

    References:
      Bell-Kligler, Shocher, Irani, "Blind Super-Resolution Kernel Estimation using an
      Internal-GAN", NeurIPS 2019, section 4.2.

    Example:
      >>> from kernelgan_jax.blur_kernels import gaussian
      >>> k2 = gaussian(21, variances=(2.0, 1.0), scale=2)
      >>> k4 = kernel_x4(k2)
      >>> k4.shape, [round(float(v), 2) for v in np.diag(covariance(k4))]
      ((41, 41), [5.0, 10.0])
    """
    kernel, n = checks.matrix("kernel", kernel), len(kernel)
    if kernel.shape != (n, n) or n < 3:
        raise ValueError(f"kernel is {kernel.shape}; it must be square, at least 3 x 3")
    full = compose(kernel, kernel, scale=2)
    inside = slice(n // 2, n // 2 + (2 * n - n % 2))
    return normalise(full[inside, inside])


# --- Measuring ---


def centre_of_mass(kernel: Any) -> Any:
    """Centre of mass of a kernel.

    Args:
      kernel: `h x w`, NumPy or JAX.

    Returns:
      (row, column) in pixels, of the kernel's kind and dtype. A kernel whose sum is
      exactly 0 gives its first moments instead.

    Example:
      >>> centre_of_mass(np.array([[0.0, 1.0], [0.0, 3.0]])).tolist()
      [0.75, 1.0]
    """
    if not checks.traced(kernel):
        checked = checks.matrix("kernel", kernel)
        kernel = kernel if hasattr(kernel, "at") else checked
    # NumPy's functions, or JAX's, without importing JAX for NumPy arrays.
    xp: Any = kernel.__array_namespace__()
    total = kernel.sum()
    total = xp.where(total == 0, xp.ones_like(total), total)
    rows = xp.arange(kernel.shape[0], dtype=kernel.dtype)
    columns = xp.arange(kernel.shape[1], dtype=kernel.dtype)
    return xp.stack(
        [(kernel.sum(1) * rows).sum() / total, (kernel.sum(0) * columns).sum() / total]
    )


def covariance(kernel: np.ndarray) -> np.ndarray:
    """Covariance of a kernel taken as a distribution.

    Args:
      kernel: `h x w`, sum not 0.

    Returns:
      2 x 2, rows first, pixels^2.

    Example:
      >>> covariance(np.array([[0.5, 0.0, 0.5]])).tolist()
      [[0.0, 0.0], [0.0, 1.0]]
    """
    kernel = checks.matrix("kernel", kernel, sums=True)
    kernel = kernel / kernel.sum()
    position = np.indices(kernel.shape).reshape(2, -1)
    position = position - centre_of_mass(kernel)[:, None]
    return (kernel.ravel() * position) @ position.T


def widths(kernel: np.ndarray) -> Widths:
    """Standard deviations of a kernel along its principal axes, and its direction.

    A kernel with negative values can have a negative variance: its standard deviation
    is then given as 0.

    Args:
      kernel: `h x w`, sum not 0.

    Example:
      >>> from kernelgan_jax.blur_kernels import gaussian
      >>> kernel = gaussian(25, variances=(4.0, 1.0), angle=np.pi / 6, scale=2)
      >>> longer, shorter, angle = widths(kernel)
      >>> round(longer, 2), round(shorter, 2), round(angle, 1)
      (2.0, 1.0, 30.0)
    """
    return Widths.of(covariance(kernel))
