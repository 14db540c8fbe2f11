"""Makes training pairs: random kernels, noise, cameras, JPEG, estimated kernels.

Pure JAX, for one image; the training program vmaps and jits it. The HR patch is larger
than what is trained on, so that borders play no role and the blocks of JPEG start
anywhere.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import camera, kernels, transfer_functions
from kernelgan_jax.pixels import LUMA
from kernelgan_jax.super_resolution.deep_wiener import (
    believed_kernels,
    random_kernels,
)
from kernelgan_jax.super_resolution.deep_wiener.jpeg import jpeg, smooth
from kernelgan_jax.super_resolution.deep_wiener.network import TRUST

LR_SIZES = {1: 96, 2: 64, 3: 48, 4: 48}
"""Side of the LR patches, by scale."""

CAMERAS = 0.25
"""Part of the LR patches with colours that are developed as in a camera."""

_MARGIN = 4
"""LR pixels around patches that are cut off at the end."""


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
    return scale * (LR_SIZES[scale] + 2 * _MARGIN) + kernels.frame_size(scale) + 7


def degrade(
    key: jax.Array, patch: jax.Array, *, scale: int, wraps: bool = False
) -> Pair:
    """Makes a training pair of an HR patch.

    A quarter of the LR patches are what a camera makes of its sensor's light, with
    noise of 0.2 to 8 gray levels, most of them with JPEG of quality 75 to 100; of these
    the network knows little: neither their noise nor their kernel is found. Half of the
    others have noise (up to 25 gray levels; white, or brighter where the image is, or
    correlated), a fifth JPEG of quality 30 to 100, with and without chroma subsampling,
    5 % are sharpened, 10 % gray. What the network is told of the noise is wrong by some
    15 %, and by some gray levels where the kernel is narrow; of JPEG it sometimes knows
    only that there is some, or nothing.

    Args:
      key: JAX random key.
      patch: `p x p x 3` uint8, p = `patch_size(scale)`.
      scale: Positive integer.
      wraps: Whether the HR patch is taken to continue at its other side, so that the
        inverse of the blur is exact up to the borders of the LR patch. Otherwise it is
        part of a larger image, of which nothing is known.
    """
    keys = iter(jax.random.split(key, 40))

    def chance(probability: float) -> jax.Array:
        return jax.random.bernoulli(next(keys), probability)

    def uniform(low: jax.Array | float, high: float) -> jax.Array:
        return jax.random.uniform(next(keys), minval=low, maxval=high)

    hr = patch.astype(jnp.float32) / 255
    gray = chance(0.1)
    is_camera = chance(CAMERAS) & ~gray
    hr = jnp.where(gray, jnp.broadcast_to(_luma(hr), hr.shape), hr)
    drawn = random_kernels.draw(next(keys), scale=scale)
    hr, lr = _downscaled(hr, drawn.kernel, scale=scale, wraps=wraps)

    developed = _developed(next(keys), lr)
    sharpen = uniform(0.2, 0.8) * chance(0.05)
    lr = jnp.clip(lr + sharpen * (lr - smooth(lr, 1.0)), 0, 1)

    noisy = chance(0.5)
    std = noisy * jnp.exp(uniform(float(np.log(0.4)), float(np.log(25.0)))) / 255
    kind = jax.random.randint(next(keys), (), 0, 5)  # white: 0 to 2
    noise = jax.random.normal(next(keys), lr.shape)
    noise = jnp.where(gray, noise[..., :1], noise)
    grains = smooth(noise, uniform(0.2, 1.0))
    grains = grains / jnp.sqrt((grains**2).mean() + 1e-12)
    noise = jnp.where(kind == 4, grains, noise)
    floor = uniform(0.1, 1.0)
    bright = jnp.sqrt(floor + (1 - floor) * lr)
    bright = bright / jnp.sqrt((bright**2).mean())
    noise = jnp.where(kind == 3, noise * bright, noise)
    lr = jnp.clip(lr + std * noise, 0, 1)
    lr = jnp.where(is_camera, developed, lr)

    has_jpeg = jnp.where(is_camera, chance(0.7), chance(0.2))
    quality = uniform(jnp.where(is_camera, 75, 30), 100)
    # The blocks of JPEG start anywhere.
    top, left = jax.random.randint(next(keys), (2,), 0, 8)
    moved = jnp.roll(lr, (top, left), (0, 1))
    halved = (chance(0.5) | is_camera) & ~gray
    compressed = jpeg(moved, quality, halved)
    compressed = jnp.roll(compressed, (-top, -left), (0, 1))
    lr = jnp.where(has_jpeg, compressed, lr)
    lr = jnp.where(chance(0.92), jnp.round(lr * 255) / 255, lr)

    # What the network is told.
    believed = believed_kernels.believe(next(keys), drawn, scale=scale, trust=TRUST)
    misled = believed_kernels.misbelieve(next(keys), drawn, scale=scale)
    believed = jax.tree.map(lambda a, b: jnp.where(is_camera, a, b), misled, believed)
    doubt = jnp.where((sharpen > 0) & ~is_camera, 0.1, 0.0)
    stated = std * jnp.exp(0.15 * jax.random.normal(next(keys)))
    # Aliasing of narrow kernels looks like noise.
    excess = jnp.where(believed_kernels.is_narrow(drawn, scale=scale), 8e-3, 1e-3)
    stated = stated + jnp.abs(jax.random.normal(next(keys))) * chance(0.6) * excess
    found = jnp.exp(uniform(float(np.log(0.2)), float(np.log(3.5)))) / 255
    stated = jnp.where(is_camera, found, stated)
    at_least = jnp.where(has_jpeg & chance(0.5), 3 / 255, 0.0)
    sort = uniform(0, 1)
    strength = (100 - quality) / 100
    strength = jnp.where(sort < 0.3, 0.25, jnp.where(sort < 0.4, 0.0, strength))

    if not wraps:
        hr, lr = _cropped(hr, scale), _cropped(lr, 1)
    return Pair(
        lr,
        hr,
        believed.kernel,
        jnp.maximum(stated, at_least),
        jnp.maximum(believed.kernel_std, doubt),
        has_jpeg * strength,
    )


def _developed(key: jax.Array, lr: jax.Array) -> jax.Array:
    """What a random camera makes of an LR patch."""
    drawing, phase, grain = jax.random.split(key, 3)
    parts = jax.random.uniform(drawing, (5,))
    least, most = np.log(0.2), np.log(8.0)
    developing = camera.Camera(
        noise_std=jnp.exp(least + (most - least) * parts[0]) / 255,
        filled_in=jnp.minimum(1.5 * parts[1], 1),
        denoising=2 * parts[2],
        sharpening=1.2 * parts[3],
        sharpening_std=0.6 + parts[4],
    )
    # Bayer's pattern starts anywhere.
    top, left = jax.random.randint(phase, (2,), 0, 2)
    moved = jnp.roll(lr, (top, left), (0, 1))
    made = camera.develop(moved, jax.random.normal(grain, lr.shape), developing)
    return jnp.roll(made, (-top, -left), (0, 1))


def degrade_bicubic(
    key: jax.Array, patch: jax.Array, *, scale: int, wraps: bool = False
) -> Pair:
    """Makes a training pair with the bicubic kernel and nothing else.

    So most networks of the field were trained; see `degrade` for the arguments.
    """
    del key
    kernel = jnp.asarray(random_kernels.bicubic(scale))
    hr = patch.astype(jnp.float32) / 255
    hr, lr = _downscaled(hr, kernel, scale=scale, wraps=wraps)
    if not wraps:
        hr, lr = _cropped(hr, scale), _cropped(lr, 1)
    lr = jnp.round(jnp.clip(lr, 0, 1) * 255) / 255
    zero = jnp.float32(0)
    return Pair(lr, hr, kernel, zero, zero, zero)


def _downscaled(
    hr: jax.Array, kernel: jax.Array, *, scale: int, wraps: bool
) -> tuple[jax.Array, jax.Array]:
    """The HR and the LR patch; unless they wrap, with `_MARGIN` LR pixels around."""
    n = LR_SIZES[scale]
    if wraps:
        hr = hr[: scale * n, : scale * n]
        return hr, _correlate(hr, kernel)[::scale, ::scale]
    size = scale * (n + 2 * _MARGIN)
    edge = kernels.frame_size(scale) // 2 + 1
    lr = _correlate(hr, kernel)[edge : edge + size : scale, edge : edge + size : scale]
    return hr[edge : edge + size, edge : edge + size], lr


def _cropped(patch: jax.Array, scale: int) -> jax.Array:
    """A patch without its margin: what blocks of JPEG see beyond the edge is wrong."""
    edge = scale * _MARGIN
    return patch[edge:-edge, edge:-edge]


def _luma(image: jax.Array) -> jax.Array:
    return (image @ jnp.asarray(LUMA, image.dtype))[..., None]


def _correlate(image: jax.Array, kernel: jax.Array) -> jax.Array:
    """Correlation of an image that is taken to wrap around."""
    shape = (image.shape[0], image.shape[1])
    half = transfer_functions.on_grid(kernel, shape)[:, : shape[1] // 2 + 1]
    planes = jnp.fft.rfft2(jnp.moveaxis(image, -1, 0)) * half[None]
    return jnp.moveaxis(jnp.fft.irfft2(planes, s=shape), 0, -1)
