"""Training pairs made from one image: an HR target, and the LR input made from it.

The target is a crop of the image that is to be enlarged (ZSSR calls it the "father");
the input is that crop, downscaled with the image's own kernel (the "son"). A network
that learns to undo this step can then be applied to the image itself.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import gradient_map, textured_window
from kernelgan_jax.super_resolution.zssr.config import OWN_SPAN, ZSSRConfig
from kernelgan_jax.super_resolution.zssr.linear_filter import (
    fit_linear,
    linear_enlargement,
)

PAD_MULTIPLE = 128
"""Heights and widths are padded to multiples of this, so that images of many sizes need
few compiled programs."""


class Pair(NamedTuple):
    """An image as HR target, with the LR inputs of all of its crops; padded with zeros.

    `blurred` is the image correlated with the kernel at full size. The LR input of a
    crop is every s-th pixel of the same crop of `blurred`. LR inputs and their linear
    enlargements are therefore computed once; the training loop cuts them out.
    """

    target: Any
    """`C x H x W`: the image, in [0, 1]."""
    blurred: Any
    """`C x H x W`: the image correlated with the kernel, with noise if asked for."""
    base: Any
    """`s*s x C x H x W`: linear enlargements of the LR inputs, first by the row and the
    column of the crop's corner, modulo s."""
    weight: Any
    """`H x W`: the weight of each pixel in the loss, the gradient map; mean 1."""
    size: Any
    """Height and width without the padding, int32."""


class TrainingPairs(NamedTuple):
    """All that a network is trained on."""

    pairs: tuple[Pair, ...]
    """One for each image to learn from and each kernel."""
    linear: np.ndarray | None
    """The filter of the linear enlargement, or None."""
    crop: int
    """Side of the crops of the HR target, a multiple of the scale."""


def training_pairs(
    rng: np.random.Generator,
    sources: Sequence[np.ndarray],
    kernels: Sequence[np.ndarray],
    *,
    scale: int,
    config: ZSSRConfig,
    fit_filter: bool,
) -> TrainingPairs:
    """Makes the pairs of several images and equally likely kernels.

    Args:
      rng: Source of the noise.
      sources: Images to learn from, `H x W x C` float32 in [0, 1].
      kernels: Float32, aligned for the scale.
      scale: Factor by which the network enlarges.
      config: The settings.
      fit_filter: Whether a linear filter is fitted to the pairs (`fit_linear`).
    """
    smallest = min(min(source.shape[:2]) for source in sources)
    crop = min(config.crop, smallest) // scale * scale
    windows = [
        source[textured_window(source, 0, config.max_pixels, crop // 2 * 2)]
        for source in sources
    ]
    blurred = [
        (window, blur(rng, window, kernel, OWN_SPAN * config.noise_std))
        for window in windows
        for kernel in kernels
    ]
    rounding_std = OWN_SPAN * config.rounding_std
    linear = fit_linear(blurred, scale, rounding_std) if fit_filter else None
    pairs = tuple(make_pair(*pair, linear, scale) for pair in blurred)
    sides = (int(side) // scale * scale for pair in pairs for side in pair.size)
    return TrainingPairs(pairs, linear, min(crop, *sides))


def blur(
    rng: np.random.Generator, image: np.ndarray, kernel: np.ndarray, noise_std: float
) -> np.ndarray:
    """The image correlated with the kernel at full size, with white noise added.

    Args:
      rng: Source of the noise.
      image: `H x W x C` in [0, 1].
      kernel: `h x w` correlation kernel, aligned for the scale.
      noise_std: Standard deviation of the noise, as a fraction of the range.

    Returns:
      `H x W x C` float32 in [0, 1].
    """
    blurred = downscale(image, kernel, 1)
    if noise_std:
        blurred = blurred + noise_std * rng.standard_normal(blurred.shape)
    return np.clip(blurred, 0, 1).astype(np.float32)


def make_pair(
    image: np.ndarray, blurred: np.ndarray, linear: np.ndarray | None, scale: int
) -> Pair:
    """Prepares an image for training.

    Args:
      image: `H x W x C` float32 in [0, 1].
      blurred: What `blur` made of it.
      linear: The filter of the linear enlargement (`fit_linear`), or None.
      scale: s.

    Returns:
      The pair, as NumPy arrays.
    """
    height, width, channels = image.shape
    base = np.zeros((scale, scale, height, width, channels), np.float32)
    for top, left in np.ndindex(scale, scale):
        lr = blurred[top::scale, left::scale]
        enlarged = linear_enlargement(lr, linear, scale)
        base[top, left, top:, left:] = enlarged[: height - top, : width - left]
    pad = [(0, -height % PAD_MULTIPLE), (0, -width % PAD_MULTIPLE)]
    bases = base.reshape(-1, height, width, channels)
    return Pair(
        np.pad(image.transpose(2, 0, 1), ((0, 0), *pad)),
        np.pad(blurred.transpose(2, 0, 1), ((0, 0), *pad)),
        np.pad(bases.transpose(0, 3, 1, 2), ((0, 0), (0, 0), *pad)),
        np.pad(gradient_map(image).astype(np.float32), pad),
        np.array([height, width], np.int32),
    )
