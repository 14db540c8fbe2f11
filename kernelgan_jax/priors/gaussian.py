"""TODO docstring."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.priors.base import KernelPrior, Params, check_shape
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty

LEAST_VARIANCE = 0.1
"""Of `gaussian`, pixels^2: narrower Gaussians fall between the pixels."""


def gaussian(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """An anisotropic Gaussian of sum 1: three parameters, and two of a shift.

    The covariance is `L L' + LEAST_VARIANCE I` (pixels^2, rows first). The parameters
    are a dictionary: `cholesky`, the three values of the lower triangle L row by row,
    and `shift`, (rows, columns) in pixels from the alignment for the scale.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that the kernel is aligned for.
      weights: Of `penalty`.

    Raises:
      ValueError: If an argument is out of range.
    """
    shape = check_shape("shape", shape)
    bound_penalty = bind_penalty(scale, weights)
    square = quadratic_form(shape, scale)

    def init(key: jax.Array) -> Params:
        noise = 0.1 * jax.random.normal(key, (3,))
        return {
            "cholesky": jnp.array([1.5, 0.0, 1.5]) + noise,
            "shift": jnp.zeros(2),
        }

    def kernel(params: Params) -> jax.Array:
        q = square(params["cholesky"], params["shift"])
        return jax.nn.softmax(-q / 2, axis=(0, 1))

    return KernelPrior(init, kernel, bound_penalty)


def generalised_gaussian(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """`exp(-q^b / 2)` of sum 1, q the quadratic form of a Gaussian.

    With b = 1 that Gaussian; the larger b, the flatter and the sharper its rim: an even
    ellipse, which is a disk or, when thin, the line of a motion. The parameters are
    those of `gaussian` and `log_power`, the logarithm of b, which starts at 0.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that the kernel is aligned for.
      weights: Of `penalty`.

    Raises:
      ValueError: If an argument is out of range.
    """
    normal = gaussian(shape, scale=scale, weights=weights)
    square = quadratic_form(check_shape("shape", shape), scale)

    def init(key: jax.Array) -> Params:
        return {**normal.init(key), "log_power": jnp.zeros(())}

    def kernel(params: Params) -> jax.Array:
        q = square(params["cholesky"], params["shift"])
        # Away from 0, where a power has no derivative.
        power = jnp.maximum(q, 1e-6) ** jnp.exp(params["log_power"])
        return jax.nn.softmax(-power / 2, axis=(0, 1))

    return KernelPrior(init, kernel, normal.penalty)


def quadratic_form(
    shape: tuple[int, int], scale: int
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Of (cholesky, shift) as in `gaussian`: the squared distance of each pixel."""
    rows, columns = np.indices(shape) - kernels.alignment(shape, scale)[:, None, None]

    def square(cholesky: jax.Array, shift: jax.Array) -> jax.Array:
        top, corner, bottom = cholesky
        dtype, v = top.dtype, LEAST_VARIANCE
        a = top**2 + v
        b = top * corner
        c = corner**2 + bottom**2 + v
        # a c - b^2, without its cancellation.
        determinant = (top * bottom) ** 2 + v * (top**2 + corner**2 + bottom**2 + v)
        row = jnp.asarray(rows, dtype) - shift[0]
        column = jnp.asarray(columns, dtype) - shift[1]
        return (c * row**2 - 2 * b * row * column + a * column**2) / determinant

    return square
