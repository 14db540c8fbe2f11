"""The losses of KernelGAN that look at images (paper, equations 1 and 2).

The terms on the kernel alone are penalties of kernel priors: `priors/penalties.py`.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import checks
from kernelgan_jax.resize import cubic


def adversarial(probability: jax.Array, real: bool) -> jax.Array:
    """Mean distance of a discriminator map from all ones (`real`) or all zeros.

    Args:
      probability: Map of probabilities that each patch is real, of any shape.
      real: What the map should say.
    """
    return jnp.abs(probability - float(real)).mean()


def total_penalty(terms: Any) -> Any:
    """The sum of what a penalty of the user's returned.

    Args:
      terms: Weighted scalars by name.

    Raises:
      ValueError: If they are something else.

    Example:
      >>> total_penalty({"a": 1.0, "b": -0.5})
      0.5
    """
    if not isinstance(terms, Mapping):
        kind = type(terms).__name__
        raise ValueError(f"penalty returns a {kind}; it must return scalars by name")
    for name, term in terms.items():
        checks.number(f"penalty's term {name}", term, minimum=-math.inf)
    return sum(terms.values())


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
