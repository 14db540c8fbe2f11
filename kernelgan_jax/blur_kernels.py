"""TODO docstring."""

import math

import numpy as np

from kernelgan_jax.kernels import alignment, normalise
from kernelgan_jax.resize import cubic


def bicubic(scale: int) -> np.ndarray:
    """The antialiased bicubic kernel of `imresize(image, 1/scale)`.

    Args:
      scale: A positive integer.

    Returns:
      `4s x 4s` float64, for odd scales `4s - 1` at each side; sum 1, symmetric about
      its own middle.

    Raises:
      ValueError: If the scale is out of range.
    """
    if scale < 1:
        raise ValueError(f"scale is {scale}; it must be at least 1")
    size = 4 * scale - scale % 2  # For odd scales it lies on a pixel.
    taps = cubic((np.arange(size) - (size - 1) / 2) / scale)
    return normalise(np.outer(taps, taps))


def gaussian(
    size: int,
    *,
    variances: tuple[float, float],
    angle: float = 0.0,
    scale: int = 1,
) -> np.ndarray:
    """An anisotropic Gaussian kernel, sampled, aligned for `scale`, sum 1.

    Args:
      size: Side in pixels, at least 1.
      variances: Variances along the two principal axes, pixels^2, positive.
      angle: Direction of the first principal axis, radians, counter-clockwise from the
        horizontal as seen in a picture.
      scale: Scale that the kernel is aligned for.

    Returns:
      `size x size` float64.

    Raises:
      ValueError: If the size or a variance is out of range.
    """
    if size < 1:
        raise ValueError(f"size is {size}; it must be at least 1")
    if not min(variances) > 0:
        raise ValueError(f"variances are {variances}; they must be positive")
    row, column = np.indices((size, size)) - alignment((size, size), scale)[0]
    along = column * math.cos(angle) - row * math.sin(angle)
    across = column * math.sin(angle) + row * math.cos(angle)
    exponent = along**2 / variances[0] + across**2 / variances[1]
    return normalise(np.exp(-exponent / 2))


def random_gaussian(
    rng: np.random.Generator,
    size: int,
    *,
    scale: int,
    variances: tuple[float, float] = (0.6, 5.0),
    noise: float = 0.25,
) -> np.ndarray:
    """A random anisotropic Gaussian with multiplicative noise.

    The defaults are those of DIV2KRK at scale 2 (Bell-Kligler et al. 2019, section 5),
    there with `size` 11.

    Args:
      rng: Source of randomness.
      size: Side in pixels, at least 1.
      scale: Scale that the kernel is aligned for.
      variances: Least and largest variance along the principal axes, pixels^2.
      noise: Each value is multiplied by `1 + U(-noise, noise)`, from 0 to 1.

    Returns:
      `size x size` float64, non-negative, sum 1.

    Raises:
      ValueError: If the size, a variance or the noise is out of range.
    """
    if not 0 < variances[0] <= variances[1] < math.inf:
        raise ValueError(f"variances are {variances}; they must be positive, ascending")
    if not 0 <= noise <= 1:
        raise ValueError(f"noise is {noise}; it must be from 0 to 1")
    along, across = rng.uniform(*variances, 2)
    angle = rng.uniform(-math.pi, math.pi)
    kernel = gaussian(size, variances=(along, across), angle=angle, scale=scale)
    return normalise(kernel * (1 + rng.uniform(-noise, noise, kernel.shape)))


def disk(size: int, *, radius: float, scale: int = 1) -> np.ndarray:
    """An evenly filled circle, as of a lens out of focus, aligned for `scale`, sum 1.

    Args:
      size: Side in pixels, at least 1.
      radius: In pixels, positive.
      scale: Scale that the kernel is aligned for.

    Returns:
      `size x size` float64; values at the rim are the part of the pixel that is inside.

    Raises:
      ValueError: If the size or the radius is out of range, or nothing is left.
    """
    if not 0 < radius < math.inf:
        raise ValueError(f"radius is {radius}; it must be positive and finite")
    row, column = _fine_grid(size, scale)
    return normalise(_coarse(row**2 + column**2 <= radius**2))


def motion(
    size: int, *, length: float, angle: float = 0.0, scale: int = 1
) -> np.ndarray:
    """A straight, even motion, aligned for `scale`, sum 1.

    The picture moves under LR pixels of `scale x scale` HR pixels that collect light
    all the while: an even square, smeared along a line.

    Args:
      size: Side in pixels, at least 1.
      length: Of the line in pixels, at least 0.
      angle: Direction of the line, radians, counter-clockwise from the horizontal as
        seen in a picture.
      scale: Scale that the kernel is aligned for.

    Returns:
      `size x size` float64.

    Raises:
      ValueError: If the size or the length is out of range.
    """
    if not 0 <= length < math.inf:
        raise ValueError(f"length is {length}; it must be at least 0 and finite")
    row, column = _fine_grid(size, scale)
    # How long each point of the grid is under the moving square.
    covered = np.zeros(row.shape)
    steps = np.linspace(-length / 2, length / 2, 2 * math.ceil(length * _FINE) + 1)
    for step in steps:
        y, x = row + step * math.sin(angle), column - step * math.cos(angle)
        covered += (np.abs(y) <= scale / 2) & (np.abs(x) <= scale / 2)
    return normalise(_coarse(covered))


_FINE = 8
"""Points a pixel and axis at which shapes with sharp edges are sampled."""


def _fine_grid(size: int, scale: int) -> np.ndarray:
    """Rows and columns, pixels from the alignment, of `_FINE` points a pixel."""
    if size < 1:
        raise ValueError(f"size is {size}; it must be at least 1")
    fine = (np.indices((size * _FINE,) * 2) + 0.5) / _FINE - 0.5
    return fine - alignment((size, size), scale)[0]


def _coarse(fine: np.ndarray) -> np.ndarray:
    side = len(fine) // _FINE
    return fine.reshape(side, _FINE, side, _FINE).mean((1, 3))
