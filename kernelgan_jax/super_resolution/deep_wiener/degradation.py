"""Makes training pairs: random kernels, noise, JPEG, sharpening, estimated kernels.

Pure JAX, for one image; the training program vmaps and jits it. The HR patch is larger
than what is trained on, so that borders play no role and the blocks of JPEG start
anywhere.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.pixels import LUMA
from kernelgan_jax.super_resolution import periodic
from kernelgan_jax.super_resolution.deep_wiener import random_kernels
from kernelgan_jax.super_resolution.deep_wiener.network import TRUST

LR_SIZES = {1: 96, 2: 48, 3: 40, 4: 40}
"""Side of the LR patches, by scale."""


class Pair(NamedTuple):
    """One training example."""

    lr: jax.Array
    """`n x n x 3` in [0, 1], n of `LR_SIZES`."""
    hr: jax.Array
    """`s n x s n x 3`."""
    kernel: jax.Array
    """What the network is told of the kernel."""
    noise_std: jax.Array
    kernel_std: jax.Array
    jpeg: jax.Array
    """The rest of what it is told; see `network.apply`."""


def patch_size(scale: int) -> int:
    """Side of the HR patches that `degrade` needs."""
    # 8 LR pixels for the blocks of JPEG, and what the kernel reaches.
    return scale * (LR_SIZES[scale] + 8) + random_kernels.size(scale) + 7


def degrade(
    key: jax.Array, patch: jax.Array, *, scale: int, wraps: bool = False
) -> Pair:
    """Makes a training pair of an HR patch.

    Half of the LR patches have noise (up to 25 gray levels; white, or brighter where
    the image is, or correlated as demosaicing leaves it), a fifth JPEG of quality 30 to
    100, with and without chroma subsampling, 3 % are sharpened, 10 % gray. What the
    network is told of the noise is wrong by some 15 %; of JPEG it sometimes knows only
    that there is some, or nothing.

    Args:
      key: JAX random key.
      patch: `p x p x 3` uint8, p = `patch_size(scale)`.
      scale: Positive integer.
      wraps: Whether the HR patch is taken to continue at its other side, so that the
        inverse of the blur is exact up to the borders of the LR patch. Otherwise it is
        part of a larger image, of which nothing is known.
    """
    keys = iter(jax.random.split(key, 24))

    def chance(probability: float) -> jax.Array:
        return jax.random.bernoulli(next(keys), probability)

    def uniform(low: float, high: float) -> jax.Array:
        return jax.random.uniform(next(keys), minval=low, maxval=high)

    hr = patch.astype(jnp.float32) / 255
    gray = chance(0.1)
    hr = jnp.where(gray, jnp.broadcast_to(_luma(hr), hr.shape), hr)
    drawn = random_kernels.draw(next(keys), scale=scale)
    n = LR_SIZES[scale]
    if wraps:
        hr = hr[: scale * n, : scale * n]
        lr = _correlate(hr, drawn.kernel)[::scale, ::scale]
    else:
        size = n + 8
        margin = random_kernels.size(scale) // 2 + 1
        lr = _correlate(hr, drawn.kernel)[margin:, margin:]
        lr = lr[: scale * size : scale, : scale * size : scale]
        hr = hr[margin : margin + scale * size, margin : margin + scale * size]

    sharpen = uniform(0.2, 0.8) * chance(0.03)
    lr = jnp.clip(lr + sharpen * (lr - _smooth(lr, 1.0)), 0, 1)

    noisy = chance(0.5)
    std = noisy * jnp.exp(uniform(float(np.log(0.4)), float(np.log(25.0)))) / 255
    kind = jax.random.randint(next(keys), (), 0, 5)  # white: 0 to 2
    noise = jax.random.normal(next(keys), lr.shape)
    noise = jnp.where(gray, noise[..., :1], noise)
    smooth = _smooth(noise, uniform(0.2, 1.0))
    smooth = smooth / jnp.sqrt((smooth**2).mean() + 1e-12)
    noise = jnp.where(kind == 4, smooth, noise)
    floor = uniform(0.1, 1.0)
    bright = jnp.sqrt(floor + (1 - floor) * lr)
    bright = bright / jnp.sqrt((bright**2).mean())
    noise = jnp.where(kind == 3, noise * bright, noise)
    lr = jnp.clip(lr + std * noise, 0, 1)

    has_jpeg = chance(0.2)
    quality = uniform(30, 100)
    # The blocks of JPEG start anywhere.
    top, left = jax.random.randint(next(keys), (2,), 0, 8)
    moved = jnp.roll(lr, (top, left), (0, 1))
    compressed = jpeg(moved, quality, chance(0.5) & ~gray)
    compressed = jnp.roll(compressed, (-top, -left), (0, 1))
    lr = jnp.where(has_jpeg, compressed, lr)
    lr = jnp.where(chance(0.92), jnp.round(lr * 255) / 255, lr)

    # What the network is told.
    believed = random_kernels.believe(next(keys), drawn, scale=scale, trust=TRUST)
    doubt = jnp.where(sharpen > 0, 0.1, 0.0)
    told = std * jnp.exp(0.15 * jax.random.normal(next(keys)))
    told = told + jnp.abs(jax.random.normal(next(keys))) * chance(0.6) * 1e-3
    at_least = jnp.where(has_jpeg & chance(0.5), 3 / 255, 0.0)
    sort = uniform(0, 1)
    strength = (100 - quality) / 100
    strength = jnp.where(sort < 0.3, 0.25, jnp.where(sort < 0.4, 0.0, strength))

    if not wraps:  # What the edges of blocks see beyond the edge is cut off.
        lr = lr[4 : 4 + n, 4 : 4 + n]
        hr = hr[4 * scale : (4 + n) * scale, 4 * scale : (4 + n) * scale]
    return Pair(
        lr,
        hr,
        believed.kernel,
        jnp.maximum(told, at_least),
        jnp.maximum(believed.kernel_std, doubt),
        has_jpeg * strength,
    )


def _luma(image: jax.Array) -> jax.Array:
    return (image @ jnp.asarray(LUMA, image.dtype))[..., None]


def _correlate(image: jax.Array, kernel: jax.Array) -> jax.Array:
    """Correlation of an image that is taken to wrap around."""
    shape = (image.shape[0], image.shape[1])
    # The scale matters to the blur's uncertainty alone, which is not used.
    transfer = periodic.blur(kernel, shape, scale=1).transfer
    half = transfer[:, : shape[1] // 2 + 1]
    planes = jnp.fft.rfft2(jnp.moveaxis(image, -1, 0)) * half[None]
    return jnp.moveaxis(jnp.fft.irfft2(planes, s=shape), 0, -1)


def _smooth(image: jax.Array, amount: jax.Array | float) -> jax.Array:
    """A 3 x 3 binomial filter, `amount` of it."""
    for axis in (0, 1):
        sides = jnp.roll(image, 1, axis) + jnp.roll(image, -1, axis)
        image = (1 - amount / 2) * image + amount / 4 * sides
    return image


# --- JPEG ---

_LUMA_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
"""Quantisation of luma at quality 50 (ITU-T T.81, table K.1)."""

_CHROMA_TABLE = np.full((8, 8), 99, np.float32)
_CHROMA_TABLE[:4, :4] = [
    [17, 18, 24, 47],
    [18, 21, 26, 66],
    [24, 26, 56, 99],
    [47, 66, 99, 99],
]
"""The same of the two colour differences (table K.2)."""

_TO_YCC = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168736, -0.331264, 0.5],
        [0.5, -0.418688, -0.081312],
    ],
    np.float32,
)


_MIDDLE = np.array([[[128, 0, 0]]], np.float32)


def _cosines() -> np.ndarray:
    """The orthonormal discrete cosine transform of 8 values."""
    wave = np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(8) + 1) / 16)
    wave *= np.sqrt(np.where(np.arange(8) == 0, 1, 2) / 8)[:, None]
    return wave.astype(np.float32)


def jpeg(image: jax.Array, quality: jax.Array, subsample: jax.Array) -> jax.Array:
    """What JPEG leaves of an image: quantised cosine transforms of 8 x 8 blocks.

    The tables are those of the standard, scaled with the quality as libjpeg does;
    entropy coding loses nothing and is left out. Not differentiable.

    Args:
      image: `H x W x 3` in [0, 1], both sides multiples of 8.
      quality: 1 to 100.
      subsample: Whether the colour differences are halved at each side.

    Returns:
      `H x W x 3` in [0, 1].
    """
    height, width = image.shape[:2]
    ycc = jnp.round(255 * image) @ _TO_YCC.T - _MIDDLE
    colours = ycc[..., 1:].reshape(height // 2, 2, width // 2, 2, 2)
    coarse = colours.mean((1, 3))
    coarse = jnp.repeat(jnp.repeat(coarse, 2, 0), 2, 1)
    # Blocks of halved colours span 16 pixels: their transform is that of the coarse
    # image, whose steps are found at every other frequency.
    scale = jnp.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    tables = np.stack([_LUMA_TABLE, _CHROMA_TABLE, _CHROMA_TABLE])
    steps = jnp.clip(jnp.floor((tables * scale + 50) / 100), 1, 255)
    full = _quantise(ycc, steps)
    halved = _quantise(ycc[::2, ::2].at[..., 1:].set(coarse[::2, ::2]), steps)
    back = jnp.repeat(jnp.repeat(halved[..., 1:], 2, 0), 2, 1)
    colours = jnp.where(subsample, _smooth(back, 0.5), full[..., 1:])
    ycc = jnp.concatenate([full[..., :1], colours], -1)
    rgb = (ycc + _MIDDLE) @ np.linalg.inv(_TO_YCC).T
    return jnp.clip(jnp.round(rgb), 0, 255) / 255


def _quantise(planes: jax.Array, steps: jax.Array) -> jax.Array:
    """Rounds the cosine transforms of blocks to steps, `C x 8 x 8`."""
    height, width = planes.shape[:2]
    pad = [(0, -height % 8), (0, -width % 8), (0, 0)]
    padded = jnp.pad(planes, pad, mode="edge")
    rows, columns = padded.shape[0] // 8, padded.shape[1] // 8
    blocks = padded.reshape(rows, 8, columns, 8, -1)
    wave = _cosines()
    waves = jnp.einsum("ui,vj,ricjk->rckuv", wave, wave, blocks)
    waves = jnp.round(waves / steps[None, None]) * steps[None, None]
    blocks = jnp.einsum("ui,vj,rckuv->ricjk", wave, wave, waves)
    return blocks.reshape(padded.shape)[:height, :width]
