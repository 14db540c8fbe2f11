"""TODO docstring."""

from collections.abc import Mapping
from typing import Any

import jax

from kernelgan_jax.priors.base import KernelPrior, Params, check_shape
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty


def simplex(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """Any non-negative kernel of sum 1: the softmax of free parameters, `h x w`.

    It assumes nothing else, so that it also fits motion and disk kernels, and starts
    close to a uniform kernel.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that `penalty` wants the kernel aligned for.
      weights: Of `penalty`.

    Raises:
      ValueError: If an argument is out of range.
    """
    shape = check_shape("shape", shape)

    def init(key: jax.Array) -> Params:
        return 0.01 * jax.random.normal(key, shape)

    def kernel(params: Params) -> jax.Array:
        if params.shape != shape:
            raise ValueError(f"params has shape {params.shape}; it must be {shape}")
        return jax.nn.softmax(params, axis=(0, 1))

    return KernelPrior(init, kernel, bind_penalty(scale, weights))
