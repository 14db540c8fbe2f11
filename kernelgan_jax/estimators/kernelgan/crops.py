"""Where the training crops come from: gradient map, probability map, corners.

Crops are drawn more often where the image has structure (paper, section 4.3, in the
form of SPEC section 1). All of it runs once an image, in NumPy, so that images of any
size share one compiled training step.
"""

import numpy as np
import scipy.ndimage

from kernelgan_jax.pixels import gradient_map, zero_edges
from kernelgan_jax.resize import bicubic_resize


def probability_map(gradients: np.ndarray, crop: int) -> np.ndarray:
    """Probability of each pixel to be the centre of a crop.

    Args:
      gradients: `H x W` gradient map.
      crop: Side of the crops, pixels.

    Returns:
      `H x W`, sum 1. Uniform if crops fit nowhere or there is no structure.
    """
    weight = scipy.ndimage.uniform_filter(gradients.astype(np.float64), crop // 2)
    weight = zero_edges(np.maximum(weight, 0), crop // 2)
    weight = weight if weight.any() else np.ones_like(weight)
    return weight / weight.sum()


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
