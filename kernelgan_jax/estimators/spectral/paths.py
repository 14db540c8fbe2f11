"""The likelihood of curved motions, and the search for the most likely one.

A path is fitted as the kernels of `families.py` are, by the same likelihood. Its kernel
is that of `kernelgan_jax.priors.curved_motion`; its unknowns are one vector: the path's
coefficients, rows first, the logarithm of the width w of its blur, and the 7 numbers of
the spectrum. Beside the likelihood's penalties there are

    PRIOR_WEIGHT (sum (c_d / std_d)^2 + (log(w / (0.15 s)))^2)                       (1)

The loss has many minima, so that it is searched from many paths: first from random
ones, then from the neighbourhood of the best.

Throughout, `power` is the periodogram of an image, `SHAPE`, gray levels^2, positive,
`observation` how the image shows its power, and `scale` a positive integer.

References:
  Nocedal and Wright, Numerical Optimization, 2nd edition, 2006, section 6.1 (BFGS).
  Wales and Doye, "Global optimization by basin-hopping", J. Phys. Chem. A, 1997.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.optimize import minimize

from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral.fit import Objective, rms_misfit
from kernelgan_jax.estimators.spectral.likelihood import (
    PRIOR_WEIGHT,
    spectral_likelihood,
)
from kernelgan_jax.estimators.spectral.observation import Observation
from kernelgan_jax.estimators.spectral.posterior import draws, sandwich
from kernelgan_jax.priors.curved_motion import DEGREE, curved_motion, usual_std

STARTS = 16
"""Paths that are searched from at a time."""

STEPS = 40
"""Steps of a search."""

HOP = 0.3
"""Size of the differences in basin hopping, in usual sizes of the coefficients."""

COEFFICIENTS = 2 * DEGREE
"""Unknowns of the path itself; the next one is the logarithm of the width."""

UNKNOWNS = COEFFICIENTS + 8
"""Length of the whole vector."""


def starts(power: jax.Array, *, scale: int) -> jax.Array:
    """Unknowns of random paths, always the same, with a usual photograph's spectrum.

    Returns:
      `STARTS x n` float32.
    """
    draw = np.random.default_rng(0).standard_normal((STARTS, COEFFICIENTS))
    first = (draw * _std(scale) / usual_std(1)).astype(np.float32)
    width = np.full((STARTS, 1), np.log(_usual_width(scale)), np.float32)
    usual = jax.tree.leaves(spectral_likelihood(scale).start(power))
    spectrum = jnp.concatenate([jnp.ravel(x) for x in usual])
    spectra = jnp.broadcast_to(spectrum, (STARTS, len(spectrum)))
    return jnp.concatenate([first, width, spectra], 1)


def near(lowest: np.ndarray, *, seed: int, scale: int) -> np.ndarray:
    """Unknowns of paths that are a little different from some (basin hopping).

    Args:
      lowest: The unknowns of those, `m x n`.
      seed: Of the random numbers.

    Returns:
      `STARTS x n` float32.
    """
    first = np.resize(lowest, (STARTS, UNKNOWNS)).astype(np.float32)
    draw = np.random.default_rng(seed).standard_normal((STARTS, COEFFICIENTS))
    first[:, :COEFFICIENTS] += HOP * _std(scale) * draw
    return first


def search(
    first: jax.Array, power: jax.Array, observation: Observation, *, scale: int
) -> tuple[jax.Array, jax.Array]:
    """Searches for minima of the loss, from several starts; pure.

    Args:
      first: The starts, `m x n`.

    Returns:
      Where the searches end, `m x n`, and the losses there, `m`; either may be NaN.
    """
    # Traced once, however often the search calls it.
    loss = jax.jit(_objective(power, observation, scale).loss)

    def one(start: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = minimize(loss, start, method="BFGS", options={"maxiter": STEPS})
        return found.x, found.fun

    return jax.vmap(one)(first)


class Path(NamedTuple):
    """A path, and its posterior."""

    kernel: Any
    """`n x n`, aligned for the scale, sum 1."""
    samples: Any
    """`SAMPLES x n x n` kernels of its posterior (`posterior.py`)."""
    spectrum: Any
    """The `Spectrum` of the picture."""
    misfit: Any
    """The same as `fit.Fit.misfit`."""
    half_kernel: Any
    """The x2 kernel that leads to the kernel of an x4 image (`families.halve`)."""


def describe(
    vector: jax.Array, power: jax.Array, observation: Observation, *, scale: int
) -> tuple[jax.Array, ...]:
    """The fields of `Path`, for the unknowns of a minimum; pure."""
    parts, at = _objective(power, observation, scale), jnp.arange(len(vector))
    hessian = jax.hessian(parts.loss)(vector)
    covariance = sandwich(vector, hessian, parts, at < COEFFICIENTS)
    samples = jax.vmap(kernel_of(scale))(
        _likely(draws(vector, covariance), vector, parts.loss, hessian, covariance)
    )
    kernel, spectrum = kernel_of(scale)(vector), spectrum_of(vector)
    misfit = rms_misfit(kernel, spectrum, power, observation=observation, scale=scale)
    half = kernel_of(2)(halved(vector))
    return tuple(Path(kernel, samples, spectrum, misfit, half))


def _likely(
    samples: jax.Array,
    mean: jax.Array,
    loss: Callable[[jax.Array], jax.Array],
    hessian: jax.Array,
    covariance: jax.Array,
) -> jax.Array:
    """Draws of a normal distribution, nearer to the mean where they are unlikely.

    Further off the loss of a path is no parabola. There a draw's distance is halved
    until the loss has not grown by more than it would on average in twice the distance,
    five times at most; then it is the mean.
    """
    limit = loss(mean) + 2 * jnp.sum(hessian * covariance)

    def nearer(sample: jax.Array) -> jax.Array:
        steps = jnp.append(2.0 ** -jnp.arange(6), 0)
        tried = mean[None] + steps[:, None] * (sample - mean)[None]
        return tried[jnp.argmax(jax.vmap(loss)(tried) <= limit)]

    return jax.vmap(nearer)(samples)


def mirrored(vector: np.ndarray) -> np.ndarray:
    """The unknowns of the mirror image of a path's kernel."""
    return np.concatenate([-vector[:COEFFICIENTS], vector[COEFFICIENTS:]])


def halved(vector: jax.Array) -> jax.Array:
    """The unknowns of the x2 kernel that leads to an x4 kernel (`families.halve`)."""
    at = jnp.arange(len(vector))
    shorter = jnp.where(at < COEFFICIENTS, vector / np.sqrt(5), vector)
    return shorter.at[COEFFICIENTS].add(-np.log(5) / 2)


def kernel_of(scale: int) -> Callable[[Any], jax.Array]:
    """The function of unknowns that makes their kernel, `n x n`."""
    model = curved_motion(spectral_likelihood(scale).size, scale=scale)

    def kernel(vector: Any) -> jax.Array:
        vector = jnp.asarray(vector)
        path = vector[:COEFFICIENTS].reshape(2, DEGREE)
        width = jnp.exp(vector[COEFFICIENTS])
        return model.kernel({"path": path, "width": width, "shift": jnp.zeros(2)})

    return kernel


def spectrum_of(vector: Any) -> Spectrum:
    """The spectrum among unknowns."""
    rest = vector[COEFFICIENTS + 1 :]
    return Spectrum(rest[0], rest[1], rest[2:6], rest[6])


def _objective(power: jax.Array, observation: Observation, scale: int) -> Objective:
    likelihood, kernel = spectral_likelihood(scale), kernel_of(scale)

    def misfit(vector: jax.Array) -> jax.Array:
        each = likelihood.misfit(
            kernel(vector), spectrum_of(vector), power, observation
        )
        return observation.weights * each / observation.weights.sum()

    def penalty(vector: jax.Array) -> jax.Array:
        path = vector[:COEFFICIENTS] / _std(scale)
        width = vector[COEFFICIENTS] - np.log(_usual_width(scale))
        of_path = PRIOR_WEIGHT * ((path**2).sum() + width**2)  # (1)
        return likelihood.penalty(spectrum_of(vector)) + of_path

    def loss(vector: jax.Array) -> jax.Array:
        return misfit(vector).sum() + penalty(vector)

    return Objective(misfit, penalty, loss)


def _std(scale: int) -> np.ndarray:
    """Usual sizes of the coefficients, pixels."""
    return (max(scale, 2) * np.tile(usual_std(DEGREE), 2)).astype(np.float32)


def _usual_width(scale: int) -> float:
    return 0.15 * scale
