"""USRNet: a closed-form data step and a denoiser, in turn.

In each iteration the data step finds the image that is near the last result z and
explains the LR image y, `argmin |y - D K x|^2 + alpha |x - z|^2` (equation 8 of the
paper); then a U-Net, which is given the noise `beta` that is left, denoises it. A small
network makes alpha and beta of all iterations from the image's noise and the scale.
The number of channels, blocks and iterations are those of the file.

References:
  Zhang, Van Gool, Timofte, "Deep Unfolding Network for Image Super-Resolution", CVPR
  2020.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.super_resolution import periodic
from kernelgan_jax.super_resolution.published.files import Layers, hwio, read_npz

LEVELS = 3
"""Times that the denoiser halves the image."""

UNIT = 2**LEVELS
"""HR sides are multiples of this for the denoiser."""

HIDDEN = 3
"""Layers of the network that makes alpha and beta."""


class Denoiser(nn.Module):
    """The U-Net, for one image `H x W x 4`, H and W multiples of `UNIT`."""

    channels: tuple[int, ...]
    """At full size, a half, a quarter and an eighth."""
    blocks: int
    """Residual blocks of each level."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The image without its noise, `H x W x 3`."""

        def conv(x: jax.Array, out: int, name: str) -> jax.Array:
            return nn.Conv(out, (3, 3), use_bias=False, name=name)(x)

        def residual(x: jax.Array, name: str) -> jax.Array:
            channels = x.shape[-1]
            inner = nn.relu(conv(x, channels, f"{name}.res.0"))
            return x + conv(inner, channels, f"{name}.res.2")

        x = conv(x, self.channels[0], "m_head")
        skipped = []
        for level in range(LEVELS):
            skipped.append(x)
            for block in range(self.blocks):
                x = residual(x, f"m_down{level + 1}.{block}")
            x = nn.Conv(
                self.channels[level + 1],
                (2, 2),
                strides=2,
                padding="VALID",
                use_bias=False,
                name=f"m_down{level + 1}.{self.blocks}",
            )(x)
        skipped.append(x)
        for block in range(self.blocks):
            x = residual(x, f"m_body.{block}")
        for level in reversed(range(LEVELS)):
            x = nn.ConvTranspose(
                self.channels[level],
                (2, 2),
                strides=(2, 2),
                padding="VALID",
                use_bias=False,
                name=f"m_up{level + 1}.0",
            )(x + skipped.pop())
            for block in range(self.blocks):
                x = residual(x, f"m_up{level + 1}.{block + 1}")
        return conv(x + skipped.pop(), 3, "m_tail")


class USRNet(NamedTuple):
    """The network with its weights."""

    denoiser: Denoiser
    params: Any
    """Parameters of the denoiser."""
    hyper: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Matrices and biases of the network that makes alpha and beta."""


def load(path: Path) -> USRNet:
    """Reads an `.npz` with the layers' names of the published code.

    Raises:
      ValueError: If it holds no USRNet.
      OSError: If it cannot be read.
    """
    layers = read_npz(path, network="USRNet")
    blocks = 0
    while f"p.m_body.{blocks}.res.0.weight" in layers:
        blocks += 1
    channels = [layers.shape("p.m_head.weight")[0]]
    for level in range(LEVELS):
        channels.append(layers.shape(f"p.m_down{level + 1}.{blocks}.weight")[0])
    denoiser = Denoiser(tuple(channels), blocks)
    params = _denoiser_params(layers, denoiser)
    hidden = layers.shape("h.mlp.0.weight")[0]
    last = layers.shape(f"h.mlp.{2 * HIDDEN - 2}.weight")[0]
    widths = (2, *[hidden] * (HIDDEN - 1), last)
    hyper = tuple(
        (
            layers.take(f"h.mlp.{2 * i}.weight", (after, before, 1, 1))[:, :, 0, 0],
            layers.take(f"h.mlp.{2 * i}.bias", (after,)),
        )
        for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False))
    )
    layers.finish()
    if last % 2:
        raise ValueError(f"{path}: makes {last} numbers; USRNet makes pairs of them")
    return USRNet(denoiser, params, hyper)


def _denoiser_params(layers: Layers, denoiser: Denoiser) -> Any:
    """The denoiser's parameters; their shapes are those that it has."""
    empty = jax.ShapeDtypeStruct((UNIT, UNIT, 4), jnp.float32)
    shapes = jax.eval_shape(denoiser.init, jax.random.key(0), empty)["params"]
    params = {}
    for name, layer in shapes.items():
        height, width, into, out = layer["kernel"].shape
        upward = name.startswith("m_up") and name.count(".") == 1
        pair = (into, out) if upward else (out, into)
        weight = layers.take(f"p.{name}.weight", (*pair, height, width))
        if upward:
            # A transposed convolution; Flax turns its kernel.
            weight = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
        params[name] = {"kernel": jnp.asarray(hwio(weight))}
    return params


def apply(
    network: USRNet,
    image: jax.Array,
    kernel: jax.Array,
    *,
    scale: int,
    noise_std: jax.Array | float = 0.0,
) -> jax.Array:
    """Enlarges an image with a kernel.

    Args:
      network: As `load` gives it.
      image: `H x W x 3`, floating point in [0, 1].
      kernel: `h x w` correlation kernel, aligned for `scale`, sum 1, no larger than the
        HR image.
      scale: Positive integer; 1 is deblurring.
      noise_std: Standard deviation of the noise, as a fraction of the range.

    Returns:
      `scale*H x scale*W x 3`, not clipped.
    """
    height, width = image.shape[:2]
    multiple = UNIT // math.gcd(UNIT, scale)
    inner = tuple(
        periodic.wrapped_size(side, scale=scale, multiple=multiple)
        for side in (height, width)
    )
    grid = (scale * inner[0], scale * inner[1])
    lr = periodic.wrap(image, (inner[0], inner[1]))
    blurred = periodic.blur(kernel, grid, scale=scale)
    numbers = jnp.stack([jnp.asarray(noise_std, jnp.float32), jnp.float32(scale)])
    for index, (weight, bias) in enumerate(network.hyper):
        numbers = weight @ (nn.relu(numbers) if index else numbers) + bias
    alphas, betas = (jax.nn.softplus(numbers) + 1e-6).reshape(2, -1)

    def iterate(x: jax.Array, weights: jax.Array) -> tuple[jax.Array, None]:
        alpha, beta = weights
        # x + A'(A A' + alpha)^-1 (y - A x), A = D K: the minimum in closed form.
        missing = lr - periodic.downscale(x, blurred, scale)
        ones = jnp.ones((1, *grid), jnp.float32)
        (step,) = periodic.invert(
            missing, blurred, ones, alpha[None], jnp.zeros(1), scale
        )
        noise = jnp.broadcast_to(beta, (*grid, 1))
        seen = jnp.concatenate([x + step, noise], -1)
        return network.denoiser.apply({"params": network.params}, seen), None  # type: ignore[return-value]

    start = lr.repeat(scale, 0).repeat(scale, 1)
    result, _ = jax.lax.scan(iterate, start, jnp.stack([alphas, betas], 1))
    return result[: scale * height, : scale * width]
