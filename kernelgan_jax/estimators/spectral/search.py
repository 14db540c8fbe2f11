"""The fits of all families to one image, and the choice between them."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.estimators.spectral.families import (
    FAMILIES,
    GAUSSIAN,
    GENERALISED,
    MOTION,
    as_ellipse,
    unpack,
)
from kernelgan_jax.estimators.spectral.fit import Fit, fit
from kernelgan_jax.estimators.spectral.posterior import posterior, sample

MIN_GAINS = {GENERALISED: 0.0025, MOTION: 0.005}
"""By how much the loss of a family must be below that of the Gaussian for the family to
be chosen."""


MIN_POWER = 1.5
"""Smallest power b of a generalised Gaussian that is chosen. With b below 1 it has long
tails, which only ever fitted the content of images."""


def fit_families(
    periodogram: jax.Array, weights: jax.Array, *, scale: int
) -> tuple[Fit, jax.Array]:
    """Fits every family to one image and draws samples of each posterior.

    Pure, for one image: `jax.vmap` makes of it a program for many.

    Args:
      periodogram: `SHAPE`, gray levels^2, positive.
      weights: Weights of the frequencies, `SHAPE`.
      scale: Positive integer.

    Returns:
      The fits and the samples, with a leading axis for the families.
    """

    def one(family: jax.Array) -> tuple[Fit, jax.Array]:
        found = fit(periodogram, family, weights=weights, scale=scale)
        covariance = posterior(found, periodogram, family, weights=weights, scale=scale)
        return found, sample(found, covariance, family, scale=scale)

    return jax.vmap(one)(jnp.arange(len(FAMILIES)))


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
