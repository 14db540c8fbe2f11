"""How sparse the gradients of a picture are that a kernel makes of an image.

The picture is restored by the Wiener filter for the usual spectrum of photographs. A
wrong kernel leaves waves beside its edges, which are no sparse gradients.

References:
  Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949.
  Krishnan, Tay, Fergus, "Blind deconvolution using a normalized sparsity measure",
    CVPR 2011 (the measure).
"""

import itertools

import numpy as np
from scipy import fft

from kernelgan_jax import square_extremes, transfer_functions
from kernelgan_jax.estimators.spectral.periodogram import MIN_RANGE
from kernelgan_jax.pixels import luma, textured_window
from kernelgan_jax.power_spectra import natural_spectrum
from kernelgan_jax.usable_pixels.find import fill

NOISE_STD = 1.5
"""Noise that is assumed, gray levels."""

BORDER = 16
"""Pixels at the borders that fade, and have no part in the measure."""

BETWEEN = 21
"""Gaps between drawn areas of up to so many pixels count as drawn: they hold letters
that were not found."""


def detailed_part(
    own: np.ndarray, unusable: np.ndarray | None, *, max_side: int, min_side: int
) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The part of an image with most detail, in gray levels, and its unusable pixels.

    These are filled: what was drawn there is no part of the scene.

    Args:
      own: `H x W x C`, an image in its own range.
      unusable: `H x W` bool, or None.
      max_side: About its largest side, where it is a square.
      min_side: Its smallest side, even; the image is at least as large.

    Returns:
      `h x w` float64, and `h x w` bool or None; None if most of it is unusable, or if
      it is constant, as a clipped sky.
    """
    place = textured_window(own, 0, max_side**2, min_side)
    gray = 255 * luma(own[place]).astype(np.float64)
    areas = None
    if unusable is not None:
        areas = _closed(unusable[place])
        if areas.mean() > 0.5:
            return None
        gray = fill(gray[..., None], areas)[..., 0]
    return (gray, areas) if np.ptp(gray) >= MIN_RANGE else None


def detailed_quarters(
    own: np.ndarray, unusable: np.ndarray | None, *, max_side: int, min_side: int
) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """`detailed_part` of each quarter of an image, or half, or of all of it.

    Args:
      own: As `detailed_part` takes it, as the others.
      unusable: `H x W` bool, or None.
      max_side: About their largest side.
      min_side: Their smallest side, even; sides of less than twice as much are not
        parted.

    Returns:
      What `detailed_part` returns, without the parts that it leaves out; none if the
      image is too small.
    """
    shape = own.shape[:2]
    if min(shape) < min_side:
        return []
    halves = (
        [slice(n // 2), slice(n // 2, None)] if n // 2 >= min_side else [slice(None)]
        for n in shape
    )
    parts = (
        detailed_part(
            own[place],
            None if unusable is None else unusable[place],
            max_side=max_side,
            min_side=min_side,
        )
        for place in itertools.product(*halves)
    )
    return [part for part in parts if part is not None]


def _closed(areas: np.ndarray) -> np.ndarray:
    """Areas, and what is between them."""
    padded = np.pad(areas, BETWEEN)
    closed = square_extremes.minimum(square_extremes.maximum(padded, BETWEEN), BETWEEN)
    return closed[BETWEEN:-BETWEEN, BETWEEN:-BETWEEN]


def log_sparsity(
    gray: np.ndarray,
    kernel: np.ndarray,
    *,
    scale: int,
    unusable: np.ndarray | None = None,
) -> float:
    """Logarithm of the mean absolute gradient of the picture over its root mean square.

    Args:
      gray: `H x W` gray levels; smooth where the image is not used.
      kernel: `n x n`, aligned for the scale, sum 1.
      unusable: Pixels that have no part in the measure, `H x W` bool.

    Returns:
      From below 0 (a few edges) to 0 (the same slope everywhere).

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.blur_kernels import gaussian
      >>> gray = 100.0 * (np.indices((64, 64)).sum(0) // 16 % 2)
      >>> true, wide = (gaussian(17, variances=(v, v), scale=1) for v in (0.1, 4.0))
      >>> log_sparsity(gray, true, scale=1) < log_sparsity(gray, wide, scale=1)
      True
    """
    known = np.ones(gray.shape, bool) if unusable is None else ~unusable
    picture = restore(gray, kernel, scale=scale)
    # Away from borders, and from what is not used.
    near = square_extremes.minimum(known, 9)
    near[:BORDER] = near[-BORDER:] = near[:, :BORDER] = near[:, -BORDER:] = False
    used = np.kron(near, np.ones((scale, scale), bool))
    slopes = [np.abs(np.diff(picture, axis=axis))[_both(used, axis)] for axis in (0, 1)]
    each = np.concatenate(slopes)
    if not each.any():  # Nothing is used.
        return 0.0
    return float(np.log(each.mean() / np.sqrt((each**2).mean())))


def restore(gray: np.ndarray, kernel: np.ndarray, *, scale: int) -> np.ndarray:
    """The picture that a kernel makes of an image, by a Wiener filter.

    Args:
      gray: `H x W` gray levels.
      kernel: `n x n`, aligned for the scale, sum 1.

    Returns:
      `sH x sW` gray levels above the mean of the image; it fades within `BORDER`
      pixels of the image from its rim.

    Example:
      >>> import numpy as np
      >>> restore(np.eye(40), np.ones((2, 2)) / 4, scale=2).shape
      (80, 80)
    """
    height, width = gray.shape
    fade = [np.minimum(1, (np.arange(n) + 1) / BORDER) for n in gray.shape]
    window = np.outer(*(f * f[::-1] for f in fade))
    seen = np.tile(fft.fft2((gray - gray.mean()) * window), (scale, scale))
    grid = (scale * height, scale * width)
    transfer = transfer_functions.at(kernel, *map(fft.fftfreq, grid), scale=scale)
    signal = natural_spectrum(grid).astype(np.float64)
    passed = (signal * np.abs(transfer) ** 2).reshape(scale, height, scale, width)
    expected = np.tile(passed.mean((0, 2)) + (NOISE_STD / 255) ** 2, (scale, scale))
    return fft.ifft2(signal * transfer.conj() * seen / expected).real


def _both(used: np.ndarray, axis: int) -> np.ndarray:
    """Whether both pixels of each difference along an axis are used."""
    return used[1:] & used[:-1] if axis == 0 else used[:, 1:] & used[:, :-1]
