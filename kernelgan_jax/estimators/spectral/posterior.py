"""TODO docstring."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.estimators.spectral.families import KERNEL_PARAMETERS, families
from kernelgan_jax.estimators.spectral.fit import Fit, free_parameters, unpack_spectrum
from kernelgan_jax.estimators.spectral.likelihood import (
    FREQUENCY_WEIGHTS,
    spectral_likelihood,
)
from kernelgan_jax.estimators.spectral.periodogram import SHAPE, WINDOW

NEIGHBOURS = 8
"""Frequencies that are as far apart as this err independently of each other."""


SAMPLES = 64
"""Kernels that the posterior is shown by."""


def posterior(
    fit: Fit,
    periodogram: jax.Array,
    family: int | jax.Array,
    used: Any = FREQUENCY_WEIGHTS,
    *,
    scale: int,
) -> jax.Array:
    """The covariance of the vector, as `confidence.py` states it: `11 x 11`.

    Of neighbours beyond the vertical edges of the half-plane of frequencies nothing is
    counted.

    Args:
      fit: Of the same arguments.
    """
    likelihood, kinds = spectral_likelihood(scale), families(scale)
    free, used = free_parameters(family), jnp.asarray(used, jnp.float32)

    def misfit(vector: jax.Array) -> jax.Array:
        kernel = kinds.kernel(family, vector[:KERNEL_PARAMETERS])
        each = likelihood.misfit(kernel, unpack_spectrum(vector), periodogram)
        return used * each / used.sum()

    def priors(vector: jax.Array) -> jax.Array:
        of_kernel = kinds.priors(family, vector[:KERNEL_PARAMETERS])
        return of_kernel + likelihood.priors(unpack_spectrum(vector))

    slopes = jax.jacfwd(misfit)(fit.vector)
    rows, columns = np.fft.fftfreq(WINDOW, 1 / WINDOW), np.arange(SHAPE[1])
    near_rows, near_columns = (
        jnp.asarray(np.maximum(1 - x / NEIGHBOURS, 0), jnp.float32)
        for x in (
            np.abs((rows[:, None] - rows + WINDOW / 2) % WINDOW - WINDOW / 2),
            np.abs(columns[:, None] - columns),
        )
    )
    together = jnp.einsum("rs,cd,sdj->rcj", near_rows, near_columns, slopes)
    moved = SPREAD * jnp.einsum("rci,rcj->ij", slopes, together)
    moved += PRIORS * jax.hessian(priors)(fit.vector)
    values, axes = jnp.linalg.eigh(fit.hessian)
    # A direction that hardly matters to the loss is bounded all the same.
    inverse = (axes / jnp.maximum(values, 1e-3)[None]) @ axes.T
    # All widths by the same part, half as much as variances.
    wider = jnp.where(jnp.arange(len(fit.vector)) < 3, SHARPNESS / 2 * fit.vector, 0)
    covariance = inverse @ moved @ inverse + jnp.outer(wider, wider)
    return covariance * free[:, None] * free[None, :]


def sample(
    fit: Fit, covariance: jax.Array, family: int | jax.Array, *, scale: int
) -> jax.Array:
    """Kernels of a posterior, always of the same draws.

    Returns:
      `SAMPLES x n x n`, aligned for the scale, sum 1.
    """
    values, axes = jnp.linalg.eigh(covariance)
    root = axes * jnp.sqrt(jnp.maximum(values, 0))[None]
    kinds = families(scale)
    from scipy.stats import qmc  # Slow to import.

    zeros = np.zeros(len(fit.vector))
    even = qmc.MultivariateNormalQMC(zeros, rng=np.random.default_rng(0))
    draws = jnp.asarray(even.random(SAMPLES), fit.vector.dtype)
    return jax.vmap(lambda vector: kinds.kernel(family, vector[:KERNEL_PARAMETERS]))(
        fit.vector[None] + draws @ root.T
    )


SPREAD, PRIORS, SHARPNESS = 6.0, 1e-3, 0.15
"""Of the posterior, see above: chosen on Kodak and scikit-image photographs that were
downscaled with random Gaussians, motions and disks. SHARPNESS is the standard deviation
of all variances together, relative."""
