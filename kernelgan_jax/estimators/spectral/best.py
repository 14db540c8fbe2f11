"""The kernel that explains an image best, of those that were fitted to it."""

from typing import Any, NamedTuple

import jax
import numpy as np

from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral import camera_shake
from kernelgan_jax.estimators.spectral.families import unpack
from kernelgan_jax.estimators.spectral.fit import Fit
from kernelgan_jax.estimators.spectral.measured import Measured
from kernelgan_jax.estimators.spectral.periodogram import to_gray
from kernelgan_jax.estimators.spectral.search import choose
from kernelgan_jax.pixels import textured_window

Fits = tuple[Fit, Any, Fit | None]
"""The fits of the families, with samples of their posteriors, and of the resamplers."""


class Best(NamedTuple):
    """The kernel that explains an image best."""

    kernel: np.ndarray
    samples: np.ndarray
    spectrum: Spectrum
    misfit: float
    half_kernel: np.ndarray | None
    """The x2 kernel of an x4 kernel."""
    name: str
    """Of its family."""
    converged: bool = True


def best(measured: Measured, fits: Fits, *, scale: int, rare: bool) -> Best:
    """The best kernel of the families, the resamplers and the shaken cameras.

    Args:
      measured: What is measured of an image.
      fits: What `search.fit_families` and `search.fit_resamplers` found for it.
      scale: Positive integer.
      rare: Whether it may be a resampler's or a shaken camera's.

    Raises:
      ValueError: If the model does not fit at all.
    """
    found, samples, resampled = fits
    flat = measured.flat_noise_std
    chosen = choose(found, samples, resampled if rare else None, flat_noise_std=flat)
    fit = chosen.fit
    if not (np.isfinite(fit.loss) and np.isfinite(fit.kernel).all()):
        raise ValueError("image has a spectrum that the model does not fit at all")
    kernel, losses = np.asarray(fit.kernel), np.asarray(found.loss)
    if rare and (shaken := _shaken(measured, kernel, losses, scale)):
        return shaken
    spectrum = jax.tree.map(np.asarray, unpack(fit.vector).spectrum)
    half = chosen.half_kernel() if scale == 4 else None
    return Best(
        kernel,
        chosen.samples,
        spectrum,
        float(fit.misfit),
        half,
        chosen.name,
        converged=bool(fit.converged),
    )


def _shaken(
    measured: Measured, usual: np.ndarray, losses: np.ndarray, scale: int
) -> Best | None:
    """The path of a shaken camera, where it explains much more than the usual kernel.

    Args:
      measured: What is measured of an image.
      usual: The kernel that is taken otherwise, `n x n`.
      losses: Of the best kernels of the families.
      scale: Positive integer.
    """
    if min(measured.own.shape[:2]) < camera_shake.MIN_SIDE:
        return None
    spectra, usual_loss = (measured.power, measured.weights), float(np.nanmin(losses))
    paths = camera_shake.candidates(*spectra, usual_loss=usual_loss, scale=scale)
    if not paths:
        return None
    picture = _picture(measured)
    vector = camera_shake.sparsest(paths, picture, usual=usual, scale=scale)
    if vector is None:
        return None
    path = camera_shake.path(vector, *spectra, scale=scale)
    return Best(*path, name=camera_shake.NAME)


def _picture(measured: Measured) -> np.ndarray:
    """The part of an image with most detail, gray levels; NaN where it is not used."""
    rows, columns = textured_window(
        measured.own, 0, camera_shake.MAX_PIXELS, camera_shake.MIN_SIDE
    )
    gray = to_gray(measured.own[rows, columns]).astype(np.float64)
    if measured.unusable is not None:
        gray[measured.unusable[rows, columns]] = np.nan
    return gray
