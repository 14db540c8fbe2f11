"""The kernels that the second look compares: the likeliest, and others in its place.

Others are narrower, as a soft scene looks to the spectrum like a wide kernel; or they
are sharpened, as cameras and programs sharpen their pictures by unsharp masking: no
family of the spectral fit has such lobes, and the nearest of them is too wide.

Throughout, `likeliest` is the kernel that the spectrum speaks for, `fits` what was
fitted to the image, and `scale` a positive integer.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from kernelgan_jax import equivalent_gaussian
from kernelgan_jax.estimators.spectral.best import Best, Fits
from kernelgan_jax.estimators.spectral.families import FAMILY_NAMES, GAUSSIAN
from kernelgan_jax.estimators.spectral.resamplers import RESAMPLERS

FACTORS = (0.2, 0.35, 0.5)
"""Covariances of the Gaussians that are tried, relative to the likeliest kernel's;
those that are narrower than the bicubic kernel, or at scale 1 than next to no blur, are
left out."""

SHARPENED = ((1.0, 0.35), (1.2, 0.8))
"""Covariances, relative to the likeliest kernel's, and amounts of the sharpened
Gaussians that are tried."""

PLACES = 3 + len(FACTORS) + len(SHARPENED)
"""Number of kernels, if all of them are compared."""

COARSENESS = 0.3
"""Standard deviation of the logarithm of a covariance that the picture decided for:
about half the distance between factors."""

GOLDEN_RATIO = (5**0.5 - 1) / 2
"""Its multiples are spread evenly over [0, 1)."""


class Compared(NamedTuple):
    """A kernel that is compared."""

    place: int
    """Its number among all kernels, whether or not they are compared."""
    name: str
    """What it is, in words."""
    kernel: np.ndarray
    """`n x n`, aligned, sum 1."""
    covariance: np.ndarray
    """2 x 2, pixels^2, of the Gaussian that stands for it before it is sharpened."""
    amount: float = 0.0
    """Of its unsharp masking."""


def compared(likeliest: Best, fits: Fits, *, scale: int) -> Iterator[Compared]:
    """The kernels that are compared, the likeliest first."""
    of_kernel = functools.partial(equivalent_gaussian.covariance, scale=scale)
    own = np.asarray(likeliest.kernel, np.float64)
    covariance = of_kernel(own)
    yield Compared(0, likeliest.name, own, covariance)
    gaussian = FAMILY_NAMES[GAUSSIAN]
    if likeliest.name != gaussian:
        fitted = np.asarray(fits.families.kernel[GAUSSIAN], np.float64)
        yield Compared(1, gaussian, fitted, of_kernel(fitted))
    if fits.resamplers is None:  # At scale 1 there may have been next to no blur.
        name, narrowest = gaussian, _gaussian(len(own), 0 * covariance, 0.0, scale)
    else:  # Who downscales with a narrower kernel?
        name = "bicubic"
        number = list(RESAMPLERS).index(name)
        narrowest = np.asarray(fits.resamplers.kernel[number], np.float64)
    yield Compared(2, name, narrowest, of_kernel(narrowest))
    least = np.linalg.det(of_kernel(narrowest))
    for place, factor in enumerate(FACTORS, 3):
        tried = factor * covariance
        if np.linalg.det(tried) >= least:
            kernel = _gaussian(len(own), tried, 0.0, scale)
            yield Compared(place, gaussian, kernel, tried)
    for place, (factor, amount) in enumerate(SHARPENED, 3 + len(FACTORS)):
        tried = factor * covariance
        kernel = _gaussian(len(own), tried, amount, scale)
        yield Compared(place, f"sharpened {gaussian}", kernel, tried, amount)


def samples(chosen: Compared, likeliest: Best, *, scale: int) -> np.ndarray:
    """Samples of a kernel that is taken in place of the likeliest: `S x n x n`.

    They are of the shapes of the likeliest kernel's samples, about its own width.
    """
    covariance = functools.partial(equivalent_gaussian.covariance, scale=scale)
    before = max(np.linalg.det(covariance(likeliest.kernel)), 1e-4)
    factor = np.sqrt(max(np.linalg.det(chosen.covariance), 1e-4) / before)
    evenly = (0.5 + np.arange(len(likeliest.samples)) * GOLDEN_RATIO) % 1
    factors = factor * np.exp(COARSENESS * ndtri(evenly))
    found = equivalent_gaussian.covariances(likeliest.samples, scale=scale)
    size = len(chosen.kernel)
    return np.stack(
        [
            _gaussian(size, f * each, chosen.amount, scale)
            for f, each in zip(factors, found, strict=True)
        ]
    )


def half_kernel(chosen: Compared) -> np.ndarray:
    """The x2 kernel that leads to an x4 kernel (`families.halve`), not sharpened."""
    return _gaussian(len(chosen.kernel), chosen.covariance / 5, 0.0, 2)


def _gaussian(
    size: int, covariance: np.ndarray, amount: float, scale: int
) -> np.ndarray:
    """A Gaussian, and unsharp masking with one of a width of an LR pixel."""
    made = equivalent_gaussian.gaussian(size, covariance=covariance, scale=scale)
    if not amount:
        return made
    wider = covariance + scale**2 * np.eye(2)
    blurred = equivalent_gaussian.gaussian(size, covariance=wider, scale=scale)
    return (1 + amount) * made - amount * blurred
