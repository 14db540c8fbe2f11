"""The pixel contract: which arrays are images, their range, luma, structure, windows.

`from_array` takes what a caller has and checks it; everything behind it trusts its
arrays. `unit_image` gives `H x W x C` float32 in [0, 1]. Nothing here needs JAX.
"""

import os
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from kernelgan_jax import checks

UNIT_SLACK = 1e-6
"""Distance from [0, 1] that rounding errors may take a value to."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luma (ITU-R BT.601)."""

LUMA_NORM = float(np.linalg.norm(LUMA))
"""Noise of the gray image, where that of each channel is 1 and independent."""

_OTHER_COLOURS = ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
"""Modes of Pillow whose numbers are neither gray nor RGB."""

CONSTANT = "image is constant: it has no structure that could show a kernel"
"""What `check_structure` says of an image without structure."""

# --- Arrays and their range ---


def from_array(array: Any) -> np.ndarray:
    """Checks that an array is an image and gives it three axes.

    Args:
      array: `H x W`, `H x W x 1` or `H x W x 3`, of any kind that NumPy converts: uint8
        in [0, 255], uint16 in [0, 65535], bool, or floats in [0, 1], give or take 1e-6.

    Returns:
      `H x W x C` pixels, C = 1 or 3, of the same dtype and without a copy where
      possible. Bool becomes uint8 0 and 255, and JAX's bfloat16 float32; floats
      outside of [0, 1] are clipped.

    Raises:
      ValueError: If the array has another shape, type or range.

    Example:
      >>> from_array([[0.0, 0.5, 1.0]]).shape
      (1, 3, 1)
      >>> from_array(np.full((2, 2), 300.0))
      Traceback (most recent call last):
        ...
      ValueError: image has values from 300 to 300; scale them to [0, 1], without NaN
    """
    checks.known("image", array)
    if getattr(array, "mode", None) in _OTHER_COLOURS and hasattr(array, "getbands"):
        raise ValueError(
            f"image is of Pillow's mode {array.mode}; pass image.convert('RGB')"
        )
    if isinstance(array, str | os.PathLike):
        raise ValueError(
            f"image is {array!r}; pass its pixels, as numpy.asarray("
            "PIL.Image.open(file)) reads them"
        )
    try:
        pixels = np.asarray(array)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"image is not an array: {error}") from error
    checks.unmasked("image", array)
    if not pixels.dtype.isnative:  # As of a TIFF in the other order of bytes.
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if pixels.dtype.name == "bfloat16":  # NumPy does not count it as floating point.
        pixels = pixels.astype(np.float32)
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
        check_unit_range("image", pixels)
        if pixels.min() < 0 or pixels.max() > 1:
            pixels = np.clip(pixels, 0, 1)
    return pixels


def unit_image(image: Any) -> np.ndarray:
    """Checks an image and scales it: the form that estimators and methods work on.

    Args:
      image: `H x W`, `H x W x 1` or `H x W x 3` of a type that `from_array` takes.

    Returns:
      `H x W x C` float32 in [0, 1], C = 1 or 3.

    Raises:
      ValueError: If the array has another shape, type or range.

    Example:
      >>> unit_image(np.array([[0, 51, 255]], np.uint8))[0, :, 0].tolist()
      [0.0, 0.20000000298023224, 1.0]
    """
    return to_unit(from_array(image))


def check_unit_range(name: str, pixels: np.ndarray) -> None:
    """Checks that floating-point pixels lie in [0, 1], give or take 1e-6, without NaN.

    Args:
      name: Name of the argument.
      pixels: Array of any shape, not empty.

    Raises:
      ValueError: If they do not.

    Example:
      >>> check_unit_range("truth", np.array([0.5, np.nan]))
      Traceback (most recent call last):
        ...
      ValueError: truth has values from nan to nan; scale them to [0, 1], without NaN
    """
    checks.known(name, pixels)
    if not np.size(pixels):
        raise ValueError(f"{name} has shape {np.shape(pixels)}; it must not be empty")
    low, high = pixels.min(), pixels.max()
    # Written so that NaN, which passes no comparison, is refused as well.
    if not (low >= -UNIT_SLACK and high <= 1 + UNIT_SLACK):
        raise ValueError(
            f"{name} has values from {low:.6g} to {high:.6g}; scale them to [0, 1], "
            "without NaN"
        )


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """Scales pixels to float32 in [0, 1].

    Args:
      pixels: uint8, uint16 or floats in [0, 1], of any shape.

    Returns:
      float32 array of the same shape: uint8 / 255, uint16 / 65535, floats as they are
      (not copied if they are float32).

    Example:
      >>> to_unit(np.array([0, 255], np.uint8)).tolist()
      [0.0, 1.0]
    """
    checks.known("pixels", pixels)
    pixels = np.asarray(pixels)
    if np.issubdtype(pixels.dtype, np.floating):
        return pixels.astype(np.float32, copy=False)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"pixels holds {pixels.dtype}; it must be uint8, uint16 or floats"
        )
    scale = np.float32(np.iinfo(pixels.dtype).max)
    unit: np.ndarray = np.divide(pixels, scale, dtype=np.float32)
    return unit


def from_unit(image: np.ndarray, dtype: Any) -> np.ndarray:
    """Rounds and clips to uint8 or uint16: the inverse of `to_unit`.

    Args:
      image: Floating point, of any shape.
      dtype: uint8 or uint16; a float dtype gives uint16.

    Returns:
      Array of the same shape.

    Example:
      >>> from_unit(np.array([-0.5, 0.5, 1.0]), np.uint8).tolist()
      [0, 128, 255]
    """
    checks.known("image", image)
    checks.floating("image", image, (1, 2, 3, 4))
    target = np.dtype(dtype)
    if target.kind != "f" and target not in (np.uint8, np.uint16):
        raise ValueError(f"dtype is {target}; it must be uint8, uint16 or a float")
    target = target if target.kind == "u" else np.dtype(np.uint16)
    stored = np.empty(image.shape, target)
    limit = np.iinfo(target).max
    for row in range(len(image)):  # row by row: no further copy of a large image
        values = checks.not_half(np.asarray(image[row]))  # float16 ends below 65535
        checks.finite("image", values)
        stored[row] = np.clip(np.rint(values * limit), 0, limit)
    return stored


# --- Structure ---


class OwnChannels(NamedTuple):
    """Which channels of an image show something of their own.

    Gray stored as RGB has one of these, and so has what a microscope or a night camera
    stores in one colour: its other channels are constant.
    """

    sources: tuple[int, ...]
    """For each channel, the first one that is equal to it; -1 if it is constant beside
    others that vary."""

    @property
    def kept(self) -> list[int]:
        """One channel or three; of two the second one is repeated."""
        own = sorted(set(self.sources) - {-1})
        return own if len(own) in (1, 3) else [own[0], own[1], own[1]]

    def select(self, image: np.ndarray) -> np.ndarray:
        """An image with these channels alone: `H x W x 1` or `H x W x 3`."""
        kept = self.kept
        return image if len(set(kept)) == image.shape[-1] else image[..., kept]

    def restore(self, selected: np.ndarray, image: np.ndarray) -> np.ndarray:
        """All channels of an image of which the selected ones were enlarged.

        Args:
          selected: `sH x sW x 1` or `sH x sW x 3` in [0, 1].
          image: The whole image, for its constant channels.
        """
        kept = self.kept
        if len(set(kept)) == len(self.sources):
            return selected
        constant = to_unit(image[:1, :1])[0, 0]
        whole = np.empty((*selected.shape[:2], len(self.sources)), selected.dtype)
        for channel, source in enumerate(self.sources):
            whole[..., channel] = (
                constant[channel] if source < 0 else selected[..., kept.index(source)]
            )
        return whole


def own_channels(image: np.ndarray) -> OwnChannels:
    """Finds the channels of an image that show something of their own.

    Args:
      image: `H x W x 1` or `H x W x 3`, of any dtype.

    Example:
      >>> own_channels(np.ones((2, 2, 3))).sources
      (0, 0, 0)
      >>> red = np.eye(2)[..., None] * (1, 0, 0)
      >>> own_channels(red).sources, own_channels(red).select(red).shape
      ((0, -1, -1), (2, 2, 1))
    """
    count = image.shape[-1]
    channels = [image[..., channel] for channel in range(count)]
    sources: list[int] = []
    for channel in channels:
        equal = (i for i in range(len(sources)) if _are_equal(channels[i], channel))
        sources.append(next(equal, len(sources)))
    varies = [not _are_equal(channel, channel[:1, :1]) for channel in channels]
    if any(varies):
        sources = [s if varies[s] else -1 for s in sources]
    return OwnChannels(tuple(sources))


def _are_equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two channels are equal; the first row tells most of them apart."""
    return bool((a[:1] == b[:1]).all() and (a == b).all())


def luma(image: np.ndarray) -> np.ndarray:
    """Gray values of an image (ITU-R BT.601).

    Args:
      image: `H x W x 1` or `H x W x 3`, floating point.

    Returns:
      `H x W`, of the image's dtype.

    Example:
      >>> luma(np.ones((2, 2, 3))).round(6).tolist()
      [[1.0, 1.0], [1.0, 1.0]]
    """
    return image[..., 0] if image.shape[-1] == 1 else image @ LUMA.astype(image.dtype)


def check_structure(gray: np.ndarray, *, min_range: float = 1e-6) -> None:
    """Checks that an image is not the same everywhere.

    Args:
      gray: `H x W`.
      min_range: Smallest difference of the largest and the smallest value that counts
        as structure, in the image's units; the default is for [0, 1].

    Raises:
      ValueError: If it is.

    Example:
      >>> check_structure(np.eye(3))
      >>> check_structure(np.ones((3, 3)))
      Traceback (most recent call last):
        ...
      ValueError: image is constant: it has no structure that could show a kernel
    """
    if np.ptp(gray) < min_range:
        raise ValueError(CONSTANT)


def textured_window(
    pixels: np.ndarray, border: int, max_pixels: int, crop: int
) -> tuple[slice, slice]:
    """Finds the part of an image that is trained on.

    Drops `border` pixels at each side and makes the sides even. If more than about
    `max_pixels` are left, the window of that many pixels (and the same proportions)
    with the largest sum of horizontal gradients is taken.

    Args:
      pixels: `H x W x C`, of any dtype; `H, W > 2*border`.
      border: Pixels dropped at each side.
      max_pixels: Pixels of the largest window.
      crop: Smallest side of the window, even; inside of its border the image must be
        at least as large.

    Returns:
      The window's rows and its columns.

    Example:
      >>> textured_window(np.zeros((101, 120, 3)), 10, 10**6, 64)
      (slice(10, 90, None), slice(10, 110, None))
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
    """Measures the structure around each pixel, as the official KernelGAN does.

    The strongest 3 % of horizontal and of vertical gradients count equally, all others
    not at all. The gradient's magnitude is added to these two maps, and the sum is
    smoothed.

    Args:
      image: `H x W x C`, floating point in [0, 1].

    Returns:
      `H x W`, non-negative, mean 1 (all ones for an image without structure).

    Example:
      >>> float(gradient_map(np.ones((16, 16, 3))).mean())
      1.0
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
    """Copy of an `H x W` array with zeros in `width` rows and columns at each side.

    Example:
      >>> zero_edges(np.ones((3, 4)), 1).tolist()
      [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    inside = np.zeros_like(x)
    middle = (slice(width, -width),) * 2
    inside[middle] = x[middle]
    return inside
