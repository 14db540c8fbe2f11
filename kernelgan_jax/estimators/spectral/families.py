"""TODO docstring."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.estimators.spectral.likelihood import (
    PRIOR_WEIGHT,
    spectral_likelihood,
)
from kernelgan_jax.priors.gaussian import LEAST_VARIANCE, generalised_gaussian
from kernelgan_jax.priors.motion import motion

FAMILIES = GAUSSIAN, GENERALISED, MOTION = 0, 1, 2
"""`gaussian`, `generalised_gaussian` and `motion` of `prior`.

A generalised Gaussian is `exp(-q^b / 2)`, q the quadratic form of a Gaussian: at b = 1
that Gaussian, from b = 3 on an even ellipse, as of a lens out of focus.
"""


KERNEL_PARAMETERS = 4
"""Parameters of a kernel: the Cholesky factor of the covariance (three values, row by
row), and log b; of a motion its line (rows, columns), its width, and 0."""


class Families(NamedTuple):
    """All of them as pure functions; which one is an argument, and may be traced."""

    starts: Callable[[int | jax.Array], jax.Array]
    """`starts(family) -> 3 x 4`: kernels of three directions."""
    kernel: Callable[[int | jax.Array, jax.Array], jax.Array]
    """`kernel(family, parameters) -> n x n`, aligned for the scale, sum 1."""
    priors: Callable[[int | jax.Array, jax.Array], jax.Array]
    """`priors(family, parameters) -> scalar`, to add to the likelihood's loss."""


def families(scale: int) -> Families:
    """The families at one scale.

    Their priors are weak, as those of `whittle`: the log of the area (root of the
    covariance's determinant) is that of 2 (s^2 - 1) / 3 pixels^2 +- 1; at scale 1, of
    2 / 3. Ellipses are round (`3 PRIOR log(mean variance / area)`, as one standard
    deviation where a width is 2.4 times the other), and log b is 0 +- 1. The Gaussian
    of a motion has the variance of a pixel, s^2 / 12, its log +- 1; alone it would pass
    for motion what is round.

    Raises:
      ValueError: If the scale is no positive integer.
    """
    size = spectral_likelihood(scale).size
    ellipse, line = (f(size, scale=scale) for f in (generalised_gaussian, motion))
    usual = max(scale**2 - 1, 1) / 3  # Variances grow like this by repeated x2.

    def starts(family: int | jax.Array) -> jax.Array:
        ellipses = [(1.0, 0.0, 1.0), (1.8, 0.0, 0.5), (0.5, 0.0, 1.8)]
        turns = np.pi * np.arange(3) / 3
        lines = np.stack([np.sin(turns), np.cos(turns), 0.2 + 0 * turns], 1)
        shapes = jnp.where(
            family == MOTION,
            1.5 * scale * jnp.asarray(lines, jnp.float32),
            jnp.sqrt(2.8 * usual * jnp.asarray(ellipses, jnp.float32)),
        )
        return jnp.pad(shapes, ((0, 0), (0, 1)))

    def kernel(family: int | jax.Array, parameters: jax.Array) -> jax.Array:
        shape, shift = parameters[:3], jnp.zeros(2, parameters.dtype)
        return jnp.where(
            family == MOTION,
            line.kernel({"line": shape[:2], "width": shape[2], "shift": shift}),
            ellipse.kernel(
                {"cholesky": shape, "shift": shift, "log_power": parameters[3]}
            ),
        )

    def priors(family: int | jax.Array, parameters: jax.Array) -> jax.Array:
        top, corner, bottom, log_power = parameters
        a, b = top**2 + LEAST_VARIANCE, top * corner
        c = corner**2 + bottom**2 + LEAST_VARIANCE
        # A line of length l has variance l^2 / 12.
        across = bottom**2 + LEAST_VARIANCE
        along = across + (top**2 + corner**2) / 12
        is_motion = family == MOTION
        area = jnp.sqrt(jnp.where(is_motion, along * across, a * c - b**2))
        of_ellipse = 3 * jnp.log((a + c) / 2 / area) + log_power**2
        of_motion = jnp.log(12 * across / scale**2) ** 2
        of_all = jnp.log(area / (2 * usual)) ** 2
        return PRIOR_WEIGHT * (of_all + jnp.where(is_motion, of_motion, of_ellipse))

    return Families(starts, kernel, priors)


def halve(family: int, vector: np.ndarray) -> np.ndarray:
    """An x2 kernel's parameters of an x4 kernel's, of five times its variance."""
    log_power = vector[KERNEL_PARAMETERS - 1]
    if family == MOTION:
        width = (vector[2] ** 2 + LEAST_VARIANCE) / 5 - LEAST_VARIANCE
        shape = [*vector[:2] / math.sqrt(5), math.sqrt(max(width, 0))]
        return np.array([*shape, log_power], np.float32)
    lower = np.array([[vector[0], 0], [vector[1], vector[2]]], np.float64)
    least = LEAST_VARIANCE * np.eye(2)
    values, axes = np.linalg.eigh((lower @ lower.T + least) / 5 - least)
    lower = np.linalg.cholesky((axes * np.maximum(values, 1e-4)) @ axes.T)
    return np.array([lower[0, 0], *lower[1], log_power], np.float32)
