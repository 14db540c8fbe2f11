"""A convolutional network on top of Wiener filters, for any kernel.

The network restores what a linear filter cannot. At LR size, or half of it, it sees

1. three Wiener filters of the image (`wiener.py`), for 0.7 to ten times the noise:
   what is noise in one place is detail in another;
2. the LR image itself, and numbers: the noise, how uncertain the kernel is, the
   strength of JPEG, the kernel's covariance, the scale.

It predicts a correction of the middle filter. Between its stages a closed-form data
step compares the result, downscaled with the kernel, with the LR image, and the next
stage sees the difference (unfolded half-quadratic splitting).

Images enter without their local mean and convolutions have no bias: the output of the
network scales with contrast and noise together, and a flat area keeps its value up to
what the noise allows. Gray images stay gray exactly.

References:
  Dong, Roth, Schiele, "Deep Wiener Deconvolution", NeurIPS 2020.
  Zhang, Van Gool, Timofte, "Deep Unfolding Network for Image Super-Resolution", CVPR
  2020.
  Mohan, Kadkhodaie, Simoncelli, Fernandez-Granda, "Robust and interpretable blind image
  denoising via bias-free convolutional neural networks", ICLR 2020.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.power_spectra import natural_spectrum
from kernelgan_jax.super_resolution import periodic, wiener
from kernelgan_jax.super_resolution.deep_wiener.config import SCALES

Params = Any

MAX_KERNEL = 41
"""Largest side of a kernel."""

FACTORS = {1: 2, 2: 2, 3: 3, 4: 4}
"""HR pixels along each side of one position of the network, by scale."""

TRUNKS = {1: "fine", 2: "fine", 3: "coarse", 4: "coarse"}
"""Which residual blocks serve a scale: positions that hold more pixels need more
channels."""

NOISE_LEVELS = (0.7, 2.5, 10.0)
"""Noise of the Wiener filters, as multiples of the image's; the middle one is the
base."""

GAIN = 8.0
"""Factor on all pixels that enter the network, and on corrections that leave it."""

TRUST = 0.7
"""Kernels err by about this much of what the posterior says of their widths."""


class DeepWiener(nn.Module):
    """The network, for one image; see the module. Its parameters are those of one
    `scale`; scales share the blocks of their trunk."""

    channels: int = 64
    """At scales 1 and 2."""
    coarse_channels: int = 112
    """At scales 3 and 4."""
    stages: int = 4
    blocks: int = 2
    """Residual blocks of each stage."""

    @nn.compact
    def __call__(
        self,
        image: jax.Array,
        kernel: jax.Array,
        noise_std: jax.Array,
        kernel_std: jax.Array,
        jpeg: jax.Array,
        *,
        scale: int,
        wraps: bool = False,
    ) -> jax.Array:
        """Enlarges `H x W x 3` by `scale`; for the arguments see `apply`."""
        height, width = image.shape[:2]
        factor = FACTORS[scale]
        unit = factor // scale
        inner = (height, width)
        if not wraps:
            inner = (
                periodic.wrapped_size(height, scale=scale, multiple=unit),
                periodic.wrapped_size(width, scale=scale, multiple=unit),
            )
        grid = (scale * inner[0], scale * inner[1])
        # What the network sees: whole positions, the image and a little of its gap.
        seen = tuple(-(-n // unit) * unit for n in (height, width))

        def crop(x: jax.Array, times: int = 1) -> jax.Array:
            return x[: times * seen[0], : times * seen[1]]

        def unshuffle(x: jax.Array, size: int) -> jax.Array:
            rows, columns = x.shape[0] // size, x.shape[1] // size
            x = x.reshape(rows, size, columns, size, -1)
            return x.transpose(0, 2, 1, 3, 4).reshape(rows, columns, -1)

        def shuffle(x: jax.Array) -> jax.Array:
            rows, columns, _ = x.shape
            x = x.reshape(rows, columns, factor, factor, 3).transpose(0, 2, 1, 3, 4)
            return x.reshape(rows * factor, columns * factor, 3)

        def conv(
            x: jax.Array, out: int, name: str, *, side: int = 3, gain: float = 1.0
        ) -> jax.Array:
            init = nn.initializers.variance_scaling(gain, "fan_in", "normal")
            shape = (side, side)
            layer = nn.Conv(out, shape, use_bias=False, kernel_init=init, name=name)
            return layer(x[None])[0]

        noise = jnp.sqrt(noise_std**2 + wiener.MIN_NOISE_STD**2)
        trunk = TRUNKS[scale]
        channels = self.channels if trunk == "fine" else self.coarse_channels
        numbers = _numbers(kernel, noise, kernel_std, jpeg, scale=scale)
        hidden = nn.relu(nn.Dense(32, name=f"condition_{trunk}")(numbers))

        def conditioned(size: int, name: str) -> jax.Array:
            zeros = nn.initializers.zeros
            return nn.Dense(size, kernel_init=zeros, name=f"{name}_{trunk}")(hidden)

        count = self.stages * self.blocks
        gates = 1 + conditioned(count * channels, "gates").reshape(count, channels)
        trusts = conditioned(self.stages, "trusts")
        ones = nn.initializers.constant(1.0)
        slopes = self.param(f"slopes_{trunk}", ones, (self.stages,), jnp.float32)

        lr = periodic.wrap(image, inner)
        blurred = periodic.blur(kernel, grid, scale=scale)
        error = TRUST * kernel_std
        low, base, high = periodic.invert(
            lr,
            blurred,
            jnp.asarray(natural_spectrum(grid))[None],
            (jnp.asarray(NOISE_LEVELS, jnp.float32) * noise) ** 2,
            jnp.stack([0 * error, error, error]),
            scale,
        )
        base, low, high = (crop(x, scale) for x in (base, low, high))
        mean = unshuffle(base, factor).reshape(*_positions(base, factor), -1, 3)
        mean = _box(_box(mean.mean(2)))

        def centred(x: jax.Array, size: int) -> jax.Array:
            blocks = unshuffle(x, size)
            return blocks - jnp.tile(mean, (1, 1, size * size))

        log_square = np.log(
            np.fft.fftfreq(grid[0])[:, None] ** 2
            + np.fft.fftfreq(grid[1]) ** 2
            + 1 / 50**2
        )
        positions = (*_positions(base, factor), 1)
        inputs = [
            centred(base, factor),
            unshuffle(low - base, factor),
            unshuffle(high - base, factor),
            centred(crop(lr), unit),
            jnp.broadcast_to(4 * noise, positions),
        ]
        result, features = base, jnp.zeros((), jnp.float32)
        for stage in range(self.stages):
            if stage > 0:
                # The data step: a Wiener filter of what the result leaves unexplained.
                whole = periodic.wrap(result[: scale * height, : scale * width], grid)
                again = periodic.downscale(whole, blurred, scale)
                missing = (lr - again)[:height, :width]
                signal = 1e-3 * jnp.exp(
                    -slopes[stage] * jnp.asarray(log_square, jnp.float32)
                )
                (step,) = periodic.invert(
                    periodic.wrap(missing, inner),
                    blurred,
                    signal[None],
                    ((2.5 * noise) ** 2 * jnp.exp(trusts[stage]))[None],
                    error[None],
                    scale,
                )
                step = crop(step, scale)
                result = result + step
                inputs = [centred(result, factor), unshuffle(step, factor)]
            name = f"stem_{stage}_x{scale}"
            together = GAIN * jnp.concatenate(inputs, -1)
            features += conv(together, channels, name, side=1)
            for block in range(self.blocks):
                index = stage * self.blocks + block
                x = conv(features, channels, f"a_{index}_{trunk}", gain=2.0)
                x = nn.relu(x) * gates[index][None, None]
                features += conv(x, channels, f"b_{index}_{trunk}", gain=0.1)
            last = stage == self.stages - 1
            change = conv(
                features,
                3 * factor**2,
                f"head_{stage}_x{scale}",
                side=3 if last else 1,
                gain=0.01,
            )
            result = result + shuffle(change) / GAIN
        return result[: scale * height, : scale * width]


FAST = DeepWiener(channels=32, coarse_channels=64, stages=2)
"""The smaller network, that of `deep_wiener_fast`."""


def _positions(image: jax.Array, factor: int) -> tuple[int, int]:
    return image.shape[0] // factor, image.shape[1] // factor


def _box(x: jax.Array) -> jax.Array:
    """Mean over 3 x 3, the edge repeated."""
    for axis in (0, 1):
        pad = [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)]
        padded, n = jnp.pad(x, pad, mode="edge"), x.shape[axis]
        three = [jax.lax.slice_in_dim(padded, i, i + n, axis=axis) for i in range(3)]
        x = (three[0] + three[1] + three[2]) / 3
    return x


def _numbers(
    kernel: jax.Array,
    noise: jax.Array,
    kernel_std: jax.Array,
    jpeg: jax.Array,
    *,
    scale: int,
) -> jax.Array:
    """What the network is told beside pixels, each of order 1."""
    middle = kernels.alignment(kernel.shape, scale)
    places = (
        jnp.asarray(np.arange(n) - m, jnp.float32)
        for n, m in zip(kernel.shape, middle, strict=True)
    )
    rows, columns = next(places)[:, None], next(places)[None, :]
    moments = [(kernel * m).sum() / scale**2 for m in (rows**2, columns**2)]
    moments.append((kernel * rows * columns).sum() / scale**2)
    one_hot = [jnp.float32(scale == s) for s in SCALES]
    # The root has no derivative at 0.
    uncertain = kernel_std > 0
    root = jnp.where(uncertain, jnp.sqrt(jnp.where(uncertain, kernel_std, 1)), 0)
    return jnp.stack([0.3 * jnp.log(noise * 255), 3 * root, jpeg, *moments, *one_hot])
