"""KernelGAN's prior: the kernel as the product of the filters of a linear network.

Training the factors instead of the kernel itself prefers simple kernels and converges
better (Bell-Kligler et al., NeurIPS 2019, section 4.1).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from kernelgan_jax import checks
from kernelgan_jax.priors.base import KernelPrior, Params, check_shape
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty

_XAVIER = nn.initializers.variance_scaling(0.01, "fan_avg", "normal")
"""Xavier's normal initialisation with gain 0.1."""


class DeepLinearGenerator(nn.Module):
    """A deep linear network without biases, whose filters compose to the SR kernel.

    Called without arguments, it returns that kernel. A single filter gives the paper's
    ablation.

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
        return collapse(filters, strides=self.strides)


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
    generator = DeepLinearGenerator(sizes, channels, tuple(strides))

    def init(key: jax.Array) -> Params:
        return generator.init(key)["params"]

    def kernel(params: Params) -> jax.Array:
        return cast(jax.Array, generator.apply({"params": params}))

    return KernelPrior(init, kernel, bind_penalty(math.prod(strides), weights))


def collapse(
    filters: Sequence[jax.Array], *, strides: Sequence[int] | None = None
) -> jax.Array:
    """Composes the filters of a deep linear network into one kernel.

    Correlating with `filters[0]`, then `filters[1]`, ... equals correlating once with
    the result. The composition runs from the output side, where there is one channel:
    for KernelGAN's generator it takes 1.1 M multiply-adds, a thousandth of what the
    layers themselves take on a crop.

    Args:
      filters: Filters in the order in which they apply, each `h x w x in x out` (Flax's
        layout), the first with 1 input channel, the last with 1 output channel.
      strides: Stride of each layer; all 1 if not given. The last stride does not change
        the kernel.

    Returns:
      `h x w` kernel, of side `1 + sum_i (h_i - 1) s_0 ... s_(i-1)`. Its sum is not
      normalised.

    References:
      Bell-Kligler, Shocher, Irani, "Blind Super-Resolution Kernel Estimation using an
      Internal-GAN", NeurIPS 2019, section 4.1.

    Example:
      >>> filters = [jnp.ones((1, 2, 1, 4)), jnp.ones((1, 2, 4, 1))]
      >>> collapse(filters).tolist()
      [[4.0, 8.0, 4.0]]
    """
    strides = strides or [1] * len(filters)
    kernel = filters[-1][..., 0]
    for filter_, stride in reversed(list(zip(filters, strides, strict=True))[:-1]):
        kernel = _dilate(kernel, stride)
        products = jnp.einsum("hwo,pqio->hpwqi", kernel, filter_)
        kernel = _overlap_add(_overlap_add(products, 0), 1)
    return kernel[..., 0]


def _dilate(kernel: jax.Array, stride: int) -> jax.Array:
    """Puts `stride - 1` zeros between the rows and columns of `h x w x channels`."""
    between = (0, 0, stride - 1)
    zero = jnp.zeros((), kernel.dtype)
    return jax.lax.pad(kernel, zero, (between, between, (0, 0, 0)))


def _overlap_add(x: jax.Array, axis: int) -> jax.Array:
    """Sums `x[.., i, j, ..]` over all `i + j = n`: the sum in a full convolution.

    Padding each row by its number of rows and cutting the flattened array short shears
    it, row `i` by `i` places, so that one sum along the columns does it.
    """
    rows, columns = x.shape[axis : axis + 2]
    before, after = x.shape[:axis], x.shape[axis + 2 :]
    width = [(0, 0)] * x.ndim
    width[axis + 1] = (0, rows)
    flat = jnp.pad(x, width).reshape(*before, rows * (columns + rows), *after)
    out = rows + columns - 1
    flat = jax.lax.slice_in_dim(flat, 0, rows * out, axis=axis)
    return flat.reshape(*before, rows, out, *after).sum(axis)
