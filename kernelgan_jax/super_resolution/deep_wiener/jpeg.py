"""JPEG as an operator on arrays: what its quantisation leaves of an image."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft

from kernelgan_jax.jpeg_steps import CHROMA_STEPS, LUMA_STEPS


def smooth(image: jax.Array, amount: jax.Array | float) -> jax.Array:
    """A 3 x 3 binomial filter, `amount` of it."""
    for axis in (0, 1):
        sides = jnp.roll(image, 1, axis) + jnp.roll(image, -1, axis)
        image = (1 - amount / 2) * image + amount / 4 * sides
    return image


_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]],
    np.float32,
)

_MIDDLE = np.array([[[128, 0, 0]]], np.float32)

_COSINES = scipy.fft.dct(np.eye(8), axis=0, norm="ortho").astype(np.float32)
"""The orthonormal discrete cosine transform of 8 values."""


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
    tables = np.stack([LUMA_STEPS, CHROMA_STEPS, CHROMA_STEPS])
    steps = jnp.clip(jnp.floor((tables * scale + 50) / 100), 1, 255)
    full = _quantise(ycc, steps)
    halved = _quantise(ycc[::2, ::2].at[..., 1:].set(coarse[::2, ::2]), steps)
    back = jnp.repeat(jnp.repeat(halved[..., 1:], 2, 0), 2, 1)
    colours = jnp.where(subsample, smooth(back, 0.5), full[..., 1:])
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
    waves = jnp.einsum("ui,vj,ricjk->rckuv", _COSINES, _COSINES, blocks)
    waves = jnp.round(waves / steps[None, None]) * steps[None, None]
    blocks = jnp.einsum("ui,vj,rckuv->ricjk", _COSINES, _COSINES, waves)
    return blocks.reshape(padded.shape)[:height, :width]
