"""The terms of KernelGAN's losses (paper, equations 2 and 3), one function each.

Terms on the kernel are functions (kernel) -> scalar, on an `h x w` kernel as it comes
from a generator: its sum need not be 1. Their gradients are finite everywhere, also at
k = 0; so are the second derivatives. `KERNEL_TERMS` has them all.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.resize import cubic


def adversarial(probability: jax.Array, real: bool) -> jax.Array:
    """Mean distance of a discriminator map from all ones (`real`) or all zeros.

    Args:
      probability: Map of probabilities that each patch is real, of any shape.
      real: What the map should say.
    """
    return jnp.abs(probability - float(real)).mean()


def bicubic_target(crop: jax.Array, kernel_size: int, warm_start: str) -> jax.Array:
    """What a bicubic generator would make of a crop: the target of the warm start.

    Args:
      crop: `[...] x C x H x H` generator crops.
      kernel_size: Side n of the generator's kernel, odd, at least 7.
      warm_start: `per_channel` downscales each channel by itself; in `summed` every
        channel of the target is the sum of all channels.

    Returns:
      Of the crop's rank, `h x h` with `h = (H - n)//2 + 1`: bicubic x2 downscaling
      (antialiased, 8x8 taps), aligned with the generator's output.
    """
    height = crop.shape[-1]
    size = (height - kernel_size) // 2 + 1
    weights = cubic((np.arange(8) - 3.5) / 2)
    taps = np.zeros((size, height))
    for i in range(size):
        first = 2 * i + kernel_size // 2 - 3
        taps[i, first : first + 8] = weights / weights.sum()
    matrix = jnp.asarray(taps, crop.dtype)
    if warm_start == "summed":
        crop = jnp.broadcast_to(crop.sum(-3, keepdims=True), crop.shape)
    return matrix @ crop @ matrix.T


def sum_to_one(kernel: jax.Array) -> jax.Array:
    """Distance of the kernel's sum from 1."""
    return jnp.abs(1 - kernel.sum())


def boundaries(kernel: jax.Array) -> jax.Array:
    """Mean absolute value of the kernel, weighted by closeness to the boundary."""
    return jnp.abs(kernel * boundary_mask(kernel.shape).astype(kernel.dtype)).mean()


def boundary_mask(shape: tuple[int, ...]) -> np.ndarray:
    """Weight of each kernel value in `boundaries`: `h x w`.

    `30 (1 - g / max g)` for a Gaussian g of standard deviation 13, two pixels wide
    along each side: the middle is free.
    """
    rows, columns = (
        np.exp(-((np.arange(side) - (side - 1) / 2) ** 2) / (2 * 13.0**2))
        for side in shape
    )
    mask = 30 * (1 - np.outer(rows, columns) / (rows.max() * columns.max()))
    mask[2:-2, 2:-2] = 0
    return mask


def centralised(kernel: jax.Array, scale: int = 2) -> jax.Array:
    """Mean squared distance, pixels^2, of the centre of mass from the alignment."""
    target = jnp.asarray(kernels.alignment(kernel.shape, scale), kernel.dtype)
    return ((kernels.centre_of_mass(kernel) - target) ** 2).mean()


def sparsity(kernel: jax.Array) -> jax.Array:
    """Mean of `|k|^0.2`, where values under 1e-19 (in float32) count as 0."""
    magnitude = jnp.abs(kernel)
    # Under that the second derivative, of the order of k^-1.8, overflows.
    counts = magnitude > jnp.finfo(kernel.dtype).tiny ** 0.5
    return jnp.where(counts, jnp.where(counts, magnitude, 1) ** 0.2, 0).mean()


KERNEL_TERMS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "sum": sum_to_one,
    "boundary": boundaries,
    "centre": centralised,
    "sparsity": sparsity,
}
"""The terms on the kernel, by the names of their weights in `Config`."""
