"""The posterior of a fitted kernel: its formula, its constants and its code.

Near its minimum the loss of `fit.py` is a parabola, and the posterior of the unknowns a
Gaussian around the minimum (Laplace's approximation). Its covariance is Huber's
"sandwich", which holds even if the model is not quite true:

    V = H^-1 (MISFIT_FACTOR J + PENALTY_FACTOR P) H^-1 + SHARPNESS_STD^2 t t' / 4    (1)

- H is the Hessian of the loss, with eigenvalues of at least `MIN_CURVATURE`.
- J sums, over pairs of frequencies, the products of the slopes of their misfits. The
  weight of a pair falls with distance (Newey and West), as the errors of neighbours are
  correlated. Along the rows frequencies are periodic; pairs across the vertical borders
  of the half-plane of frequencies are left out. J is large where the content of the
  image moves its spectrum, and small where there is only noise.
- P is the Hessian of the penalties.
- t are the lengths among the unknowns, in pixels. How sharp the image was before it was
  downscaled cannot be seen in its spectrum; the last term allows for it.

The three constants were chosen on Kodak and scikit-image photographs downscaled with
random Gaussians, motions and disks, so that expected errors match measured ones.

References:
  Huber, "The behavior of maximum likelihood estimates under nonstandard conditions",
    5th Berkeley Symposium, 1967.
  Newey and West, "A simple, positive semi-definite, heteroskedasticity and
    autocorrelation consistent covariance matrix", Econometrica, 1987.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.estimators.spectral.families import (
    LENGTH_PARAMETERS,
    families,
    free_parameters,
    unpack,
)
from kernelgan_jax.estimators.spectral.fit import Fit, Objective, objective
from kernelgan_jax.estimators.spectral.observation import UNCOMPRESSED, Observation
from kernelgan_jax.estimators.spectral.periodogram import SHAPE, WINDOW
from kernelgan_jax.exact_products import einsum, matmul

MISFIT_FACTOR = 6.0
"""Factor of J in (1)."""

PENALTY_FACTOR = 1e-3
"""Factor of P in (1)."""

SHARPNESS_STD = 0.15
"""Relative standard deviation of all variances of the kernel together."""

MIN_CURVATURE = 1e-3
"""Smallest eigenvalue of H in (1), so that directions in which the loss hardly changes
stay bounded."""

CORRELATED_DISTANCE = 8
"""From this distance on the errors of two frequencies count as independent."""

SAMPLES = 64
"""Number of kernels drawn from the posterior."""

DRAWS = Path(__file__).parent / "draws.npz"
"""`quasi_normal` for the numbers of unknowns that fits have, by that number."""


def posterior(
    fit: Fit,
    periodogram: jax.Array,
    family: int | jax.Array,
    *,
    observation: Observation = UNCOMPRESSED,
    scale: int,
) -> jax.Array:
    """The covariance (1) of the unknowns: `11 x 11`; pure.

    Args:
      fit: Result of `fit.fit` for the other arguments.
    """
    parts = objective(periodogram, family, observation=observation, scale=scale)
    is_length = jnp.arange(len(fit.vector)) < LENGTH_PARAMETERS
    covariance = sandwich(fit.vector, fit.hessian, parts, is_length)
    free = free_parameters(family)
    return covariance * free[:, None] * free[None, :]


def sandwich(
    vector: jax.Array,
    hessian: jax.Array,
    parts: Objective,
    is_length: Any,
) -> jax.Array:
    """The covariance (1) of any model's unknowns: `n x n`; pure.

    Args:
      vector: The unknowns, `n`.
      hessian: Of the loss with respect to them.
      parts: The parts of the loss.
      is_length: Which of the unknowns are lengths, `n` bool.
    """
    slopes = jax.jacfwd(parts.misfit)(vector)
    near_rows, near_columns = _pair_weights()
    smoothed = einsum("rs,cd,sdj->rcj", near_rows, near_columns, slopes)
    inner = MISFIT_FACTOR * einsum("rci,rcj->ij", slopes, smoothed)
    inner += PENALTY_FACTOR * jax.hessian(parts.penalty)(vector)
    values, axes = jnp.linalg.eigh(hessian)
    inverse = matmul(axes / jnp.maximum(values, MIN_CURVATURE)[None], axes.T)
    # Relative deviations of lengths are half as large as those of variances.
    wider = jnp.where(is_length, SHARPNESS_STD / 2 * vector, 0)
    both = matmul(matmul(inverse, inner), inverse)
    return both + jnp.outer(wider, wider)  # (1)


def _pair_weights() -> tuple[jax.Array, jax.Array]:
    """Weights of pairs of rows (periodic) and of columns of frequencies."""
    rows, columns = np.fft.fftfreq(WINDOW, 1 / WINDOW), np.arange(SHAPE[1])
    apart = rows[:, None] - rows
    row_distance = np.abs((apart + WINDOW / 2) % WINDOW - WINDOW / 2)
    column_distance = np.abs(columns[:, None] - columns)

    def triangle(distance: np.ndarray) -> jax.Array:
        weights = np.maximum(1 - distance / CORRELATED_DISTANCE, 0)
        return jnp.asarray(weights, jnp.float32)

    return triangle(row_distance), triangle(column_distance)


def sample(
    fit: Fit, covariance: jax.Array, family: int | jax.Array, *, scale: int
) -> jax.Array:
    """Draws kernels from a posterior; pure, always from the same random numbers.

    Args:
      family: `GAUSSIAN`, `GENERALISED` or `MOTION`.

    Returns:
      `SAMPLES x n x n` kernels, aligned for the scale, sum 1.
    """
    kinds = families(scale)
    vectors = draws(fit.vector, covariance)
    return jax.vmap(lambda vector: kinds.kernel(family, unpack(vector).shape))(vectors)


def draws(mean: jax.Array, covariance: jax.Array) -> jax.Array:
    """`SAMPLES x n` draws of a normal distribution, always of the same random numbers.

    Args:
      mean: `n`.
      covariance: `n x n`.
    """
    values, axes = jnp.linalg.eigh(covariance)
    # The symmetric root: it does not depend on the signs of the axes, which differ from
    # one machine to another.
    root = matmul(axes * jnp.sqrt(jnp.maximum(values, 0))[None], axes.T)
    with np.load(DRAWS) as kept:
        name = str(len(mean))
        standard = kept[name] if name in kept else quasi_normal(len(mean))
    return mean[None] + matmul(jnp.asarray(standard, mean.dtype), root.T)


def quasi_normal(count: int) -> np.ndarray:
    """`SAMPLES x count` nearly normal numbers, evenly spread (quasi-Monte Carlo).

    SciPy, which makes them, takes most of a second to import.
    """
    from scipy.stats import qmc

    zeros = np.zeros(count)
    normal = qmc.MultivariateNormalQMC(zeros, rng=np.random.default_rng(0))
    draws: np.ndarray = normal.random(SAMPLES)
    return draws
