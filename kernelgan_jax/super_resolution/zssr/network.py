"""The two networks of ZSSR: at the size of the result, and at the size of the input.

Channels come first here, `C x H x W`, as the convolutions are fastest so on a CPU.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn


class Conv3x3(nn.Module):
    """A 3 x 3 convolution without bias, `C x H x W`, with zeros around the image.

    On a CPU, XLA runs a convolution inside of a loop some 20 times slower than outside,
    but a matrix product at full speed. `as_product` computes the convolution as one.
    """

    features: int
    """Number of output channels."""
    as_product: bool = False
    """Whether to compute it as a matrix product."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves `C x H x W`; returns `features x H x W`."""
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
    """Number of convolutions."""
    channels: int
    """Hidden channels."""
    out: int
    """Output channels."""
    as_product: bool = False
    """The same as in `Conv3x3`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the convolutions to `C x H x W`; returns `out x H x W`."""
        for _ in range(self.layers - 1):
            x = nn.relu(Conv3x3(self.channels, self.as_product)(x))
        return Conv3x3(self.out, self.as_product)(x)


def pixel_shuffle(x: jax.Array, scale: int) -> jax.Array:
    """Turns s x s channels into s x s pixels: `C*s*s x h x w` to `C x s*h x s*w`.

    Example:
      >>> import jax.numpy as jnp
      >>> from kernelgan_jax.super_resolution.zssr.network import pixel_shuffle
      >>> pixel_shuffle(jnp.arange(4).reshape(4, 1, 1), 2).tolist()
      [[[0, 1], [2, 3]]]

    References:
      Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
      Sub-Pixel Convolutional Neural Network", CVPR 2016, section 3.
    """
    channels, height, width = x.shape
    x = x.reshape(channels // scale**2, scale, scale, height, width)
    x = x.transpose(0, 3, 1, 4, 2)
    return x.reshape(-1, scale * height, scale * width)


class Architecture(NamedTuple):
    """One of the two networks, and its size; hashable."""

    fast: bool
    """Whether the network works at the size of the LR input, with a pixel shuffle at
    its end (`zssr_fast`), or at the size of the result (`zssr`)."""
    scale: int
    """Factor by which the network enlarges."""
    layers: int
    """Number of convolutions."""
    channels: int
    """Hidden channels."""
    colours: int
    """Channels of the image, 1 or 3."""

    def module(self, *, as_product: bool = False) -> Layers:
        """The Flax module; `as_product` is that of `Conv3x3`."""
        out = self.colours * (self.scale**2 if self.fast else 1)
        return Layers(self.layers, self.channels, out, as_product)

    def init(self, key: jax.Array) -> Any:
        """Random parameters: normal, of variance 0.1 / fan-in."""
        side = 2 * self.scale  # Any size gives the same parameters.
        return self.module().init(
            key, jnp.zeros((self.colours, side, side), jnp.float32)
        )

    def apply(
        self, module: Layers, params: Any, lr: jax.Array, base: jax.Array
    ) -> jax.Array:
        """Enlarges an image: the network adds what its linear enlargement lacks.

        Args:
          lr: `C x h x w`.
          base: The linear enlargement of `lr`, `C x s*h x s*w`.

        Returns:
          `C x s*h x s*w`.
        """
        residual: Any = module.apply(params, lr if self.fast else base)
        return base + (pixel_shuffle(residual, self.scale) if self.fast else residual)

    def radius(self, base_radius: int) -> int:
        """Receptive radius, LR pixels, of the enlargement.

        Args:
          base_radius: Receptive radius of the linear enlargement, LR pixels.
        """
        if self.fast:
            return max(self.layers, base_radius)
        return base_radius + -(-self.layers // self.scale)
