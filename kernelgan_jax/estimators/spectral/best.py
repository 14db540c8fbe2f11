"""The kernel that explains an image best, of those that were fitted to it."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral import camera_shake
from kernelgan_jax.estimators.spectral.agreement import mean_gain
from kernelgan_jax.estimators.spectral.families import unpack
from kernelgan_jax.estimators.spectral.fit import Fit
from kernelgan_jax.estimators.spectral.measured import Measured
from kernelgan_jax.estimators.spectral.restored import detailed_part, log_sparsity
from kernelgan_jax.estimators.spectral.search import choose


class Fits(NamedTuple):
    """What was fitted to an image."""

    families: Fit
    """The fits of the families, with a leading axis."""
    samples: Any
    """Samples of their posteriors."""
    resamplers: Fit | None = None
    """The fits of the resamplers, with a leading axis; None also at scale 1."""
    paths: Any = None
    """What `camera_shake.first_search` found; None if rare kernels do not count."""


def best_family(fits: Fits) -> tuple[float, np.ndarray]:
    """Loss and kernel of the best family; the loss is infinite if there is none."""
    losses = np.asarray(fits.families.loss)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    best = int(np.argmin(losses))
    return float(losses[best]), np.asarray(fits.families.kernel)[best]


class Best(NamedTuple):
    """The kernel that explains an image best."""

    kernel: np.ndarray
    samples: np.ndarray
    spectrum: Spectrum
    misfit: float
    half_kernel: np.ndarray | None
    """The x2 kernel of an x4 kernel."""
    name: str
    """Name of its family."""
    converged: bool = True
    by_picture: bool = False
    """Whether its picture decided for it, and the spectrum speaks for another one."""
    rivalled: bool = False
    """As `Choice.rivalled`."""


def best(measured: Measured, fits: Fits, *, scale: int) -> Best:
    """The best kernel of the families, the resamplers and the shaken cameras.

    Raises:
      ValueError: If the model does not fit at all.
    """
    chosen = choose(
        fits.families,
        fits.samples,
        fits.resamplers,
        flat_noise_std=measured.flat_noise_std,
        clarity=measured.observation.clarity(measured.power),
    )
    fit = chosen.fit
    if not (np.isfinite(fit.loss) and np.isfinite(fit.kernel).all()):
        raise ValueError("image has a spectrum that the model does not fit at all")
    kernel = np.asarray(fit.kernel)
    if shaken := _shaken(measured, fits, scale):
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
        rivalled=chosen.rivalled,
    )


def _shaken(measured: Measured, fits: Fits, scale: int) -> Best | None:
    """The path of a shaken camera; None if none is believed (`camera_shake.is_shake`).

    It is compared with the families alone: no resampler has unknowns that fit a scene.
    """
    if fits.paths is None or min(measured.own.shape[:2]) < camera_shake.MIN_SIDE:
        return None
    spectra = measured.power, measured.observation
    usual_loss, usual = best_family(fits)
    found = camera_shake.candidates(
        fits.paths, *spectra, usual_loss=usual_loss, scale=scale
    )
    if not found:
        return None
    shown = detailed_part(
        measured.own,
        measured.unusable,
        max_side=camera_shake.MAX_SIDE // scale,
        min_side=camera_shake.MIN_SIDE,
    )
    if shown is None:
        return None
    gray, unusable = shown
    sparsity = functools.partial(log_sparsity, gray, scale=scale, unusable=unusable)
    usual_sparsity = sparsity(usual)
    pictures = [
        (
            camera_shake.seen(
                vector, sparsity, usual_sparsity=usual_sparsity, scale=scale
            ),
            loss / usual_loss,
        )
        for vector, loss in found
    ]
    for picture, ratio in sorted(pictures, key=lambda each: each[0].excess):
        if not camera_shake.is_shake(picture, ratio=ratio):
            continue
        agreed = mean_gain(measured, picture.kernel, usual, scale=scale)
        if camera_shake.is_shake(picture, ratio=ratio, agreed=agreed):
            path = camera_shake.path(picture.vector, *spectra, scale=scale)
            return Best(*path, name=camera_shake.NAME)
    return None
