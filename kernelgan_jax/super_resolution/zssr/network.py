"""TODO docstring."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from kernelgan_jax.super_resolution.zssr.linear_filter import FILTER_RADIUS


class Conv3x3(nn.Module):
    """A 3 x 3 convolution without bias, `C x H x W`, zeros around.

    XLA runs convolutions in loops on CPU some 20 times slower than outside of them, and
    matrix products at full speed: `as_product` makes one of it.
    """

    features: int
    as_product: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels, height, width = x.shape
        # Weight variance 0.1 / fan_in.
        init = nn.initializers.variance_scaling(0.1, "fan_in", "normal")
        shape = (3, 3, channels, self.features)
        kernel = self.param("kernel", init, shape, jnp.float32)
        if not self.as_product:
            return jax.lax.conv_general_dilated(
                x[None],
                kernel,
                (1, 1),
                "SAME",
                dimension_numbers=("NCHW", "HWIO", "NCHW"),
            )[0]
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1)))
        shifted = [
            padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)
        ]
        columns = jnp.concatenate(shifted).reshape(-1, height * width)
        product = kernel.reshape(-1, self.features).T @ columns
        return product.reshape(self.features, height, width)


class Layers(nn.Module):
    """Convolutions with ReLU between them, `C x H x W`."""

    layers: int
    channels: int
    out: int
    as_product: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.layers - 1):
            x = nn.relu(Conv3x3(self.channels, self.as_product)(x))
        return Conv3x3(self.out, self.as_product)(x)


def pixel_shuffle(x: jax.Array, scale: int) -> jax.Array:
    """`C*s*s x h x w` to `C x s*h x s*w`: s x s channels become s x s pixels."""
    channels, height, width = x.shape
    x = x.reshape(channels // scale**2, scale, scale, height, width)
    x = x.transpose(0, 3, 1, 4, 2)
    return x.reshape(-1, scale * height, scale * width)


class Architecture(NamedTuple):
    """Which of the two networks, and its size; hashable."""

    fast: bool
    scale: int
    layers: int
    channels: int
    colours: int

    def module(self, *, as_product: bool = False) -> Layers:
        """The Flax module."""
        out = self.colours * (self.scale**2 if self.fast else 1)
        return Layers(self.layers, self.channels, out, as_product)

    def apply(
        self, module: Layers, params: Any, son: jax.Array, base: jax.Array
    ) -> jax.Array:
        """Enlarges `son` (`C x h x w`), given its linear enlargement `base`."""
        residual: Any = module.apply(params, son if self.fast else base)
        return base + (pixel_shuffle(residual, self.scale) if self.fast else residual)

    @property
    def radius(self) -> int:
        """Receptive radius in LR pixels of the network and of its base."""
        if self.fast:
            return max(self.layers, FILTER_RADIUS, 3)
        return -(-self.layers // self.scale) + 3
