"""EDSR and RCAN: deep residual networks for images that were downscaled bicubically.

They know no kernel; the rows EDSR+ and RCAN+ of KernelGAN's paper are theirs. Both take
the mean colour away, go through residual blocks of two convolutions, and enlarge at the
end by pixel shuffles. RCAN has groups of blocks, and each block ends with channel
attention: its channels are weighted by a function of their means over the image.

The files are those of the published code: a `state_dict` of PyTorch. Channels, blocks,
groups and the scale are those of the file. Pixels are from 0 to 255 inside.

References:
  Lim, Son, Kim, Nah, Lee, "Enhanced Deep Residual Networks for Single Image
  Super-Resolution", CVPR Workshops 2017. Zhang, Li, Li, Wang, Zhong, Fu, "Image
  Super-Resolution Using Very Deep Residual Channel Attention Networks", ECCV 2018.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from kernelgan_jax.super_resolution.published.files import Layers, hwio
from kernelgan_jax.super_resolution.published.torch_files import read_torch

WIDE = 256
"""Channels from which on EDSR multiplies its residuals (section 3.3)."""


class Residual(nn.Module):
    """EDSR, or RCAN if there are groups, for `H x W x 3`.

    Names of layers are those of the published code.
    """

    channels: int
    blocks: int
    """Number of residual blocks, in each group if there are groups."""
    groups: int
    """Number of groups; 0 for EDSR."""
    reduced: int
    """Channels in the middle of channel attention; 0 for EDSR."""
    factors: tuple[int, ...]
    """Enlargements, one after the other."""

    @property
    def scale(self) -> int:
        """The scale of the result."""
        return math.prod(self.factors)

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """The enlarged image, `scale*H x scale*W x 3`."""

        def conv(x: jax.Array, name: str, out: int = 0, side: int = 3) -> jax.Array:
            return nn.Conv(out or self.channels, (side, side), name=name)(x)

        def block(x: jax.Array, name: str) -> jax.Array:
            found = conv(nn.relu(conv(x, f"{name}.body.0")), f"{name}.body.2")
            if self.reduced:
                mean = found.mean((0, 1), keepdims=True)
                du = f"{name}.body.3.conv_du"
                inner = nn.relu(conv(mean, f"{du}.0", self.reduced, 1))
                return x + found * nn.sigmoid(conv(inner, f"{du}.2", side=1))
            return x + (0.1 if self.channels >= WIDE else 1.0) * found

        def blocks(x: jax.Array, name: str) -> jax.Array:
            found = x
            for index in range(self.blocks):
                found = block(found, f"{name}.{index}")
            return x + conv(found, f"{name}.{self.blocks}")

        x = first = conv(conv(255 * image, "sub_mean", 3, 1), "head.0")
        if self.groups:
            for index in range(self.groups):
                x = blocks(x, f"body.{index}.body")
            x = first + conv(x, f"body.{self.groups}")
        else:
            x = blocks(x, "body")
        for index, factor in enumerate(self.factors):
            x = conv(x, f"tail.0.{2 * index}", factor**2 * self.channels)
            x = pixel_shuffle(x, factor)
        return conv(conv(x, "tail.1", 3), "add_mean", 3, 1) / 255


def pixel_shuffle(x: jax.Array, factor: int) -> jax.Array:
    """Makes `sH x sW x C` of `H x W x (C s s)`, as PyTorch orders the channels."""
    height, width, channels = x.shape
    x = x.reshape(height, width, channels // factor**2, factor, factor)
    return x.transpose(0, 3, 1, 4, 2).reshape(height * factor, width * factor, -1)


class Weights(NamedTuple):
    """The network with its weights."""

    network: Residual
    params: Any


def load(path: Path, *, network: str) -> Weights:
    """Reads the weights of `EDSR` or `RCAN`.

    Raises:
      ValueError: If the file holds no such network.
      OSError: If it cannot be read.
    """
    layers = read_torch(path, network=network)
    channels = layers.shape("head.0.weight")[0]
    groups = reduced = 0
    blocks = "body"
    if network == "RCAN":
        groups = _count(layers, "body.{}.body.0.body.0.weight")
        blocks = "body.0.body"
        reduced = layers.shape(f"{blocks}.0.body.3.conv_du.0.weight")[0]
    found = Residual(
        channels,
        _count(layers, blocks + ".{}.body.0.weight"),
        groups,
        reduced,
        _factors(path, layers, channels),
    )
    empty = jax.ShapeDtypeStruct((1, 1, 3), jnp.float32)
    shapes = jax.eval_shape(found.init, jax.random.key(0), empty)["params"]
    params = {}
    for layer, parts in shapes.items():
        height, width, into, out = parts["kernel"].shape
        weight = layers.take(f"{layer}.weight", (out, into, height, width))
        bias = layers.take(f"{layer}.bias", (out,))
        params[layer] = {"kernel": jnp.asarray(hwio(weight)), "bias": jnp.asarray(bias)}
    layers.finish()
    return Weights(found, params)


def _count(layers: Layers, name: str) -> int:
    """How many layers there are of a name with a number in it."""
    count = 0
    while name.format(count) in layers:
        count += 1
    return count


def _factors(path: Path, layers: Layers, channels: int) -> tuple[int, ...]:
    """The enlargements of a file: a number of layers, each of whole factors."""
    factors: list[int] = []
    while (name := f"tail.0.{2 * len(factors)}.weight") in layers:
        found = layers.shape(name)[0] / channels
        factor = round(found**0.5)
        if factor**2 != found:
            raise ValueError(f"{path}: weights {name} make {found:g} pixels of one")
        factors.append(factor)
    return tuple(factors)
