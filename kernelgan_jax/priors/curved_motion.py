"""Curved motions, as of a camera that shakes: a pixel that moves along a path."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import checks, kernels
from kernelgan_jax.exact_products import matmul
from kernelgan_jax.priors.base import KernelPrior, Params, check_shape, normalised
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty

DEGREE = 4
"""Degree of the polynomials of a path, unless another is asked for."""

TIMES = 24
"""Moments at which a path is looked at."""

USUAL_STD = 1.5, 0.8, 0.5, 0.35
"""Usual sizes of a path's coefficients, LR pixels: the slow parts of a motion are the
large ones."""


def curved_motion(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    degree: int = DEGREE,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """Curved motions of sum 1: an LR pixel that moves along a path, blurred a little.

    The parameters are a dictionary: `path`, `2 x degree`, the rows and columns, in
    pixels, of the coefficients of the Legendre polynomials of degree 1 and on that the
    path is of, in the time from -1 to 1, so that the middle of the path is 0; `width`,
    the standard deviation in pixels of the round Gaussian that blurs it; and `shift`,
    (rows, columns) in pixels from the alignment for the scale.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that the kernel is aligned for; an LR pixel has its square of pixels.
      degree: Degree of the path, from 1 (a straight motion) to 8.
      weights: Weights of the penalty's terms by name; see `penalty`.

    Returns:
      A prior whose kernels are uniform where the path is far from all pixels.

    Raises:
      ValueError: If an argument is out of range.

    Example:
      >>> model = curved_motion(25)
      >>> path = jnp.array([[0.0, 2.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0]])  # an arc
      >>> params = {"path": path, "width": 0.5, "shift": jnp.zeros(2)}
      >>> kernel = np.asarray(model.kernel(params))
      >>> kernel.shape, round(float(kernel.sum()), 3)
      ((25, 25), 1.0)
      >>> bool(np.allclose(kernel, kernel[::-1], atol=1e-3))  # it bends downwards
      False
    """
    shape = check_shape("shape", shape)
    degree = checks.whole("degree", degree, maximum=8)
    scale = checks.scale(scale)
    rows, columns = (
        np.arange(n) - middle
        for n, middle in zip(shape, kernels.alignment(shape, scale), strict=True)
    )
    basis = path_basis(degree)

    def init(key: jax.Array) -> Params:
        usual = scale * jnp.asarray(usual_std(degree), jnp.float32)
        return {
            "path": usual[None] * jax.random.normal(key, (2, degree), jnp.float32),
            "width": jnp.float32(0.15 * scale),
            "shift": jnp.zeros(2, jnp.float32),
        }

    def kernel(params: Params) -> jax.Array:
        path, width, shift = params["path"], params["width"], params["shift"]
        places = matmul(path, jnp.asarray(basis, path.dtype)) + shift[:, None]
        root = jnp.sqrt(2 * (width**2 + 1e-3))

        def covered(positions: np.ndarray, at: jax.Array) -> jax.Array:
            """What a blurred pixel at each moment covers of positions: `n x TIMES`."""
            away = jnp.asarray(positions, path.dtype)[:, None] - at[None]
            upper, lower = away + scale / 2, away - scale / 2
            return jax.lax.erf(upper / root) - jax.lax.erf(lower / root)

        values = matmul(covered(rows, places[0]), covered(columns, places[1]).T)
        return normalised(values)

    return KernelPrior(init, kernel, bind_penalty(scale, weights))


def path_basis(degree: int) -> np.ndarray:
    """Legendre polynomials of degree 1 to `degree` at the moments of a path.

    Example:
      >>> path_basis(2).shape
      (2, 24)
    """
    times = (np.arange(TIMES) + 0.5) / TIMES * 2 - 1
    values = np.polynomial.legendre.legvander(times, degree).T[1:]
    return values - values.mean(1, keepdims=True)


def usual_std(degree: int) -> np.ndarray:
    """`USUAL_STD` of each coefficient of a path; beyond them they fall on.

    Example:
      >>> usual_std(5).tolist()
      [1.5, 0.8, 0.5, 0.35, 0.25]
    """
    more = [0.25] * max(degree - len(USUAL_STD), 0)
    return np.array([*USUAL_STD, *more][:degree])
