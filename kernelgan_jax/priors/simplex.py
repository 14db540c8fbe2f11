"""The prior without assumptions: any kernel of non-negative values and sum 1."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from kernelgan_jax.priors.base import KernelPrior, Params, check_shape
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty


def simplex(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """All non-negative kernels of sum 1: the softmax of free parameters, `h x w`.

    The prior assumes nothing else, so that it also fits motion and disk kernels. It
    starts close to a uniform kernel.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale for which `penalty` draws the kernel to its alignment.
      weights: Weights of the penalty's terms by name; see `penalty`.

    Raises:
      ValueError: If an argument is out of range.

    Example:
      >>> model = simplex((9, 12), scale=3)
      >>> kernel = model.kernel(model.init(jax.random.key(0)))
      >>> kernel.shape, round(float(kernel.sum()), 5)
      ((9, 12), 1.0)
    """
    shape = check_shape("shape", shape)

    def init(key: jax.Array) -> Params:
        return 0.01 * jax.random.normal(key, shape, jnp.float32)

    def kernel(params: Params) -> jax.Array:
        if params.shape != shape:
            raise ValueError(f"params has shape {params.shape}; it must be {shape}")
        return jax.nn.softmax(params, axis=(0, 1))

    return KernelPrior(init, kernel, bind_penalty(scale, weights))
