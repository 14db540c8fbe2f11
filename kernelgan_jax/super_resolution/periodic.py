"""Blur and its inverse for images that wrap around, in the frequency domain.

Everything here is for one image, pure, differentiable, and can be jitted and vmapped.
`wiener.py` states the formulas.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft

from kernelgan_jax import kernels, transfer_functions

GAP = {1: 32}
"""LR pixels, at least, between the end of an image and its next period, by scale."""

DEFAULT_GAP = 16
"""The same for scales that are not in `GAP`."""

# --- Images that wrap around ---


def wrapped_size(size: int, *, scale: int, multiple: int = 1) -> int:
    """Length of an image axis with the gap in which its ends are joined.

    Args:
      size: Pixels of the image along the axis, at least 1.
      scale: Scale of the super-resolution; it decides the least gap (`GAP`).
      multiple: The result is a multiple of this, which has no other prime factors than
        2, 3 and 5.

    Returns:
      The least length from `size` plus the gap on whose prime factors are 2, 3 and 5.
    """
    least = size + GAP.get(scale, DEFAULT_GAP)
    # The lengths for real transforms are those of prime factors 2, 3 and 5.
    return multiple * scipy.fft.next_fast_len(-(-least // multiple), real=True)


def wrap(image: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Extends an image, at its bottom and right, so that it continues at its start.

    In the gap the mirror image of the end fades into the mirror image of the start.

    Args:
      image: `H x W x C`.
      shape: Extended height and width, at least H and W.

    Returns:
      `shape x C`; the first H x W pixels are the image itself.
    """
    for axis, length in enumerate(shape):
        size = image.shape[axis]
        gap = length - size
        if gap == 0:
            continue
        mirror = np.concatenate([np.arange(size), np.arange(size)[::-1]])
        end = mirror[np.arange(size, length) % (2 * size)]
        start = mirror[np.arange(-gap, 0) % (2 * size)]
        fade = 0.5 - 0.5 * np.cos(np.pi * (np.arange(gap) + 0.5) / gap)
        column = jnp.asarray(fade, image.dtype)
        column = column.reshape([-1 if i == axis else 1 for i in range(3)])
        joined = (1 - column) * jnp.take(image, end, axis=axis)
        joined += column * jnp.take(image, start, axis=axis)
        image = jnp.concatenate([image, joined], axis=axis)
    return image


# --- The blur in the frequency domain ---


class Blur(NamedTuple):
    """A kernel on the frequencies of one HR grid, in the order of `jnp.fft.fft2`."""

    transfer: jax.Array
    """`H x W` complex: what correlation with the kernel does to each frequency."""
    spread: jax.Array
    """`H x W`: squared change of the transfer per relative change of the width."""


def blur(kernel: jax.Array, shape: tuple[int, int], *, scale: int) -> Blur:
    """Transforms a kernel.

    Args:
      kernel: `h x w` correlation kernel, no larger than `shape`.
      shape: Height and width of the HR grid.
      scale: The kernel is aligned for this scale; its width changes about that point.
    """
    middle = kernels.alignment(kernel.shape, scale)
    turn = jnp.zeros(shape, jnp.complex64)
    for axis in (0, 1):
        place = np.arange(kernel.shape[axis]) - middle[axis]
        angle = 2 * np.pi * np.fft.fftfreq(shape[axis])
        end = (-1, 1) if axis == 0 else (1, -1)
        moment = kernel * jnp.asarray(place.reshape(end), kernel.dtype)
        frequency = jnp.asarray(angle.reshape(end), turn.dtype)
        turn = turn + frequency * transfer_functions.on_grid(moment, shape)
    return Blur(transfer_functions.on_grid(kernel, shape), _square(turn))


def _square(values: jax.Array) -> jax.Array:
    # Not abs(values)**2: its second derivative is lost where the value is 0.
    return values.real**2 + values.imag**2


def downscale(image: jax.Array, blurred: Blur, scale: int) -> jax.Array:
    """Downscales an image that wraps around.

    Args:
      image: `H x W x C` on the grid of `blurred`, both sides multiples of `scale`.

    Returns:
      `H/scale x W/scale x C`.
    """
    planes = jnp.moveaxis(image, -1, 0)
    half = blurred.transfer[:, : image.shape[1] // 2 + 1]
    planes = jnp.fft.irfft2(jnp.fft.rfft2(planes) * half[None], s=image.shape[:2])
    return jnp.moveaxis(planes[:, ::scale, ::scale], 0, -1)


def invert(
    images: jax.Array,
    blurred: Blur,
    signals: jax.Array,
    noise_variances: jax.Array,
    kernel_stds: jax.Array,
    scale: int,
) -> jax.Array:
    """Several Wiener filters of one LR image that wraps around.

    Args:
      images: `h x w x C`.
      blurred: The blur on the HR grid, `scale*h x scale*w`.
      signals: `n x scale*h x scale*w` power spectra, or `1 x ...` shared by all.
      noise_variances: `n`, positive.
      kernel_stds: `n`, relative standard deviations of the kernel's width.
      scale: Positive integer.

    Returns:
      `n x scale*h x scale*w x C`, with the means of the LR image.
    """
    height, width = images.shape[:2]
    grid = (scale * height, scale * width)
    gains = _square(blurred.transfer)[None]
    gains = gains + kernel_stds[:, None, None] ** 2 * blurred.spread[None]
    power = (signals * gains).reshape(-1, scale, height, scale, width).mean((1, 3))
    # The mean is known, whatever the noise is; filters would draw it to black.
    means = images.mean((0, 1), keepdims=True)
    seen = jnp.fft.fft2(jnp.moveaxis(images - means, -1, 0))
    power = (power + noise_variances[:, None, None]).astype(seen.dtype)
    back = signals.astype(seen.dtype) * blurred.transfer.conj()[None]
    # irfft2 needs half of the columns only.
    columns = np.arange(grid[1] // 2 + 1)
    back = back[:, :, : len(columns)]

    def filtered(power: jax.Array, back: jax.Array) -> jax.Array:
        answer = jnp.take(seen / power[None], columns % width, axis=-1)
        answer = jnp.tile(answer, (1, scale, 1))
        planes = jnp.fft.irfft2(answer * back[None], s=grid)
        return means + jnp.moveaxis(planes, 0, -1)

    # One filter after the other takes less memory than all in one transform.
    backs = jnp.broadcast_to(back, (len(power), *back.shape[1:]))
    return jnp.stack([filtered(*each) for each in zip(power, backs, strict=True)])
