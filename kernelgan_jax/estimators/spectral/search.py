"""The fits of all families and resamplers to one image, and the choice.

Throughout, `periodogram` is that of an image, `SHAPE`, gray levels^2, positive,
`observation` how the image shows its power, and `scale` a positive integer.
"""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.estimators.spectral.families import (
    FAMILIES,
    FAMILY_NAMES,
    GAUSSIAN,
    GENERALISED,
    MOTION,
    as_ellipse,
    families,
    halve,
    unpack,
)
from kernelgan_jax.estimators.spectral.fit import Fit, fit, fit_spectrum
from kernelgan_jax.estimators.spectral.observation import Observation
from kernelgan_jax.estimators.spectral.posterior import posterior, sample
from kernelgan_jax.estimators.spectral.resamplers import (
    MAX_NOISE,
    RESAMPLERS,
    probabilities,
    resampler_kernel,
)

MIN_GAINS = {GENERALISED: 0.0025, MOTION: 0.005}
"""By how much the loss of a family must be below that of the Gaussian for the family to
be chosen."""

CLEAR_GAIN = 0.001
"""By how much the loss of a resampler must be below that of the family to be clear: a
narrow Gaussian looks much the same."""

MIN_POWER = 1.5
"""Smallest power b of a generalised Gaussian that is chosen. With b below 1 it has long
tails, which only ever fitted the content of images."""


def fit_families(
    periodogram: jax.Array, observation: Observation, *, scale: int
) -> tuple[Fit, jax.Array]:
    """Fits every family to one image and draws samples of each posterior.

    Pure, for one image: `jax.vmap` makes of it a program for many.

    Returns:
      The fits and the samples, with a leading axis for the families.
    """

    def one(family: jax.Array) -> tuple[Fit, jax.Array]:
        found = fit(periodogram, family, observation=observation, scale=scale)
        covariance = posterior(
            found, periodogram, family, observation=observation, scale=scale
        )
        return found, sample(found, covariance, family, scale=scale)

    return jax.vmap(one)(jnp.arange(len(FAMILIES)))


def fit_spectra(
    periodogram: jax.Array, observation: Observation, several: Any, *, scale: int
) -> Fit:
    """Fits the spectrum for each of several kernels; pure, for one image.

    Args:
      several: `K x n x n` kernels, aligned.

    Returns:
      The fits, with a leading axis for the kernels.
    """

    def one(kernel: jax.Array) -> Fit:
        return fit_spectrum(periodogram, kernel, observation=observation, scale=scale)

    return jax.vmap(one)(jnp.asarray(several, jnp.float32))


def choose_family(fits: Fit) -> int:
    """Chooses the Gaussian, unless the fit of another family is much better.

    Args:
      fits: Fits of all families as NumPy arrays, with a leading axis.

    Returns:
      The number of the family.
    """
    losses = np.where(np.isfinite(fits.loss), fits.loss, np.inf)
    for family, gain in MIN_GAINS.items():
        if not losses[family] < losses[GAUSSIAN] - gain:
            losses[family] = np.inf
    log_power = as_ellipse(unpack(fits.vector[GENERALISED]).shape)["log_power"]
    if log_power < math.log(MIN_POWER):
        losses[GENERALISED] = np.inf
    return int(np.argmin(losses))


class Choice(NamedTuple):
    """The kernel that is chosen for an image, and its posterior; NumPy arrays."""

    fit: Fit
    """The fit of the kernel."""
    samples: np.ndarray
    """`SAMPLES x n x n` kernels of the posterior."""
    family: int
    """Number of the best family."""
    resampler: int | None = None
    """Number of the resampler that is chosen in its place, if one is."""
    rivalled: bool = False
    """Whether the family explains the spectrum about as well as the resampler."""

    @property
    def name(self) -> str:
        """The family or resampler in words."""
        if self.resampler is not None:
            return list(RESAMPLERS)[self.resampler]
        return FAMILY_NAMES[self.family]

    def half_kernel(self) -> np.ndarray:
        """The x2 kernel that leads to an x4 kernel: `n x n`, aligned."""
        if self.resampler is not None:
            return resampler_kernel(self.name, 2)
        shape = halve(self.family, unpack(self.fit.vector).shape)
        return np.asarray(families(2).kernel(self.family, jnp.asarray(shape)))


def choose(
    fits: Fit,
    samples: np.ndarray,
    resampled: Fit | None,
    *,
    flat_noise_std: float = math.inf,
    clarity: float = 1.0,
) -> Choice:
    """Chooses a family or a resampler.

    Args:
      fits: Fits of all families, with a leading axis.
      samples: Their samples, with a leading axis.
      resampled: Fits of all resamplers, with a leading axis; None without resamplers.
      flat_noise_std: Most noise that the image can have, gray levels.
      clarity: As `probabilities` takes it.

    Returns:
      The choice. Its samples are those of the family, and as many times the kernel of
      each resampler as it is likely.
    """
    family = choose_family(fits)
    chosen = jax.tree.map(lambda x: x[family], fits)
    noise_std = math.exp(float(unpack(chosen.vector).spectrum.log_noise) / 2)
    if resampled is None or not min(noise_std, flat_noise_std) < MAX_NOISE:
        return Choice(chosen, samples[family], family)
    losses = np.where(resampled.converged, resampled.loss, np.nan)
    itself, *others = probabilities(losses, float(chosen.loss), clarity=clarity)
    mixed = samples[family].copy()
    ends = np.rint(len(mixed) * np.cumsum([0, *others])).astype(int)
    for kernel, (start, end) in zip(
        resampled.kernel, itertools.pairwise(ends), strict=True
    ):
        mixed[start:end] = kernel
    number = int(np.argmax(others))
    if others[number] > itself:
        best = jax.tree.map(lambda x: x[number], resampled)
        rivalled = best.loss > chosen.loss - CLEAR_GAIN
        return Choice(best, mixed, family, number, bool(rivalled))
    return Choice(chosen, mixed, family)
