"""Straight motions: an even line, blurred by a round Gaussian."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.blur_kernels import MIN_VARIANCE
from kernelgan_jax.priors.base import KernelPrior, Params, check_shape, normalised
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty


def motion(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """Straight motions of sum 1: an even line, blurred by a round Gaussian.

    The parameters are a dictionary: `line`, (rows, columns) in pixels from one end of
    the line to the other, whose sign does not matter; `width`, whose square plus
    `MIN_VARIANCE` is the Gaussian's variance (LR pixels of a scale s have s^2 / 12
    pixels^2); and `shift`, (rows, columns) in pixels from the alignment for the scale.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that the kernel is aligned for.
      weights: Weights of the penalty's terms by name; see `penalty`.

    Returns:
      A prior whose kernels are uniform where the line is far from all pixels.

    Raises:
      ValueError: If an argument is out of range.

    Example:
      >>> model = motion(25)
      >>> params = {"line": jnp.array([0.0, 9.0]), "width": 0.5, "shift": jnp.zeros(2)}
      >>> width = kernels.widths(np.asarray(model.kernel(params)))
      >>> round(width.longer, 1), round(width.shorter, 1), round(abs(width.angle))
      (2.7, 0.6, 0)
    """
    shape = check_shape("shape", shape)
    rows, columns = np.indices(shape) - kernels.alignment(shape, scale)[:, None, None]

    def init(key: jax.Array) -> Params:
        return {
            "line": scale * jax.random.normal(key, (2,), jnp.float32),
            "width": jnp.float32(0.3 * scale),
            "shift": jnp.zeros(2, jnp.float32),
        }

    def kernel(params: Params) -> jax.Array:
        line, width, shift = params["line"], params["width"], params["shift"]
        row = jnp.asarray(rows, line.dtype) - shift[0]
        column = jnp.asarray(columns, line.dtype) - shift[1]
        # The root has no derivative at 0.
        length = jnp.sqrt((line**2).sum() + 1e-4)
        along = (row * line[0] + column * line[1]) / length
        across = (row * line[1] - column * line[0]) / length
        root = jnp.sqrt(2 * (width**2 + MIN_VARIANCE))
        ends = [jax.lax.erf((along + end * length / 2) / root) for end in (1, -1)]
        values = (ends[0] - ends[1]) * jnp.exp(-((across / root) ** 2))
        return normalised(values)

    return KernelPrior(init, kernel, bind_penalty(scale, weights))


def principal_variances(line: Any, width: Any) -> tuple[Any, Any]:
    """Variances of a motion along its line and across it, pixels^2.

    A line of length l alone has l^2 / 12.

    Args:
      line: (rows, columns) from one end of the line to the other, NumPy or JAX.
      width: The parameter `width`.

    Example:
      >>> [round(v, 3) for v in principal_variances((0.0, 6.0), 0.5)]
      [3.35, 0.35]
    """
    across = width**2 + MIN_VARIANCE
    return across + (line[0] ** 2 + line[1] ** 2) / 12, across
