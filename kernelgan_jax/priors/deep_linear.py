"""KernelGAN's prior: the kernel as the product of the filters of a linear network.

Training the factors instead of the kernel itself prefers simple kernels and converges
better (Bell-Kligler et al., NeurIPS 2019, section 4.1).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import jax

from kernelgan_jax import checks
from kernelgan_jax.priors.base import KernelPrior, Params, check_shape
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty


def deep_linear(
    *,
    filters: Sequence[int | tuple[int, int]] = (7, 5, 3, 1, 1, 1),
    strides: Sequence[int] | None = None,
    channels: int = 64,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """KernelGAN's prior: kernels that are the product of a linear network's filters.

    The sum of the kernel is free, and `penalty` draws it to 1. The parameters are the
    filters, `filter_0` to `filter_(n-1)`, each `h x w x in x out`.

    Args:
      filters: Side, or (height, width), of the filter of each layer, input to output.
      strides: Stride of each layer; their product is the scale. By default the last is
        2 and all others are 1.
      channels: Hidden channels, positive.
      weights: Weights of the penalty's terms by name; see `penalty`.

    Returns:
      A prior for kernels of side `1 + sum_i (h_i - 1) s_0 ... s_(i-1)`.

    Raises:
      ValueError: If an argument is out of range.

    References:
      Bell-Kligler, Shocher, Irani, "Blind Super-Resolution Kernel Estimation using an
      Internal-GAN", NeurIPS 2019, section 4.1.

    Example:
      >>> model = deep_linear(filters=(5, 3), channels=2)
      >>> model.kernel(model.init(jax.random.key(0))).shape
      (7, 7)
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
    channels = checks.whole("channels", channels)
    # Flax takes a tenth of a second, and other priors do without.
    from kernelgan_jax.priors.linear_network import DeepLinearGenerator

    generator = DeepLinearGenerator(sizes, channels, tuple(strides))

    def init(key: jax.Array) -> Params:
        return generator.init(key)["params"]

    def kernel(params: Params) -> jax.Array:
        return cast(jax.Array, generator.apply({"params": params}))

    return KernelPrior(init, kernel, bind_penalty(math.prod(strides), weights))
