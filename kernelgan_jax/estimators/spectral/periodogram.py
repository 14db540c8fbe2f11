"""The mean periodogram of an image, and what else is measured in its gray values."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import ArrayLike

from kernelgan_jax import checks
from kernelgan_jax.jpeg_steps import BLOCK
from kernelgan_jax.pixels import check_structure, luma

WINDOW = 32
"""Side of the windows whose periodograms are averaged, LR pixels."""

HANN = np.hanning(WINDOW + 1)[:WINDOW]
"""Taper of a row of a window."""

MAX_WINDOWS = 4096
"""About the largest number of windows of an image, so that large photographs take no
longer than small ones."""

MIN_STRIDE = 4
"""Smallest distance between neighbouring windows, LR pixels."""

PART_SIDE = 8
"""Windows along each side of a part of the image, over which power is averaged."""

SHAPE = (WINDOW, WINDOW // 2 + 1)
"""Shape of spectra: the frequencies of `np.fft.rfft2`; the others mirror them."""

MIN_RANGE = 1e-3
"""Smallest range of values of an image that has a structure, gray levels."""

MOST_UNUSABLE = (0.02, 0.04)
"""Share of a window's energy, as it is tapered, that unusable pixels may have; most of
them are filled. The second counts where too few windows have less, as in grids."""

LEAST_USABLE = 0.05
"""If fewer of the windows are usable, all windows are used."""

BLOCK_EXCESS = 0.08
"""Steps between the blocks of JPEG are larger than other steps by at least this
fraction..."""

BLOCK_DEVIATIONS = 4
"""... and by at least this many standard deviations of the other steps."""

MAX_BLOCK_SIDE = 2048
"""Side of the part of an image that blocks are looked for in, pixels."""


def to_gray(image: np.ndarray) -> np.ndarray:
    """Converts an image to gray levels, and checks that it has a spectrum.

    Args:
      image: `H x W x C` in [0, 1].

    Returns:
      `H x W` float64, from 0 to 255.

    Raises:
      ValueError: If a side is shorter than `WINDOW`, or the image is constant.
    """
    gray = 255 * luma(image).astype(np.float64)
    _check_size(gray)
    check_structure(gray, min_range=MIN_RANGE)
    return gray


def mean_periodogram(gray: ArrayLike) -> np.ndarray:
    """Measures the mean power spectrum of an image's windows.

    Each window is multiplied by Hann's taper of unit energy after its mean is removed.
    Power is averaged over the windows of each part of the image, and the square root of
    that over the parts, so that a few strong edges do not dominate.

    Args:
      gray: `H x W`, both sides at least `WINDOW`.

    Returns:
      `SHAPE` float64, in the square of the image's units; white noise has about its
      variance at all frequencies but those next to 0, where the mean was removed. Some
      frequencies of drawn images can have a power of 0, for which the likelihood is not
      defined.

    Raises:
      ValueError: If a side is shorter than `WINDOW`.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.estimators.spectral import mean_periodogram
      >>> wave = np.cos(2 * np.pi * np.arange(64) / 4) * np.ones((64, 1))
      >>> power = mean_periodogram(wave)
      >>> power.shape, int(power.sum(0).argmax())  # 8 periods in 32 pixels
      ((32, 17), 8)

    References:
      Welch, "The use of fast Fourier transform for the estimation of power spectra",
        IEEE Transactions on Audio and Electroacoustics, 1967.
    """
    gray = checks.matrix("gray", gray)
    _check_size(gray)
    return mean_window_power(gray)


def mean_window_power(
    gray: np.ndarray, *, unusable: np.ndarray | None = None
) -> np.ndarray:
    """The same as `mean_periodogram` without its check, for images from `to_gray`.

    Args:
      gray: `H x W`.
      unusable: `H x W` bool: windows with more than a few such pixels are left out,
        if enough others remain.
    """
    shares, powers = [], []
    for share, spectra in part_spectra(gray, unusable):
        shares.append(share)
        powers.append((spectra.real**2 + spectra.imag**2).mean(0))
    return root_mean(powers, shares)


def root_mean(powers: Sequence[np.ndarray], shares: Sequence[float]) -> np.ndarray:
    """The square of the mean of square roots, with weights."""
    roots, weight = np.zeros(SHAPE), 0.0
    for power, share in zip(powers, shares, strict=True):
        roots += share * np.sqrt(power)
        weight += share
    return (roots / weight) ** 2


class Part(NamedTuple):
    """The windows of a part of an image."""

    share: float
    """Share of its windows that are used."""
    spectra: np.ndarray
    """Their Fourier transforms, `n x SHAPE`."""


def part_spectra(gray: np.ndarray, unusable: np.ndarray | None) -> Iterator[Part]:
    """The spectra of an image's windows, part by part; arguments as above."""
    windows = _windows(gray)
    rows, columns = windows.shape[:2]
    stride = max(MIN_STRIDE, math.ceil(math.sqrt(rows * columns / MAX_WINDOWS)))
    windows = windows[::stride, ::stride]
    usable = np.ones(windows.shape[:2], bool)
    if unusable is not None:
        shares = _unusable_shares(unusable)[::stride, ::stride]
        for most in MOST_UNUSABLE:
            if (shares <= most).mean() >= LEAST_USABLE:
                usable = shares <= most
                break
    taper = np.outer(HANN, HANN)
    taper /= np.sqrt((taper**2).sum())
    parts_down, parts_across = (max(1, round(n / PART_SIDE)) for n in windows.shape[:2])
    for down in _split(windows.shape[0], parts_down):
        for across in _split(windows.shape[1], parts_across):
            chosen = usable[down, across]
            if not chosen.any():
                continue
            tapered = windows[down, across][chosen] * taper
            tapered -= taper * (tapered.sum((1, 2), keepdims=True) / taper.sum())
            yield Part(float(chosen.mean()), scipy.fft.rfft2(tapered))


def _unusable_shares(unusable: np.ndarray) -> np.ndarray:
    """The share of each window's energy that unusable pixels have."""
    shares = unusable.astype(np.float32)
    for axis in (0, 1):
        shares = scipy.ndimage.correlate1d(shares, HANN**2 / (HANN**2).sum(), axis)
    half = WINDOW // 2  # Windows by their first pixels, not by those in the middle.
    inside: np.ndarray = shares[half : len(shares) - half + 1, half : 1 - half]
    return inside


def _split(count: int, parts: int) -> list[slice]:
    """Parts of nearly the same length, as `np.array_split` makes them."""
    pieces = np.array_split(np.arange(count), parts)
    return [slice(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]


def _windows(pixels: np.ndarray) -> np.ndarray:
    """All windows of an image, as a view."""
    return np.lib.stride_tricks.sliding_window_view(pixels, (WINDOW, WINDOW))


def has_blocks(gray: ArrayLike, *, unusable: np.ndarray | None = None) -> bool:
    """Whether an image shows the 8 x 8 block grid of JPEG, at any offset.

    In both directions, the differences across every eighth border between pixels must
    then be clearly larger than the others (`BLOCK_EXCESS`, `BLOCK_DEVIATIONS`). Of
    large images the middle is examined.

    Args:
      gray: `H x W`, in any units, both sides at least `WINDOW`.
      unusable: `H x W` bool: differences across such pixels do not count.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.estimators.spectral import has_blocks
      >>> noise = np.random.default_rng(0).standard_normal((64, 64))
      >>> blocks = np.kron(np.random.default_rng(1).random((8, 8)), np.ones((8, 8)))
      >>> has_blocks(noise), has_blocks(blocks)
      (False, True)
    """
    gray = checks.matrix("gray", gray)
    _check_size(gray)
    top, left = (max(0, side - MAX_BLOCK_SIDE) // 2 for side in gray.shape)
    middle = np.s_[top : top + MAX_BLOCK_SIDE, left : left + MAX_BLOCK_SIDE]
    gray = gray[middle]
    usable = np.ones(gray.shape) if unusable is None else 1.0 - unusable[middle]
    return _columns_have_blocks(gray, usable) and _columns_have_blocks(gray.T, usable.T)


def _columns_have_blocks(gray: np.ndarray, usable: np.ndarray) -> bool:
    """Whether every eighth difference along the rows is larger than the others."""
    # The third difference is a step minus the slopes at its two sides.
    step = np.sqrt(np.abs(np.diff(gray, n=3)))
    known = usable[:, :-3] * usable[:, 1:-2] * usable[:, 2:-1] * usable[:, 3:]
    sums, counts = (
        np.array([x[:, i::BLOCK].sum() for i in range(BLOCK)])
        for x in (step * known, known)
    )
    means = sums / np.maximum(counts, 1)
    # The neighbours of the largest mean contain part of the same steps.
    others = np.roll(means, -means.argmax())[2:-1]
    excess = means.max() - others.mean()
    limit = max(BLOCK_EXCESS * others.mean(), BLOCK_DEVIATIONS * others.std())
    return bool(excess > limit)


def _check_size(gray: np.ndarray) -> None:
    height, width = gray.shape
    if min(height, width) < WINDOW:
        raise ValueError(
            f"image is {width}x{height} pixels; its spectrum needs at least {WINDOW} "
            "at each side"
        )
