"""What KernelGAN trains on: a part of the image, and crops of it.

Crops are drawn more often where the image has structure (paper, section 4.3). All of it
runs once for each image, in NumPy, so that images of any size share one compiled
training step.
"""

from typing import NamedTuple

import jax
import numpy as np
import scipy.ndimage

from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.pixels import (
    check_structure,
    gradient_map,
    luma,
    textured_window,
    zero_edges,
)
from kernelgan_jax.resize import bicubic_resize


class Training(NamedTuple):
    """One training: an image, the corners of all its crops, and its random keys."""

    image: np.ndarray
    """`H x W x 3` float32 in [0, 1]: the part of the image that is trained on."""
    generator_corners: np.ndarray
    """`n x 2`: top-left corners of the generator's crops of all steps."""
    discriminator_corners: np.ndarray
    """`n x 2`: those of the discriminator's crops."""
    init_key: jax.Array
    train_key: jax.Array

    def crops(
        self, start: int, end: int, config: KernelGANConfig
    ) -> tuple[np.ndarray, np.ndarray]:
        """The crops of the steps from `start` to before `end`, for the generator and
        the discriminator: `steps x B x side x side x 3` each."""
        first, last = start * config.crops, end * config.crops

        def cut_steps(corners: np.ndarray, side: int) -> np.ndarray:
            found = cut(self.image, corners[first:last], side)
            return found.reshape(-1, config.crops, side, side, 3)

        return (
            cut_steps(self.generator_corners, config.generator_crop),
            cut_steps(self.discriminator_corners, config.discriminator_crop),
        )


def training_image(image: np.ndarray, config: KernelGANConfig) -> np.ndarray:
    """The part of an image that is trained on.

    Args:
      image: `H x W x C` float32 in [0, 1].

    Returns:
      `h x w x 3` float32 in [0, 1], with even sides.

    Raises:
      ValueError: If the image is too small or has no structure.
    """
    height, width = image.shape[:2]
    if min(height, width) < config.min_side:
        raise ValueError(
            f"image is {width}x{height} pixels; the smallest usable side is "
            f"{config.min_side} (a training crop of {config.generator_crop} and a "
            f"border of {config.border} at each side)"
        )
    window = image[_place(image, config)]
    check_structure(luma(window))
    return np.broadcast_to(window, (*window.shape[:2], 3))


def _place(image: np.ndarray, config: KernelGANConfig) -> tuple[slice, slice]:
    return textured_window(
        image, config.border, config.max_pixels, config.generator_crop
    )


def prepare(
    key: jax.Array,
    image: np.ndarray,
    config: KernelGANConfig,
    *,
    unusable: np.ndarray | None = None,
) -> list[Training]:
    """The trainings of an image, `config.restarts` of them, with their crops chosen.

    Args:
      image: `H x W x C` float32 in [0, 1].
      unusable: `H x W` bool: no crop holds such pixels, if there are other crops.
    """
    window = training_image(image, config)
    sides = (config.generator_crop, config.discriminator_crop)
    maps = list(probability_maps(window, *sides))
    if unusable is not None:
        left_out = unusable[_place(image, config)]
        maps = [
            avoiding(each, left_out, side)
            for each, side in zip(maps, sides, strict=True)
        ]

    def training(key: jax.Array) -> Training:
        init_key, crop_key, train_key = jax.random.split(key, 3)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(crop_key)))
        count = config.iterations * config.crops
        generator, discriminator = (
            sample_corners(rng, probability, side, count)
            for probability, side in zip(maps, sides, strict=True)
        )
        return Training(window, generator, discriminator, init_key, train_key)

    # Far from 0, 1 and 2, which give the same keys as split(key, 3).
    others = [jax.random.fold_in(key, 1000 + i) for i in range(1, config.restarts)]
    return [training(key) for key in (key, *others)]


def probability_map(gradients: np.ndarray, crop: int) -> np.ndarray:
    """Probability of each pixel to be the centre of a crop.

    Args:
      gradients: `H x W` gradient map.

    Returns:
      `H x W`, sum 1. Uniform if crops fit nowhere or there is no structure.
    """
    weight = scipy.ndimage.uniform_filter(gradients.astype(np.float64), crop // 2)
    weight = zero_edges(np.maximum(weight, 0), crop // 2)
    weight = weight if weight.any() else np.ones_like(weight)
    return weight / weight.sum()


def avoiding(probability: np.ndarray, unusable: np.ndarray, crop: int) -> np.ndarray:
    """A probability map without the crops that hold unusable pixels.

    Args:
      probability: `H x W`, sum 1.
      unusable: `H x W` bool.

    Returns:
      `H x W`, sum 1; the same map if no crop is left.
    """
    held = scipy.ndimage.maximum_filter(unusable, crop + 2, mode="constant")
    rest = np.where(held, 0, probability)
    return rest / rest.sum() if rest.any() else probability


def probability_maps(
    image: np.ndarray, generator_crop: int, discriminator_crop: int
) -> tuple[np.ndarray, np.ndarray]:
    """Probability maps of the generator's and of the discriminator's crops.

    The generator's output is compared with real crops: it is drawn by the structure
    that is left after halving the image.

    Args:
      image: `H x W x C` with even sides, floating point in [0, 1].
      generator_crop: Side of the generator's crops, pixels.
      discriminator_crop: Side of the discriminator's crops, pixels.

    Returns:
      Two `H x W` maps, sum 1 each: for the generator, for the discriminator.
    """
    halved = gradient_map(bicubic_resize(image, 0.5))
    enlarged = halved.repeat(2, axis=0).repeat(2, axis=1)
    return (
        probability_map(enlarged, generator_crop),
        probability_map(gradient_map(image), discriminator_crop),
    )


def sample_corners(
    rng: np.random.Generator, probability: np.ndarray, crop: int, count: int
) -> np.ndarray:
    """Draws crops: centres by the probability map, corners moved inside and made even.

    Returns:
      `count x 2` top-left corners (row, column).
    """
    centres = rng.choice(probability.size, count, p=probability.ravel())
    corners = np.stack(np.unravel_index(centres, probability.shape), axis=1) - crop // 2
    limit = np.array(probability.shape) - crop
    return np.clip(corners, 0, limit) // 2 * 2


def cut(image: np.ndarray, corners: np.ndarray, crop: int) -> np.ndarray:
    """The crops of an `H x W x C` image at `n x 2` corners: `n x crop x crop x C`."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (crop, crop), (0, 1))
    return np.moveaxis(windows[corners[:, 0], corners[:, 1]], 1, -1)
