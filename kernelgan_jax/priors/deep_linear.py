"""TODO docstring."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import flax.linen as nn
import jax

from kernelgan_jax import checks, kernels
from kernelgan_jax.priors.base import KernelPrior, Params, check_shape
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty

# Xavier's normal initialisation with gain 0.1.
_XAVIER = nn.initializers.variance_scaling(0.01, "fan_avg", "normal")


class DeepLinearGenerator(nn.Module):
    """A deep linear network without biases: its filters compose to the SR kernel.

    Called without arguments, it returns that kernel, `n x n`; `downscale_x2` applies
    it. Training the factors instead of the kernel itself is what makes the search
    converge (paper, section 4.1); a single filter gives the paper's ablation.

    Attributes:
      kernel_sizes: (Height, width) of each filter, input to output.
      channels: Hidden channels.
      strides: Stride of each layer; all 1 if empty.
    """

    kernel_sizes: tuple[tuple[int, int], ...]
    channels: int = 64
    strides: tuple[int, ...] = ()

    @nn.compact
    def __call__(self) -> jax.Array:
        filters = []
        for i, size in enumerate(self.kernel_sizes):
            first, last = i == 0, i == len(self.kernel_sizes) - 1
            shape = (
                *size,
                1 if first else self.channels,
                1 if last else self.channels,
            )
            filters.append(self.param(f"filter_{i}", _XAVIER, shape))
        return kernels.collapse(filters, self.strides)


def deep_linear(
    filters: Sequence[int | tuple[int, int]] = (7, 5, 3, 1, 1, 1),
    *,
    strides: Sequence[int] | None = None,
    channels: int = 64,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """KernelGAN's prior: the kernel that a deep linear network stands for.

    Gradient descent on the factors prefers simple kernels (Bell-Kligler et al. 2019,
    section 4.1); its sum is free, and `penalty` draws it to 1. The parameters are the
    filters, `filter_0` to `filter_(n-1)`, each `h x w x in x out`.

    Args:
      filters: Side, or (height, width), of the filter of each layer, input to output.
      strides: Stride of each layer; their product is the scale. By default all are 1
        but the last, which is 2.
      channels: Hidden channels, positive.
      weights: Of `penalty`.

    Returns:
      A prior for kernels of side `1 + sum_i (h_i - 1) s_0 ... s_(i-1)`.

    Raises:
      ValueError: If an argument is out of range.
    """
    if not isinstance(filters, Sequence) or not filters:
        raise ValueError(f"filters is {filters!r}; it must be a sequence, not empty")
    sizes = tuple(check_shape("filters", size) for size in filters)
    if strides is None:
        strides = [1] * (len(sizes) - 1) + [2]
    if not isinstance(strides, Sequence) or len(strides) != len(sizes):
        raise ValueError(
            f"strides is {strides!r}; it must be a sequence of {len(sizes)} integers"
        )
    for stride in strides:
        checks.whole("strides", stride)
    checks.whole("channels", channels)
    generator = DeepLinearGenerator(sizes, channels, tuple(strides))

    def init(key: jax.Array) -> Params:
        return generator.init(key)["params"]

    def kernel(params: Params) -> jax.Array:
        return cast(jax.Array, generator.apply({"params": params}))

    return KernelPrior(init, kernel, bind_penalty(math.prod(strides), weights))
