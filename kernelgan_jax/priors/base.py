"""The type of a kernel prior, and the check of its shape."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

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
