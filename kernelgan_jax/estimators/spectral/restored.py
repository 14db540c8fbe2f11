"""How sparse the gradients of a picture are that a kernel makes of an image.

The picture is restored by the Wiener filter for the usual spectrum of photographs. A
wrong kernel leaves waves beside its edges, which are no sparse gradients.

References:
  Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949.
  Krishnan, Tay, Fergus, "Blind deconvolution using a normalized sparsity measure",
    CVPR 2011 (the measure).
"""

import numpy as np
from scipy import fft

from kernelgan_jax import square_extremes, transfer_functions
from kernelgan_jax.power_spectra import natural_spectrum

NOISE_STD = 1.5
"""Noise that is assumed, gray levels."""

BORDER = 16
"""Pixels at the borders that fade, and have no part in the measure."""


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
      scale: Positive integer.
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
    picture = _restore(gray, kernel, scale)
    used = np.kron(_inside(known), np.ones((scale, scale), bool))
    slopes = [np.abs(np.diff(picture, axis=axis))[_both(used, axis)] for axis in (0, 1)]
    each = np.concatenate(slopes)
    if not each.any():  # Nothing is used.
        return 0.0
    return float(np.log(each.mean() / np.sqrt((each**2).mean())))


def _restore(gray: np.ndarray, kernel: np.ndarray, scale: int) -> np.ndarray:
    """The picture, `sH x sW` gray levels."""
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


def _inside(known: np.ndarray) -> np.ndarray:
    """Pixels away from borders and from those that are not used."""
    near = square_extremes.minimum(known, 9)
    near[:BORDER] = near[-BORDER:] = False
    near[:, :BORDER] = near[:, -BORDER:] = False
    return near


def _both(used: np.ndarray, axis: int) -> np.ndarray:
    """Whether both pixels of each difference along an axis are used."""
    return used[1:] & used[:-1] if axis == 0 else used[:, 1:] & used[:, :-1]
