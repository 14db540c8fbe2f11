"""Families of kernels, and the vector of unknowns that is fitted to a spectrum.

The families are those of `kernelgan_jax.priors`, q being the quadratic form of an
ellipse with covariance `L L' + MIN_VARIANCE I`:

    GAUSSIAN      exp(-q / 2)                                                        (1)
    GENERALISED   exp(-q^b / 2)                                                      (2)
    MOTION        a straight line blurred by a round Gaussian                        (3)

With b = 1 a generalised Gaussian is a Gaussian; from b = 3 on it is nearly an even
ellipse, as the blur of a lens out of focus.

The unknowns are one vector of 11 numbers, so that one compiled program serves all
families: 4 for the shape of the kernel and 7 for the spectrum. `pack` and `unpack`
convert it to `Parameters`; `as_ellipse` and `as_line` give the shape its meaning.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.blur_kernels import MIN_VARIANCE
from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral.likelihood import (
    PRIOR_WEIGHT,
    spectral_likelihood,
)
from kernelgan_jax.kernels import variance_growth
from kernelgan_jax.priors.gaussian import covariance, generalised_gaussian
from kernelgan_jax.priors.motion import motion, principal_variances

FAMILIES = GAUSSIAN, GENERALISED, MOTION = 0, 1, 2
"""The families by number; a number may be traced."""

FAMILY_NAMES = ("Gaussian", "generalised Gaussian", "motion")
"""The same in words."""

SHAPE_PARAMETERS = 4
"""Length of the part of the vector that describes the kernel."""

LENGTH_PARAMETERS = 3
"""The first of these are lengths in pixels in every family; the width of a kernel grows
in proportion to them."""

PARAMETERS = SHAPE_PARAMETERS + 7
"""Length of the whole vector."""


class Parameters(NamedTuple):
    """The unknowns of a fit."""

    shape: Any
    """Shape of the kernel, `SHAPE_PARAMETERS` numbers; see `as_ellipse`, `as_line`."""
    spectrum: Spectrum
    """Spectrum of the HR image, and the noise."""


def pack(parameters: Parameters) -> jax.Array:
    """Puts parameters into a vector of `PARAMETERS` numbers."""
    return jnp.concatenate([jnp.ravel(x) for x in jax.tree.leaves(parameters)])


def unpack(vector: jax.Array) -> Parameters:
    """Inverse of `pack`."""
    shape, rest = vector[:SHAPE_PARAMETERS], vector[SHAPE_PARAMETERS:]
    return Parameters(shape, Spectrum(rest[0], rest[1], rest[2:6], rest[6]))


def as_ellipse(shape: Any) -> dict[str, Any]:
    """Shape of a Gaussian: the lower triangle of L row by row, and log b."""
    return {"cholesky": shape[:3], "log_power": shape[3]}


def as_line(shape: Any) -> dict[str, Any]:
    """Shape of a motion: (rows, columns) of the line, and the width of its blur.

    The fourth number is not used.
    """
    lengths = shape[:LENGTH_PARAMETERS]
    return {"line": lengths[:2], "width": lengths[2]}


def free_parameters(family: int | jax.Array) -> jax.Array:
    """1 for the numbers of the vector that a family has, 0 for the others.

    log b is an unknown of the generalised Gaussian only.
    """
    is_power = jnp.arange(PARAMETERS) == SHAPE_PARAMETERS - 1
    return 1 - (is_power & (family != GENERALISED)).astype(jnp.float32)


class Families(NamedTuple):
    """All families at one scale as pure functions of the family's number."""

    starts: Callable[[int | jax.Array], jax.Array]
    """`starts(family) -> 3 x SHAPE_PARAMETERS`: shapes of three directions."""
    kernel: Callable[[int | jax.Array, jax.Array], jax.Array]
    """`kernel(family, shape) -> n x n`, aligned for the scale, sum 1."""
    penalty: Callable[[int | jax.Array, jax.Array], jax.Array]
    """`penalty(family, shape) -> scalar`, to be added to the loss."""


def families(scale: int) -> Families:
    """The families at one scale.

    Their penalties are weak, as those of the likelihood: `PRIOR_WEIGHT` times

        (log(area / (2 (s^2 - 1) / 3)))^2                    in every family         (4)
        3 log((a + c) / 2 / area) + (log b)^2                for ellipses            (5)
        (log(12 across / s^2))^2                             for motions             (6)

    The area is the square root of the covariance's determinant, pixels^2; (4) expects
    the variance 2 (s^2 - 1) / 3, give or take a factor of e (2 / 3 at scale 1). a and c
    are the variances of rows and columns: (5) expects round ellipses, and reaches one
    standard deviation where one width is 2.4 times the other. `across` is the variance
    of a line's blur: (6) expects that of a pixel, s^2 / 12. Without (6) round kernels
    would be taken for motions.

    Raises:
      ValueError: If the scale is no positive integer.
    """
    size = spectral_likelihood(scale).size
    ellipse, line = (f(size, scale=scale) for f in (generalised_gaussian, motion))
    usual = max(variance_growth(scale), 1 / 3)  # 1 / 3 at scale 1

    def starts(family: int | jax.Array) -> jax.Array:
        ellipses = [(1.0, 0.0, 1.0), (1.8, 0.0, 0.5), (0.5, 0.0, 1.8)]
        turns = np.pi * np.arange(3) / 3
        lines = np.stack([np.sin(turns), np.cos(turns), 0.2 + 0 * turns], 1)
        lengths = jnp.where(
            family == MOTION,
            1.5 * scale * jnp.asarray(lines, jnp.float32),
            jnp.sqrt(2.8 * usual * jnp.asarray(ellipses, jnp.float32)),
        )
        return jnp.pad(lengths, ((0, 0), (0, SHAPE_PARAMETERS - LENGTH_PARAMETERS)))

    def kernel(family: int | jax.Array, shape: jax.Array) -> jax.Array:
        shift = {"shift": jnp.zeros(2, shape.dtype)}
        return jnp.where(
            family == MOTION,
            line.kernel(as_line(shape) | shift),  # (3)
            ellipse.kernel(as_ellipse(shape) | shift),  # (1), (2)
        )

    def penalty(family: int | jax.Array, shape: jax.Array) -> jax.Array:
        # The triangle of L row by row; or rows and columns of a line, and its width.
        *lengths, log_power = shape
        a, b, c = covariance(lengths)
        along, across = principal_variances(lengths[:2], lengths[2])
        is_motion = family == MOTION
        area = jnp.sqrt(jnp.where(is_motion, along * across, a * c - b**2))
        of_all = jnp.log(area / (2 * usual)) ** 2  # (4)
        of_ellipse = 3 * jnp.log((a + c) / 2 / area) + log_power**2  # (5)
        of_motion = jnp.log(12 * across / scale**2) ** 2  # (6)
        return PRIOR_WEIGHT * (of_all + jnp.where(is_motion, of_motion, of_ellipse))

    return Families(starts, kernel, penalty)


def halve(family: int, shape: np.ndarray) -> np.ndarray:
    """Shape of the x2 kernel that leads to an x4 kernel.

    Downscaling twice by 2 has the covariance C + 4 C, so that of the x2 kernel is a
    fifth of the x4 kernel's.

    Args:
      family: Its number.
      shape: Shape of the x4 kernel, `SHAPE_PARAMETERS` numbers.

    Returns:
      Shape of the x2 kernel, float32.
    """
    *lengths, log_power = shape
    if family == MOTION:
        rows, columns, width = lengths
        _, across = principal_variances((rows, columns), width)
        halved = math.sqrt(max(across / 5 - MIN_VARIANCE, 0))
        line = np.array([rows, columns]) / math.sqrt(5)
        return np.array([*line, halved, log_power], np.float32)
    a, b, c = covariance(np.asarray(lengths, np.float64))
    fifth = np.array([[a, b], [b, c]]) / 5
    values, axes = np.linalg.eigh(fifth - MIN_VARIANCE * np.eye(2))
    lower = np.linalg.cholesky((axes * np.maximum(values, 1e-4)) @ axes.T)
    return np.array([lower[0, 0], *lower[1], log_power], np.float32)
