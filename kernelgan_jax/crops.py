"""Where the training crops come from: gradient map, probability map, corners.

Crops are drawn more often where the image has structure (paper, section 4.3, in the
form of SPEC section 1). All of it runs once an image, in NumPy, so that images of any
size share one compiled training step.
"""

import numpy as np
import scipy.ndimage

from kernelgan_jax.resize import bicubic_resize

# Gray value of an RGB image (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luma (BT.601)."""


def gray(image: np.ndarray) -> np.ndarray:
    """`H x W` luma of an `H x W x 1` or `H x W x 3` image."""
    return image[..., 0] if image.shape[-1] == 1 else image @ LUMA.astype(image.dtype)


def check_structure(gray: np.ndarray, least: float = 1e-6) -> None:
    """Checks that an image is not the same all over.

    Args:
      gray: `H x W`.
      least: Smallest range of values that counts, in the image's units; by default for
        [0, 1].

    Raises:
      ValueError: If it is.
    """
    if np.ptp(gray) < least:
        raise ValueError("image is constant: there is nothing to see a kernel by")


def training_window(
    pixels: np.ndarray, border: int, max_pixels: int, crop: int
) -> tuple[slice, slice]:
    """Where in an image the part lies that is trained on.

    Drops `border` pixels at each side and makes the sides even. If more than about
    `max_pixels` are left, the window of that many pixels (and the same proportions)
    with the most gradient is taken.

    Args:
      pixels: `H x W x C`, of any dtype; `H, W > 2*border`.
      border: Pixels dropped at each side.
      max_pixels: Size of the largest window.
      crop: Even smallest side of the window; the image has at least that inside.

    Returns:
      Its rows and its columns.
    """
    height, width = pixels.shape[:2]
    height, width = (height - 2 * border) // 2 * 2, (width - 2 * border) // 2 * 2
    whole = slice(border, border + height), slice(border, border + width)
    if height * width <= max_pixels:
        return whole
    pixels = pixels[whole]
    # The gradient is summed in blocks, a strip at a time: no array of the image's size.
    block = crop // 2
    rows, columns = height // block, width // block
    energy = np.zeros((rows + 1, columns + 1))
    for row in range(rows):
        strip = pixels[row * block : (row + 1) * block, : columns * block]
        gradient = np.abs(np.diff(gray(strip.astype(np.float32)), axis=1, append=0))
        gradient[:, -1] = 0
        energy[row + 1, 1:] = gradient.reshape(block, columns, block).sum((0, 2))
    shrink = (max_pixels / (height * width)) ** 0.5
    blocks = max_pixels // block**2
    wide = max(int(columns * shrink), 2)  # narrow images keep their narrow side
    high = min(max(blocks // wide, 2), rows)
    wide = min(max(blocks // high, 2), columns)
    total = energy.cumsum(0).cumsum(1)
    inside = total[high:, wide:] - total[:-high, wide:]
    inside = inside - total[high:, :-wide] + total[:-high, :-wide]
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    top, left = border + row * block, border + column * block
    return slice(top, top + high * block), slice(left, left + wide * block)


def gradient_map(image: np.ndarray) -> np.ndarray:
    """How much structure there is around each pixel.

    The strongest 3 % of horizontal and of vertical gradients count as equal, all others
    not at all; to these the gradient's magnitude is added, and the sum is smoothed.

    Args:
      image: `H x W x C`, floating point in [0, 1].

    Returns:
      `H x W`, non-negative, mean 1 (all ones for an image without structure).
    """
    vertical, horizontal = np.gradient(gray(image))
    parts = [np.abs(horizontal), np.abs(vertical), np.hypot(vertical, horizontal)]
    total = np.zeros_like(parts[0])
    for part, strongest_only in zip(parts, (True, True, False), strict=True):
        part = _zero_edges(part, 5)
        if strongest_only:
            rank = int(0.97 * part.size)
            low, high = np.partition(part, (rank, rank + 1), axis=None)[rank : rank + 2]
            part = np.clip(part, low, high if high > low else low + 1e-5) - low
        if part.any():
            total += part / part.sum()
    total = scipy.ndimage.uniform_filter(total, 5)
    return total / total.mean() if total.any() else np.ones_like(total)


def probability_map(gradients: np.ndarray, crop: int) -> np.ndarray:
    """Probability of each pixel to be the centre of a crop.

    Args:
      gradients: `H x W` gradient map.
      crop: Side of the crops, pixels.

    Returns:
      `H x W`, sum 1. Uniform if crops fit nowhere or there is no structure.
    """
    weight = scipy.ndimage.uniform_filter(gradients.astype(np.float64), crop // 2)
    weight = _zero_edges(np.maximum(weight, 0), crop // 2)
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


def _zero_edges(x: np.ndarray, width: int) -> np.ndarray:
    inside = np.zeros_like(x)
    middle = (slice(width, -width),) * 2
    inside[middle] = x[middle]
    return inside
