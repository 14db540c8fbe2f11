"""A linear network in Flax, and the kernel that its filters compose to."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

XAVIER = nn.initializers.variance_scaling(0.01, "fan_avg", "normal")
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
            shape = (*size, 1 if first else self.channels, 1 if last else self.channels)
            filters.append(self.param(f"filter_{i}", XAVIER, shape, jnp.float32))
        return collapse(filters, strides=self.strides)


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
