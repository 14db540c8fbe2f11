"""The pixel contract: arrays in, `H x W x C` float32 in [0, 1] inside; luma, windows.

Pixels are checked once, at the door, by `unit_image`; inside, arrays are trusted.
"""

from typing import Any

import numpy as np
import scipy.ndimage


_UNIT_SLACK = 1e-6


def from_array(array: Any) -> np.ndarray:
    """Checks pixels that did not come from a file.

    Args:
        array: H x W, H x W x 1 or H x W x 3, of any kind that NumPy converts:
            uint8 in [0, 255], uint16 in [0, 65535], bool, or floats in [0, 1],
            give or take 1e-6.

    Returns:
        H x W x C pixels, C = 1 or 3, of the same dtype and without a copy where
        possible: bool becomes uint8 0 and 255, and floats are clipped to [0, 1] if
        they exceed it. See `to_unit`.

    Raises:
        ValueError: another shape, type or range.
    """
    try:
        pixels = np.asarray(array)
    except ValueError as error:
        raise ValueError(f"image is not an array: {error}") from error
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    is_float = np.issubdtype(pixels.dtype, np.floating)
    if not is_float and pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"image has dtype {pixels.dtype}; convert it to uint8, uint16 or to "
            "float32 in [0, 1]"
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        raise ValueError(
            f"image has shape {pixels.shape}: drop its alpha channel, "
            "image[..., :-1], and pass gray or RGB"
        )
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise ValueError(
            f"image has shape {np.shape(array)}; pass one image of height x width, "
            "height x width x 1 or height x width x 3, channels last"
        )
    if pixels.size == 0:
        raise ValueError(f"image has shape {np.shape(array)}, which holds no pixels")
    if is_float:
        low, high = pixels.min(), pixels.max()
        # Written so that NaN, which passes no comparison, is refused too.
        if not (low >= -_UNIT_SLACK and high <= 1 + _UNIT_SLACK):
            raise ValueError(
                f"image has float values from {low:.6g} to {high:.6g}; scale them to "
                "[0, 1], without NaN"
            )
        if low < 0 or high > 1:
            pixels = np.clip(pixels, 0, 1)
    return pixels


def unit_image(image: Any) -> np.ndarray:
    """Checks an image and scales it: what every estimator and method works on.

    Args:
      image: As `from_array` takes it.

    Returns:
      `H x W x C` float32 in [0, 1], C = 1 or 3.

    Raises:
      ValueError: As `from_array`.
    """
    return to_unit(from_array(image))


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """Scales pixels to float32 in [0, 1].

    Args:
        pixels: array of any shape as `read` or `from_array` give it: uint8, uint16
            or floats in [0, 1].

    Returns:
        float32 array of the same shape: uint8 / 255, uint16 / 65535, floats as
        they are (and not copied if they are float32).
    """
    if np.issubdtype(pixels.dtype, np.floating):
        return pixels.astype(np.float32, copy=False)
    scale = np.float32(np.iinfo(pixels.dtype).max)
    unit: np.ndarray = np.divide(pixels, scale, dtype=np.float32)
    return unit


def from_unit(image: np.ndarray, dtype: Any) -> np.ndarray:
    """The inverse of `to_unit`: rounds and clips to uint8 or uint16.

    Args:
        image: floating point, any shape.
        dtype: uint8 or uint16; a float dtype gives uint16.

    Returns:
        Array of the same shape.
    """
    wanted = np.dtype(dtype)
    wanted = wanted if wanted.kind == "u" else np.dtype(np.uint16)
    stored = np.empty(image.shape, wanted)
    limit = np.iinfo(wanted).max
    for row in range(len(image)):  # no further copy of a large image
        stored[row] = np.clip(np.rint(image[row] * limit), 0, limit)
    return stored


# Gray value of an RGB image (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luma (BT.601)."""


def luma(image: np.ndarray) -> np.ndarray:
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


def textured_window(
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
        gradient = np.abs(np.diff(luma(strip.astype(np.float32)), axis=1, append=0))
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
    vertical, horizontal = np.gradient(luma(image))
    parts = [np.abs(horizontal), np.abs(vertical), np.hypot(vertical, horizontal)]
    total = np.zeros_like(parts[0])
    for part, strongest_only in zip(parts, (True, True, False), strict=True):
        part = zero_edges(part, 5)
        if strongest_only:
            rank = int(0.97 * part.size)
            low, high = np.partition(part, (rank, rank + 1), axis=None)[rank : rank + 2]
            part = np.clip(part, low, high if high > low else low + 1e-5) - low
        if part.any():
            total += part / part.sum()
    total = scipy.ndimage.uniform_filter(total, 5)
    return total / total.mean() if total.any() else np.ones_like(total)


def zero_edges(x: np.ndarray, width: int) -> np.ndarray:
    inside = np.zeros_like(x)
    middle = (slice(width, -width),) * 2
    inside[middle] = x[middle]
    return inside
