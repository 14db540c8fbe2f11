"""The trained network on images of any size: tiles, compiled programs.

Where a scale or a kernel was not trained for, the Wiener filter takes its place.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from kernelgan_jax.super_resolution import wiener
from kernelgan_jax.super_resolution.deep_wiener.model import apply
from kernelgan_jax.super_resolution.deep_wiener.network import (
    MAX_KERNEL,
    SCALES,
    DeepWiener,
)
from kernelgan_jax.super_resolution.deep_wiener.weights import Weights
from kernelgan_jax.super_resolution.tiles import apply_tiled

TILE = 512
"""Side of the tiles that larger images are cut into, with their margins, LR pixels."""

MARGIN = 40
"""What is dropped of a tile at each side: beyond it the network sees next to nothing.
Even, and a multiple of 4, as the network joins pixels."""

BUCKET = 64
"""Smaller images are extended to multiples of this: few shapes are compiled."""


def enlarge(
    weights: Weights,
    image: np.ndarray,
    kernel: np.ndarray,
    *,
    scale: int,
    noise_std: float = 0.0,
    kernel_std: float = 0.0,
    jpeg: float = 0.0,
    strength: float = 1.0,
    tile: int = TILE,
) -> np.ndarray:
    """Enlarges an image of any size with the trained network.

    Args:
      weights: As `weights.load` gives them.
      image: `H x W x C` float32 in [0, 1], C 1 or 3.
      kernel: `h x w` correlation kernel, aligned for `scale`, sum 1.
      scale: Positive integer; 1 is deblurring.
      noise_std: Standard deviation of the noise of each channel, as a fraction of the
        range.
      kernel_std: Relative standard deviation of the kernel's widths (see `planning`).
      jpeg: Strength of JPEG compression, `(100 - quality) / 100`; 0 if there is none.
      strength: From 0, the cautious Wiener filter, to 1, the network.
      tile: Side of the tiles, more than `2 * MARGIN`; a multiple of `BUCKET`.

    Returns:
      `scale*H x scale*W x C` float32 in [0, 1].

    Raises:
      ValueError: If an argument is out of range.
    """
    numbers = {"noise_std": noise_std, "kernel_std": kernel_std, "jpeg": jpeg}
    wiener.check(image, kernel, scale, **numbers)
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}; it must be from 0 to 1")
    if tile <= 2 * MARGIN or tile % BUCKET:
        raise ValueError(
            f"tile is {tile}; it must be a multiple of {BUCKET} above {2 * MARGIN}"
        )
    trained = set(weights.about.get("scales", SCALES))
    network = scale in trained and max(kernel.shape) <= MAX_KERNEL
    filter_ = pad_kernel(kernel) if network else np.asarray(kernel, np.float32)
    told = {name: np.float32(value) for name, value in numbers.items()}

    def run(method: Callable[..., Any], first: tuple[Any, ...], **rest: Any) -> Any:
        def one(part: np.ndarray) -> np.ndarray:
            return np.asarray(method(*first, part, filter_, scale=scale, **rest))

        height, width = image.shape[:2]
        # A kernel needs room, and the network joins pixels: 4 at most.
        least = -(-max(filter_.shape) // scale)
        pad = []
        for side in (height, width):
            bucket = -(-max(side, least) // BUCKET) * BUCKET
            pad.append((0, bucket - side if bucket <= tile else -side % 4))
        whole = np.pad(image.astype(np.float32), [*pad, (0, 0)], mode="symmetric")
        if max(whole.shape[:2]) <= tile:
            result = one(whole)
        else:
            result = apply_tiled(one, whole, scale=scale, margin=MARGIN, tile=tile)
        return result[: scale * height, : scale * width]

    result: np.ndarray | float = 0.0
    if network and strength > 0:
        method = _compiled(weights.network)
        result = strength * run(method, (weights.params,), **told)
    else:
        strength = 0.0
    if strength < 1:
        told.pop("jpeg")
        result = result + (1 - strength) * run(_compiled_wiener(), (), **told)
    return np.clip(result, 0, 1).astype(np.float32)


def pad_kernel(kernel: np.ndarray) -> np.ndarray:
    """Puts a kernel in the middle of `MAX_KERNEL` pixels at each side.

    One compiled program then serves all kernels.
    """
    pad = []
    for side in kernel.shape:
        before = MAX_KERNEL // 2 - side // 2
        pad.append((before, MAX_KERNEL - before - side))
    return np.pad(kernel, pad).astype(np.float32)


def added_noise_std(noise_std: float) -> float:
    """What an estimated noise has beyond what every 8-bit image shows.

    The spectrum of an image without any noise but rounding (0.29 gray levels) is
    explained with 0.3 to 0.6. The network assumes rounding anyway, and is too cautious
    if it is told of it again.

    Args:
      noise_std: The estimate, as a fraction of the range.
    """
    return float(np.sqrt(max(noise_std**2 - (0.6 / 255) ** 2, 0)))


@functools.lru_cache(maxsize=4)
def _compiled(network: DeepWiener) -> Callable[..., Any]:
    return jax.jit(functools.partial(apply, network=network), static_argnames="scale")


@functools.lru_cache(maxsize=1)
def _compiled_wiener() -> Callable[..., Any]:
    return jax.jit(wiener.wiener_filter, static_argnames="scale")
