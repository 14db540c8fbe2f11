"""TODO docstring."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral.families import (
    GENERALISED,
    KERNEL_PARAMETERS,
    families,
)
from kernelgan_jax.estimators.spectral.likelihood import (
    FREQUENCY_WEIGHTS,
    spectral_likelihood,
)

NEWTON_STEPS = 40
"""At most."""


LEAST_PROMISE = 1e-7
"""Decrease of the loss that a step must promise, or the search ends."""


class Fit(NamedTuple):
    """A minimum of the loss."""

    vector: jax.Array
    """Parameters of the kernel (4) and of the spectrum (7, as `Spectrum` has them)."""
    loss: jax.Array
    """Mean misfit over frequencies, and the priors."""
    hessian: jax.Array
    """Of the loss by the vector, of the free parameters alone: others are 0, 1 on the
    diagonal."""
    ended: jax.Array
    """Whether the search came to its end."""
    misfit: jax.Array
    """Root mean square over frequencies of `log P/M`."""
    kernel: jax.Array
    """`n x n`, aligned for the scale."""


def unpack_spectrum(vector: jax.Array) -> Spectrum:
    amplitude, exponent, c, d, e, f, noise = vector[KERNEL_PARAMETERS:]
    return Spectrum(amplitude, exponent, jnp.stack([c, d, e, f]), noise)


def free_parameters(family: int | jax.Array) -> jax.Array:
    """1 for parameters that the family has, 0 for the others: `11`."""
    fixed = (jnp.arange(KERNEL_PARAMETERS + 7) == KERNEL_PARAMETERS - 1) & (
        family != GENERALISED
    )
    return 1 - fixed.astype(jnp.float32)


def fit(
    periodogram: jax.Array,
    family: int | jax.Array,
    used: Any = FREQUENCY_WEIGHTS,
    *,
    scale: int,
) -> Fit:
    """The best kernel of a family, and spectrum, by Newton's method.

    Eleven unknowns at most: each step solves with the Hessian, its eigenvalues made
    positive and damped until the loss falls (Levenberg, Marquardt); the best of three
    starts.

    Args:
      periodogram: As `whittle.periodogram` gives it, in gray levels^2.
      family: `GAUSSIAN`, `GENERALISED` or `MOTION`.
      used: Weights of the frequencies.
      scale: Positive integer.

    Raises:
      ValueError: If the scale is no positive integer.
    """
    likelihood, kinds = spectral_likelihood(scale), families(scale)
    periodogram = jnp.asarray(periodogram, jnp.float32)
    family, used = jnp.asarray(family), jnp.asarray(used, jnp.float32)
    free = free_parameters(family)

    def loss(vector: jax.Array) -> jax.Array:
        shape, spectrum = vector[:KERNEL_PARAMETERS], unpack_spectrum(vector)
        kernel = kinds.kernel(family, shape)
        misfit = likelihood.misfit(kernel, spectrum, periodogram)
        mean = (used * misfit).sum() / used.sum()
        return mean + likelihood.priors(spectrum) + kinds.priors(family, shape)

    def derivatives(vector: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        def slope_first(vector: jax.Array) -> Any:
            value, slope = jax.value_and_grad(loss)(vector)
            return slope, (value, slope)

        curvature, (value, slope) = jax.jacfwd(slope_first, has_aux=True)(vector)
        curvature = (curvature + curvature.T) / 2 * free[:, None] * free[None, :]
        return value, free * slope, curvature + jnp.diag(1 - free)

    def newton(start: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        def step(state: Any) -> Any:
            best, damping, count, _ = state
            vector, (least, slope, curvature) = best
            values, axes = jnp.linalg.eigh(curvature)
            ahead = (axes.T @ slope) / (jnp.abs(values) + damping)
            there = vector - axes @ ahead
            found = (there, derivatives(there))
            whole = jnp.isfinite(found[1][2]).all()
            better = whole & (found[1][0] < least)  # NaN is not.
            best = jax.tree.map(lambda a, b: jnp.where(better, a, b), found, best)
            damping = jnp.where(better, damping / 3, damping * 4)
            # What a step promises: where that is next to nothing, the search is over.
            promise = (ahead**2 * jnp.abs(values)).sum()
            return best, jnp.clip(damping, 1e-6, 1e3), count + 1, promise

        def running(state: Any) -> jax.Array:
            _, _, count, promise = state
            return (count < NEWTON_STEPS) & ((count < 2) | ~(promise < LEAST_PROMISE))

        # The first step stays where it starts, and looks about.
        none = jnp.zeros_like(start)
        unknown = (jnp.float32(jnp.inf), none, jnp.diag(none + 1))
        first = ((start, unknown), jnp.float32(0.01), 0, jnp.float32(0))
        best, *_, promise = jax.lax.while_loop(running, step, first)
        vector, (least, _, curvature) = best
        return vector, least, curvature, promise < LEAST_PROMISE

    usual = jnp.concatenate([jnp.ravel(x) for x in likelihood.start(periodogram)])
    starts = jnp.concatenate([kinds.starts(family), jnp.tile(usual, (3, 1))], axis=1)
    vectors, losses, curvatures, ended = jax.vmap(newton)(starts)
    best = jnp.argmin(losses)
    # Of starts that lead to one minimum any may be the lowest, by rounding.
    ended = (ended & (losses < losses[best] + LEAST_PROMISE)).any()
    vector = vectors[best]
    kernel = kinds.kernel(family, vector[:KERNEL_PARAMETERS])
    expected = likelihood.expected(kernel, unpack_spectrum(vector))
    square = jnp.log(periodogram / expected) ** 2
    misfit = jnp.sqrt((used * square).sum() / used.sum())
    return Fit(vector, losses[best], curvatures[best], ended, misfit, kernel)
