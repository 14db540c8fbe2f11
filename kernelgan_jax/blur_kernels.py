"""Kernels to downscale with: resamplers, Gaussians, disks and straight motions.

All are float64 correlation kernels of sum 1. The resamplers, `bicubic`, `lanczos` and
`box`, are symmetric about their own middle. All others are aligned for a scale `s` (see
`kernels.py`): their centre of mass lies at `(h//2, w//2) + (s - 1)/2`, so that an image
which is downscaled with one and enlarged bicubically lies on the HR image. At scale 1
that is the middle value. A size without room for a kernel cuts it off, which can move
its centre of mass: `kernels.centre` then moves it back.
"""

import math
from typing import Any

import numpy as np

from kernelgan_jax import checks
from kernelgan_jax.kernels import alignment, normalise
from kernelgan_jax.resize import cubic

MAX_SIDE = 1024
"""Longest side of a kernel that is made, pixels."""

MIN_VARIANCE = 0.1
"""Smallest variance of Gaussians that are fitted or derived, pixels^2: narrower ones
fall between the pixels."""

LEAST_VARIANCE = 1e-3
"""Smallest variance that changes a Gaussian, pixels^2: of narrower ones the nearest
pixels are left, whose values could not be represented at even scales."""

_FINE = 8
"""Points a pixel and axis at which shapes with sharp edges are sampled."""


def bicubic(scale: int) -> np.ndarray:
    """The antialiased bicubic kernel of `imresize(image, 1/scale)`.

    Args:
      scale: A positive integer.

    Returns:
      `4s x 4s` float64, for odd scales `4s - 1` at each side; sum 1, symmetric about
      its own middle. `kernels.centre` aligns it.

    Raises:
      ValueError: If the scale is out of range.

    Example:
      >>> bicubic(2).shape, bicubic(3).shape
      ((8, 8), (11, 11))
    """
    scale = checks.scale(scale, maximum=MAX_SIDE // 4)
    size = 4 * scale - scale % 2  # The middle of odd scales lies on a pixel.
    taps = cubic((np.arange(size) - (size - 1) / 2) / scale)
    return normalise(np.outer(taps, taps))


def lanczos(scale: int) -> np.ndarray:
    """The antialiased Lanczos kernel of three lobes, of Pillow and ffmpeg.

    Args:
      scale: A positive integer.

    Returns:
      `6s x 6s` float64, for odd scales `6s - 1` at each side; sum 1, symmetric about
      its own middle. `kernels.centre` aligns it.

    Raises:
      ValueError: If the scale is out of range.

    Example:
      >>> lanczos(2).shape, bool(lanczos(2).min() < 0)
      ((12, 12), True)

    References:
      Duchon, "Lanczos filtering in one and two dimensions", Journal of Applied
      Meteorology, 1979.
    """
    scale = checks.scale(scale, maximum=MAX_SIDE // 6)
    size = 6 * scale - scale % 2
    place = (np.arange(size) - (size - 1) / 2) / scale
    taps = np.sinc(place) * np.sinc(place / 3)
    return normalise(np.outer(taps, taps))


def box(scale: int) -> np.ndarray:
    """The mean over the pixels that become one (area average, binning).

    Args:
      scale: A positive integer.

    Returns:
      `s x s` float64, sum 1, symmetric about its own middle.

    Raises:
      ValueError: If the scale is out of range.

    Example:
      >>> box(2)
      array([[0.25, 0.25],
             [0.25, 0.25]])
    """
    scale = checks.scale(scale, maximum=MAX_SIDE)
    return np.full((scale, scale), 1 / scale**2)


def nearest(scale: int) -> np.ndarray:
    """The pixel in the middle of those that become one (nearest neighbour, striding).

    Even scales have no such pixel, and programs take one of the four about the middle;
    their mean stands for each of them.

    Args:
      scale: A positive integer.

    Returns:
      `1 x 1` float64, for even scales `2 x 2`; sum 1.

    Raises:
      ValueError: If the scale is out of range.

    Example:
      >>> nearest(3), nearest(4).shape
      (array([[1.]]), (2, 2))
    """
    side = 2 - checks.scale(scale, maximum=MAX_SIDE) % 2
    return np.full((side, side), 1 / side**2)


def gaussian(
    size: int, *, variances: tuple[float, float], angle: float = 0.0, scale: int
) -> np.ndarray:
    """An anisotropic Gaussian, sampled at the pixels.

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

    Example:
      >>> from kernelgan_jax import kernels
      >>> kernel = gaussian(13, variances=(2.0, 1.0), scale=2)
      >>> kernel.shape, kernels.centre_of_mass(kernel).round(3).tolist()
      ((13, 13), [6.5, 6.5])
    """
    size = checks.whole("size", size, maximum=MAX_SIDE)
    first, second = _positive_pair(variances)
    checks.number("angle", angle, minimum=-math.inf, static=True)
    row, column = np.indices((size, size)) - alignment((size, size), scale)[0]
    along = column * math.cos(angle) - row * math.sin(angle)
    across = column * math.sin(angle) + row * math.cos(angle)
    exponent = along**2 / max(first, LEAST_VARIANCE)
    exponent += across**2 / max(second, LEAST_VARIANCE)
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

    The defaults are those of DIV2KRK at scale 2, where `size` is 11.

    Args:
      rng: Source of randomness.
      size: Side in pixels, at least 1.
      scale: Scale that the kernel is aligned for, before the noise.
      variances: Smallest and largest variance along the principal axes, pixels^2.
      noise: Each value is multiplied by `1 + U(-noise, noise)`; from 0 to 1.

    Returns:
      `size x size` float64, non-negative, sum 1.

    Raises:
      ValueError: If the size, a variance or the noise is out of range.

    References:
      Bell-Kligler, Shocher, Irani, "Blind Super-Resolution Kernel Estimation using an
      Internal-GAN", NeurIPS 2019, section 5.

    Example:
      >>> kernel = random_gaussian(np.random.default_rng(0), 11, scale=2)
      >>> kernel.shape, round(float(kernel.sum()), 6), bool(kernel.min() >= 0)
      ((11, 11), 1.0, True)
    """
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng is {rng!r}; it must be a numpy.random.Generator")
    least, largest = _positive_pair(variances)
    if not least <= largest:
        raise ValueError(f"variances are {variances}; they must be positive, ascending")
    checks.number("noise", noise, maximum=1, static=True)
    along, across = rng.uniform(least, largest, 2)
    angle = rng.uniform(-math.pi, math.pi)
    kernel = gaussian(size, variances=(along, across), angle=angle, scale=scale)
    return normalise(kernel * (1 + rng.uniform(-noise, noise, kernel.shape)))


def disk(size: int, *, radius: float, scale: int) -> np.ndarray:
    """An evenly filled circle: the blur of a lens that is out of focus.

    Args:
      size: Side in pixels, at least 1.
      radius: Radius in pixels, positive.
      scale: Scale that the kernel is aligned for.

    Returns:
      `size x size` float64; a value at the rim is the part of its pixel that lies
      inside.

    Raises:
      ValueError: If the size or the radius is out of range, or nothing is left.

    Example:
      >>> disk(5, radius=1.5, scale=1).round(2)[2].tolist()
      [0.0, 0.14, 0.14, 0.14, 0.0]
    """
    checks.number("radius", radius, positive=True, static=True)
    squares = _fine_places(size, scale) ** 2
    inside = np.add.outer(squares, squares) <= radius**2
    return normalise(_means(_means(inside).T).T)


def motion(size: int, *, length: float, angle: float = 0.0, scale: int) -> np.ndarray:
    """The blur of a straight, even motion while the shutter is open.

    The picture moves across LR pixels of `scale x scale` HR pixels that collect light
    all the time: an even square, smeared along a line.

    Args:
      size: Side in pixels, at least 1.
      length: Length of the line in pixels, at least 0.
      angle: Direction of the line, radians, counter-clockwise from the horizontal as
        seen in a picture.
      scale: Scale that the kernel is aligned for.

    Returns:
      `size x size` float64.

    Raises:
      ValueError: If the size or the length is out of range.

    Example:
      >>> motion(5, length=2.0, scale=1).round(2)[2].tolist()
      [0.0, 0.26, 0.49, 0.26, 0.0]
    """
    checks.number("length", length, maximum=MAX_SIDE, static=True)
    checks.number("angle", angle, minimum=-math.inf, static=True)
    steps = np.linspace(-length / 2, length / 2, 2 * math.ceil(length * _FINE) + 1)
    line = np.stack([-steps * math.sin(angle), steps * math.cos(angle)], 1)
    return path(size, points=line, scale=scale)


def path(size: int, *, points: np.ndarray, scale: int) -> np.ndarray:
    """The blur of any motion while the shutter is open, as of a camera that shakes.

    Args:
      size: Side in pixels, at least 1.
      points: `N x 2`, where the picture is at times that are equally far apart: rows
        and columns, pixels from the alignment.
      scale: Scale that the kernel is aligned for.

    Returns:
      `size x size` float64; see `motion`.

    Raises:
      ValueError: If the size is out of range, the points are no such array, or nothing
        of them is inside.

    Example:
      >>> path(5, points=np.zeros((1, 2)), scale=2).round(2)[2].tolist()
      [0.0, 0.0, 0.25, 0.25, 0.0]
    """
    points = checks.matrix("points", points)
    if points.shape[1] != 2:
        raise ValueError(f"points has shape {points.shape}; it must be N x 2")
    place = _fine_places(size, scale)
    # Parts of the rows and of the columns that the moving square covers at each time.
    rows, columns = (
        _means(np.abs(place - middle[:, None]) <= scale / 2) for middle in points.T
    )
    return normalise(rows.T @ columns)


def _fine_places(size: int, scale: int) -> np.ndarray:
    """`_FINE` points a pixel of an axis, in pixels from the alignment."""
    size = checks.whole("size", size, maximum=MAX_SIDE)
    fine = (np.arange(size * _FINE) + 0.5) / _FINE - 0.5
    return fine - alignment((size, size), scale)[0]


def _positive_pair(variances: Any) -> tuple[float, float]:
    """Two variances as Python's floats, checked to be positive and finite."""
    try:
        pair = tuple(variances)
    except TypeError:
        pair = ()
    if len(pair) != 2:
        raise ValueError(f"variances are {variances!r}; they must be two numbers")
    for value in pair:
        try:
            checks.number("variances", value, positive=True, static=True)
        except ValueError:
            message = f"variances are {variances}; they must be positive and finite"
            raise ValueError(message) from None
    return float(pair[0]), float(pair[1])


def _means(fine: np.ndarray) -> np.ndarray:
    """Means of the `_FINE` points of each pixel along the last axis, `n x side`."""
    return fine.reshape(len(fine), -1, _FINE).mean(-1)
