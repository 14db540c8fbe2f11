"""TODO docstring."""

from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import gradient_map
from kernelgan_jax.super_resolution.zssr.linear_filter import linear_enlargement


class Father(NamedTuple):
    """An image to learn from, padded so that few sizes need to be compiled.

    With the image blurred by the kernel at full size, the son of any crop is every
    `scale`-th pixel of the same crop of `blurred`. So sons and their linear
    enlargements are made once; the loop cuts them out.
    """

    image: Any
    """`C x H x W` in [0, 1]."""
    blurred: Any
    """`C x H x W`: the image correlated with the kernel; with noise, if asked for."""
    base: Any
    """`s*s x C x H x W`: the enlarged sons, by the crop's corner modulo s."""
    weight: Any
    """`H x W`: the gradient map, by which the loss is weighted, mean 1."""
    size: Any
    """Height and width without the padding, int32."""


_BUCKET = 128


def blur(
    rng: np.random.Generator, image: np.ndarray, kernel: np.ndarray, noise: float
) -> np.ndarray:
    """All sons of an image, interleaved: `H x W x C` float32 in [0, 1]."""
    blurred = downscale(image, kernel, 1)
    if noise:
        blurred = blurred + noise * rng.standard_normal(blurred.shape)
    return np.clip(blurred, 0, 1).astype(np.float32)


def make_father(
    image: np.ndarray, blurred: np.ndarray, linear: np.ndarray | None, scale: int
) -> Father:
    """Prepares an image, `H x W x C` float32 in [0, 1]; arrays are NumPy's."""
    height, width, channels = image.shape
    base = np.zeros((scale, scale, height, width, channels), np.float32)
    for top, left in np.ndindex(scale, scale):
        son = blurred[top::scale, left::scale]
        enlarged = linear_enlargement(son, linear, scale)
        base[top, left, top:, left:] = enlarged[: height - top, : width - left]
    pad = [(0, -height % _BUCKET), (0, -width % _BUCKET)]
    bases = base.reshape(-1, height, width, channels)
    return Father(
        np.pad(image.transpose(2, 0, 1), ((0, 0), *pad)),
        np.pad(blurred.transpose(2, 0, 1), ((0, 0), *pad)),
        np.pad(bases.transpose(0, 3, 1, 2), ((0, 0), (0, 0), *pad)),
        np.pad(gradient_map(image).astype(np.float32), pad),
        np.array([height, width], np.int32),
    )
