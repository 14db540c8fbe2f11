"""The type of a kernel prior, the check of its shape, and its kernel's sum."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kernelgan_jax import checks

Params = Any
"""A pytree of arrays."""
Penalty = Callable[[jax.Array], dict[str, jax.Array]]
"""A function of an `h x w` kernel that returns weighted terms of a loss by name; the
sum of its values is what is minimised."""

MAX_SIDE = 256
"""Longest side of a prior's kernel, pixels."""


class KernelPrior(NamedTuple):
    """A model of the kernel: pure functions, each for one kernel.

    Example:
      >>> from kernelgan_jax import priors
      >>> model = priors.gaussian(13)
      >>> params = model.init(jax.random.key(0))
      >>> model.kernel(params).shape
      (13, 13)
      >>> sorted(model.penalty(model.kernel(params)))
      ['boundary', 'centre', 'sparsity', 'sum']
    """

    init: Callable[[jax.Array], Params]
    """Random parameters from a JAX key, float32."""
    kernel: Callable[[Params], jax.Array]
    """The `h x w` kernel that belongs to parameters."""
    penalty: Penalty
    """Weighted terms by name that grow as an `h x w` kernel gets less plausible."""
    log_prob: Callable[[jax.Array], jax.Array] | None = None
    """Logarithm of the density of an `h x w` kernel, where the prior has one."""


def check_shape(name: str, shape: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a side or of a pair of sides.

    Raises:
      ValueError: If a side is not a positive integer, or there are not one or two.
    """
    pair = tuple(shape) if isinstance(shape, Sequence) else (shape, shape)
    if len(pair) != 2:
        raise ValueError(f"{name} is {shape!r}; it must be an integer or two of them")
    for side in pair:
        checks.whole(name, side, maximum=MAX_SIDE)
    return int(pair[0]), int(pair[1])


def normalised(values: jax.Array) -> jax.Array:
    """Divides a kernel by its sum; one of zeros becomes uniform, with a gradient of 0.

    Args:
      values: `h x w`, at least 0; NaN stays NaN.

    Example:
      >>> normalised(jnp.array([[1.0, 3.0]])).tolist()
      [[0.25, 0.75]]
      >>> normalised(jnp.zeros((1, 2))).tolist()
      [[0.5, 0.5]]
    """
    total = values.sum()
    # Of a smaller sum the second derivatives would overflow.
    is_zero = total <= float(jnp.finfo(values.dtype).eps ** 1.5)
    values = jnp.where(is_zero, 1 / values.size, values)
    return values / jnp.where(is_zero, 1, total)
