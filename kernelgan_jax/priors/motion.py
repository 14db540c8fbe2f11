"""TODO docstring."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.priors.base import KernelPrior, Params, check_shape
from kernelgan_jax.priors.gaussian import LEAST_VARIANCE
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty


def motion(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """An even line, blurred by a round Gaussian, of sum 1: a straight motion.

    The parameters are a dictionary: `line`, (rows, columns) in pixels from one end of
    the line to the other, of which the sign does not matter; `width`, whose square and
    `LEAST_VARIANCE` are the Gaussian's variance (the pixels of a scale of s have
    s^2 / 12 of it, pixels^2); and `shift` as in `gaussian`.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that the kernel is aligned for.
      weights: Of `penalty`.

    Raises:
      ValueError: If an argument is out of range.
    """
    shape = check_shape("shape", shape)
    rows, columns = np.indices(shape) - kernels.alignment(shape, scale)[:, None, None]

    def init(key: jax.Array) -> Params:
        line = scale * jax.random.normal(key, (2,))
        return {"line": line, "width": jnp.asarray(0.3 * scale), "shift": jnp.zeros(2)}

    def kernel(params: Params) -> jax.Array:
        line, width, shift = params["line"], params["width"], params["shift"]
        row = jnp.asarray(rows, line.dtype) - shift[0]
        column = jnp.asarray(columns, line.dtype) - shift[1]
        length = jnp.sqrt((line**2).sum() + 1e-4)  # Its root has no derivative at 0.
        along = (row * line[0] + column * line[1]) / length
        across = (row * line[1] - column * line[0]) / length
        root = jnp.sqrt(2 * (width**2 + LEAST_VARIANCE))
        ends = [jax.lax.erf((along + end * length / 2) / root) for end in (1, -1)]
        values = (ends[0] - ends[1]) * jnp.exp(-((across / root) ** 2))
        return values / values.sum()

    return KernelPrior(init, kernel, bind_penalty(scale, weights))
