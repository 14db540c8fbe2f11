"""Anisotropic Gaussians and their generalisation, from three to six parameters."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.blur_kernels import MIN_VARIANCE
from kernelgan_jax.priors.base import KernelPrior, Params, check_shape
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty

LARGEST_POWER = 1e30
"""Limit of `q^b` of a generalised Gaussian, so that float32 holds its derivatives."""


class Covariance(NamedTuple):
    """The three values of a 2 x 2 covariance of (row, column), pixels^2."""

    rows: Any
    """Variance along the rows' axis."""
    mixed: Any
    """Covariance of row and column."""
    columns: Any
    """Variance along the columns' axis."""


def gaussian(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """Anisotropic Gaussians of sum 1: three parameters of the shape, two of a shift.

    The parameters are a dictionary: `cholesky`, three values of which `covariance` is
    made, and `shift`, (rows, columns) in pixels from the alignment for the scale.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that the kernel is aligned for.
      weights: Weights of the penalty's terms by name; see `penalty`.

    Raises:
      ValueError: If an argument is out of range.

    Example:
      >>> model = gaussian(13)
      >>> params = {"cholesky": jnp.array([1.5, 0.0, 1.0]), "shift": jnp.zeros(2)}
      >>> kernel = np.asarray(model.kernel(params))
      >>> np.round(kernels.covariance(kernel), 1).tolist()
      [[2.3, 0.0], [0.0, 1.1]]
    """
    shape = check_shape("shape", shape)
    bound_penalty = bind_penalty(scale, weights)
    square = quadratic_form(shape, scale)

    def init(key: jax.Array) -> Params:
        noise = 0.1 * jax.random.normal(key, (3,), jnp.float32)
        return {
            "cholesky": jnp.array([1.5, 0.0, 1.5], jnp.float32) + noise,
            "shift": jnp.zeros(2, jnp.float32),
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
    """Generalised Gaussians `exp(-q^b / 2)` of sum 1, q the Gaussian's quadratic form.

    With b = 1 it is a Gaussian. The larger b, the flatter is the kernel and the sharper
    its rim: it becomes an even ellipse, as a disk or, when thin, a line of motion. The
    parameters are those of `gaussian` and `log_power`, the logarithm of b, which starts
    at 0.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that the kernel is aligned for.
      weights: Weights of the penalty's terms by name; see `penalty`.

    Raises:
      ValueError: If an argument is out of range.

    Example:
      >>> model = generalised_gaussian((13, 15), scale=3)
      >>> params = model.init(jax.random.key(0))
      >>> sorted(params), model.kernel(params).shape
      (['cholesky', 'log_power', 'shift'], (13, 15))
    """
    normal = gaussian(shape, scale=scale, weights=weights)
    square = quadratic_form(check_shape("shape", shape), scale)

    def init(key: jax.Array) -> Params:
        return {**normal.init(key), "log_power": jnp.zeros((), jnp.float32)}

    def kernel(params: Params) -> jax.Array:
        q, b = square(params["cholesky"], params["shift"]), jnp.exp(params["log_power"])
        # Away from 0, where a power has no derivative, and from where its derivatives
        # are infinite; the kernel is 0 long before.
        most = jax.lax.stop_gradient(LARGEST_POWER ** (1 / b))
        power = jnp.clip(q, 1e-6, most) ** b
        return jax.nn.softmax(-power / 2, axis=(0, 1))

    return KernelPrior(init, kernel, normal.penalty)


def covariance(cholesky: Any) -> Covariance:
    """Covariance of the Gaussian of parameters: `L L' + MIN_VARIANCE I`.

    For `generalised_gaussian` this is the matrix of its quadratic form.

    Args:
      cholesky: The three values of the lower triangle L, row by row: an array, NumPy or
        JAX, or three scalars.

    Example:
      >>> [round(float(value), 3) for value in covariance(np.array([2.0, 1.0, 1.5]))]
      [4.1, 2.0, 3.35]
    """
    top, corner, bottom = cholesky
    rows = top**2 + MIN_VARIANCE
    mixed = top * corner
    columns = corner**2 + bottom**2 + MIN_VARIANCE
    return Covariance(rows, mixed, columns)


def quadratic_form(
    shape: tuple[int, int], scale: int
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Function of (cholesky, shift) that gives each pixel's squared distance, `h x w`.

    Args:
      shape: (height, width) of the kernel.
      scale: Scale that the kernel is aligned for.

    Example:
      >>> square = quadratic_form((1, 3), 1)
      >>> distances = square(jnp.array([1.0, 0.0, 1.0]), jnp.zeros(2))
      >>> np.asarray(distances, np.float64).round(2).tolist()
      [[0.91, 0.0, 0.91]]
    """
    rows, columns = np.indices(shape) - kernels.alignment(shape, scale)[:, None, None]

    def square(cholesky: jax.Array, shift: jax.Array) -> jax.Array:
        top, corner, bottom = cholesky
        dtype, v = top.dtype, MIN_VARIANCE
        a, b, c = covariance((top, corner, bottom))
        # a c - b^2, without its cancellation.
        determinant = (top * bottom) ** 2 + v * (top**2 + corner**2 + bottom**2 + v)
        row = jnp.asarray(rows, dtype) - shift[0]
        column = jnp.asarray(columns, dtype) - shift[1]
        return (c * row**2 - 2 * b * row * column + a * column**2) / determinant

    return square
