"""The best kernel of a family, and the spectrum, for one periodogram.

Throughout, `periodogram` is that of an image, `SHAPE`, gray levels^2, positive,
`observation` how the image shows its power, and `scale` a positive integer.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral.families import (
    PARAMETERS,
    SHAPE_PARAMETERS,
    Parameters,
    families,
    free_parameters,
    pack,
    unpack,
)
from kernelgan_jax.estimators.spectral.likelihood import spectral_likelihood
from kernelgan_jax.estimators.spectral.newton import minimise
from kernelgan_jax.estimators.spectral.observation import UNCOMPRESSED, Observation

MAX_STEPS = 40
"""Largest number of Newton steps."""

TOLERANCE = 1e-7
"""The search ends when the predicted decrease of the loss is below this."""


class Fit(NamedTuple):
    """A minimum of the loss."""

    vector: jax.Array
    """The unknowns, as `families.pack` orders them."""
    loss: jax.Array
    """Mean misfit over frequencies, plus the penalties."""
    hessian: jax.Array
    """Hessian of the loss with respect to the vector; for fixed unknowns its rows and
    columns are those of the identity."""
    converged: jax.Array
    """Whether the search converged."""
    misfit: jax.Array
    """Root mean square over frequencies of log(P / M): the logarithm of measured power
    over expected power."""
    kernel: jax.Array
    """The kernel, `n x n`, aligned for the scale, sum 1."""


export.register_namedtuple_serialization(Fit, serialized_name="kernelgan_jax.Fit")


class Objective(NamedTuple):
    """The loss that is minimised, and its parts, as functions of the unknowns."""

    misfit: Callable[[jax.Array], jax.Array]
    """`misfit(vector)`: what each frequency adds to the loss, `SHAPE`."""
    penalty: Callable[[jax.Array], jax.Array]
    """`penalty(vector) -> scalar`: those of the likelihood and of the kernel."""
    loss: Callable[[jax.Array], jax.Array]
    """`loss(vector) -> scalar`: the sum of all."""


def objective(
    periodogram: jax.Array,
    family: int | jax.Array,
    *,
    observation: Observation = UNCOMPRESSED,
    scale: int,
) -> Objective:
    """The loss of a family, given a periodogram; arguments as of `fit`."""
    likelihood, kinds = spectral_likelihood(scale), families(scale)

    def each(parameters: Parameters) -> jax.Array:
        kernel = kinds.kernel(family, parameters.shape)
        return likelihood.misfit(kernel, parameters.spectrum, periodogram, observation)

    def misfit(vector: jax.Array) -> jax.Array:
        return observation.weights * each(unpack(vector)) / observation.weights.sum()

    def penalty(vector: jax.Array) -> jax.Array:
        shape, spectrum = unpack(vector)
        return likelihood.penalty(spectrum) + kinds.penalty(family, shape)

    def loss(vector: jax.Array) -> jax.Array:
        parameters = unpack(vector)
        mean = observation.mean(each(parameters))
        of_spectrum = likelihood.penalty(parameters.spectrum)
        return mean + of_spectrum + kinds.penalty(family, parameters.shape)

    return Objective(misfit, penalty, loss)


def starting_vectors(
    periodogram: jax.Array, family: int | jax.Array, *, scale: int
) -> jax.Array:
    """Where the search for a family's best kernel starts: `3 x PARAMETERS`."""
    spectrum = spectral_likelihood(scale).start(periodogram)
    shapes = families(scale).starts(family)
    return jax.vmap(lambda shape: pack(Parameters(shape, spectrum)))(shapes)


def fit(
    periodogram: jax.Array,
    family: int | jax.Array,
    *,
    observation: Observation = UNCOMPRESSED,
    scale: int,
) -> Fit:
    """Finds the best kernel of a family, and the spectrum, by Newton's method.

    The search runs from three starts; the lowest result counts. Pure: it can be
    compiled by `jax.jit` and batched by `jax.vmap`.

    Args:
      family: `GAUSSIAN`, `GENERALISED` or `MOTION`.

    Returns:
      The fit; not `converged` if no start led to the minimum in `MAX_STEPS` steps.

    Raises:
      ValueError: If the scale is no positive integer.
    """
    periodogram = jnp.asarray(periodogram, jnp.float32)
    family = jnp.asarray(family)
    loss = objective(periodogram, family, observation=observation, scale=scale).loss
    free = free_parameters(family)

    def search(start: jax.Array) -> Any:
        return minimise(
            loss, start, free=free, max_steps=MAX_STEPS, tolerance=TOLERANCE
        )

    found = jax.vmap(search)(starting_vectors(periodogram, family, scale=scale))
    best = jnp.argmin(found.value)
    # If several starts lead to one minimum, rounding decides which is the lowest.
    at_minimum = found.value < found.value[best] + TOLERANCE
    vector = found.position[best]
    kernel = families(scale).kernel(family, unpack(vector).shape)
    return Fit(
        vector,
        found.value[best],
        found.hessian[best],
        converged=(found.converged & at_minimum).any(),
        misfit=rms_misfit(
            kernel,
            unpack(vector).spectrum,
            periodogram,
            observation=observation,
            scale=scale,
        ),
        kernel=kernel,
    )


def fit_spectrum(
    periodogram: jax.Array, kernel: jax.Array, *, observation: Observation, scale: int
) -> Fit:
    """Finds the best spectrum for one kernel, as `fit` does for a family.

    Args:
      kernel: `n x n`, n the side of the likelihood's kernels.

    Returns:
      The fit; the shape in its vector has no meaning.
    """
    likelihood = spectral_likelihood(scale)
    start = Parameters(jnp.zeros(SHAPE_PARAMETERS), likelihood.start(periodogram))
    is_spectrum = jnp.arange(PARAMETERS) >= SHAPE_PARAMETERS

    def loss(vector: jax.Array) -> jax.Array:
        spectrum = unpack(vector).spectrum
        misfit = likelihood.misfit(kernel, spectrum, periodogram, observation)
        return observation.mean(misfit) + likelihood.penalty(spectrum)

    found = minimise(
        loss,
        pack(start),
        free=is_spectrum.astype(jnp.float32),
        max_steps=MAX_STEPS,
        tolerance=TOLERANCE,
    )
    return Fit(
        found.position,
        found.value,
        found.hessian,
        found.converged,
        rms_misfit(
            kernel,
            unpack(found.position).spectrum,
            periodogram,
            observation=observation,
            scale=scale,
        ),
        kernel,
    )


def rms_misfit(
    kernel: jax.Array,
    spectrum: Spectrum,
    periodogram: jax.Array,
    *,
    observation: Observation,
    scale: int,
) -> jax.Array:
    """`Fit.misfit` of a kernel and a spectrum; arguments as of `fit_spectrum`."""
    expected = spectral_likelihood(scale).expected(kernel, spectrum, observation)
    return jnp.sqrt(observation.mean(jnp.log(periodogram / expected) ** 2))
