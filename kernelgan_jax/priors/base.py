"""Models of the SR kernel as differentiable components, for KernelGAN and for others.

A `KernelPrior` is a NamedTuple of pure functions: parameters come from `init`, a kernel
comes of them by `kernel`, and `penalty` and `log_prob` say how plausible a kernel is.
Minimise over the parameters whatever depends on the kernel:

    model = prior.simplex(13)

    def loss(params):
        kernel = model.kernel(params)
        misfit = ((downscale(hr, kernel, 2) - lr) ** 2).sum() / (2 * sigma**2)
        return misfit + sum(model.penalty(kernel).values())

    params = model.init(key)
    gradient = jax.grad(loss)(params)

Nothing here is jitted; all of it can be, under `vmap`, `grad` (twice), `checkpoint` and
in `scan`. Kernels are as `kernelgan_jax.kernels` states, and aligned for the prior's
scale where the prior knows of an alignment. Computation is in the precision of the
parameters: for float64, cast what `init` gives.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from kernelgan_jax import checks

Params = Any
"""A pytree of arrays."""


class KernelPrior(NamedTuple):
    """A model of the kernel: pure functions, of one kernel each."""

    init: Callable[[jax.Array], Params]
    """Random parameters from a JAX key, float32."""
    kernel: Callable[[Params], jax.Array]
    """The `h x w` kernel of parameters."""
    penalty: Callable[[jax.Array], dict[str, jax.Array]]
    """Weighted penalties of an `h x w` kernel by name; see `penalty`."""
    log_prob: Callable[[jax.Array], jax.Array] | None = None
    """Logarithm of the density of an `h x w` kernel, where the prior has one."""


def check_shape(name: str, shape: int | tuple[int, int]) -> tuple[int, int]:
    pair = tuple(shape) if isinstance(shape, Sequence) else (shape, shape)
    if len(pair) != 2:
        raise ValueError(f"{name} is {shape!r}; it must be an integer or two of them")
    for side in pair:
        checks.whole(name, side)
    return int(pair[0]), int(pair[1])
