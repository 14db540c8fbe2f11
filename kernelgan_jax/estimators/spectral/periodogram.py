"""TODO docstring."""

import math
from typing import Any

import numpy as np

from kernelgan_jax.pixels import check_structure, luma

WINDOW = 32
"""Side of the windows that periodograms are taken of, LR pixels."""


WINDOWS = 4096
"""Windows that are taken of an image, evenly spread: large photos take no longer."""


STRIDE = 4
"""Pixels from a window to the next, where there are fewer than `WINDOWS`."""


PART = 8
"""Windows at each side of the parts whose power is averaged first."""


SHAPE = (WINDOW, WINDOW // 2 + 1)
"""Of spectra: frequencies as of `np.fft.rfft2`, of which others are the mirror."""


def to_gray(image: np.ndarray) -> np.ndarray:
    """Checks that an image has a spectrum.

    Args:
      image: `H x W x C` in [0, 1].

    Returns:
      It in gray, `H x W` float64, gray levels.

    Raises:
      ValueError: If it is too small, or without any structure.
    """
    gray = 255 * luma(image).astype(np.float64)
    check_size(gray)
    check_structure(gray, min_range=1e-3)  # gray levels
    return gray


def check_size(image: np.ndarray) -> None:
    height, width = image.shape
    if min(height, width) < WINDOW:
        raise ValueError(
            f"image is {width}x{height} pixels; its spectrum needs at least {WINDOW} "
            "at each side"
        )


def periodogram(gray: Any) -> np.ndarray:
    """The mean periodogram of an image's windows (Hann's, mean removed, unit energy).

    Powers are averaged over parts of `PART x PART` windows, and their square roots over
    the parts: so a few strong edges do not stand for the whole image.

    Args:
      gray: `H x W`, at least `WINDOW` at each side.

    Returns:
      `SHAPE` float64, in the square of the image's units; of drawn images it may be 0
      at some frequencies, where the likelihood has no value.

    Raises:
      ValueError: If the image is too small.
    """
    check_size(gray)
    windows = np.lib.stride_tricks.sliding_window_view(gray, (WINDOW, WINDOW))
    rows, columns = windows.shape[:2]
    stride = max(STRIDE, math.ceil(math.sqrt(rows * columns / WINDOWS)))
    windows = windows[::stride, ::stride]
    hann = np.hanning(WINDOW + 1)[:WINDOW]
    taper = np.outer(hann, hann)
    taper /= np.sqrt((taper**2).sum())
    high, wide = (max(1, round(n / PART)) for n in windows.shape[:2])
    roots = np.zeros(SHAPE)
    for band in np.array_split(windows, high):
        for part in np.array_split(band, wide, axis=1):
            means = (part * taper).sum((2, 3), keepdims=True) / taper.sum()
            power = np.abs(np.fft.rfft2((part - means) * taper)) ** 2
            roots += np.sqrt(power.mean((0, 1)))
    return (roots / (high * wide)) ** 2


def has_blocks(gray: Any) -> bool:
    """Whether an image bears the 8 x 8 blocks of JPEG, wherever they start.

    The steps at every eighth place, in both directions, are then larger than elsewhere:
    by over 8 %, and by over 4 standard deviations of the other places.

    Args:
      gray: `H x W`, at least `WINDOW` at each side; of larger ones the middle is seen.
    """
    top, left = (max(0, side - 2048) // 2 for side in gray.shape)
    gray = gray[top : top + 2048, left : left + 2048]

    def of_rows(rows: np.ndarray) -> bool:
        # What a step has beyond the slopes at its sides.
        step = np.abs(np.diff(rows, n=3))
        means = np.array([np.sqrt(step[:, i::8]).mean() for i in range(8)])
        # Those beside the largest see something of its steps, too.
        others = np.roll(means, -means.argmax())[2:-1]
        excess = means.max() - others.mean()
        return bool(excess > max(0.08 * others.mean(), 4 * others.std()))

    return of_rows(gray) and of_rows(gray.T)
