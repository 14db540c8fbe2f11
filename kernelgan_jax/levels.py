"""The levels of an image: its own range, in which estimation and super-resolution work.

A photograph that fills half of its type's range, as one of 12 bits in 16, has the same
kernel as one that fills all of it. So the image's own range is mapped to [0, 1] before
anything else looks at it, and super-resolved pixels are mapped back. For all a and b,
`a * image + b`, a positive, then has the same kernel, and the super-resolution that
follows.
"""

from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax.pixels import from_array

MIN_SPAN = 1e-6
"""Smallest range of levels, as a fraction of the largest of them, which is more than
rounding errors of float32."""

MAX_SAMPLES = 2**18
"""Pixels of which the steps between levels are counted."""


class Levels(NamedTuple):
    """The levels of one image that become 0 and 1, as fractions of its type's range."""

    dark: float
    """What becomes 0: the smallest level."""
    bright: float
    """What becomes 1."""

    @property
    def span(self) -> float:
        """Their distance: the image's own range."""
        return self.bright - self.dark

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends of the type's range, in the image's own."""
        return -self.dark / self.span, (1 - self.dark) / self.span


def find_levels(image: Any) -> Levels:
    """Finds an image's own range.

    Args:
      image: `H x W x C` of a type that `pixels.from_array` takes.

    Returns:
      The smallest and the largest level of all channels together. The span of an image
      without structure is 1.

    Raises:
      ValueError: If the array is no image.

    Example:
      >>> find_levels(np.array([51, 51, 102], np.uint8).reshape(3, 1, 1))
      Levels(dark=0.2, bright=0.4)
    """
    pixels = from_array(image)
    top = _top(pixels)
    return Levels(*(end / top for end in _ends(pixels)))


def to_own_range(image: Any, *, headroom: float = 0.0) -> tuple[np.ndarray, Levels]:
    """Maps an image's own range to [0, 1], or to less of it.

    Pixels are mapped from their own type with the precision of float64, so that images
    that differ by such a map alone become the same bit for bit.

    Args:
      image: `H x W x C` of a type that `pixels.from_array` takes.
      headroom: What stays free at both ends.

    Returns:
      `H x W x C` float32, and what became 0 and 1 without headroom (`find_levels`).

    Raises:
      ValueError: If the array is no image.

    Example:
      >>> image = np.array([51, 51, 102], np.uint8).reshape(3, 1, 1)
      >>> to_own_range(image)[0].ravel().tolist()
      [0.0, 0.0, 1.0]
    """
    pixels = from_array(image)
    dark, bright = _ends(pixels)

    def mapped(values: np.ndarray) -> np.ndarray:
        part = (values.astype(np.float64) - dark) / (bright - dark)
        return (headroom + (1 - 2 * headroom) * part).astype(np.float32)

    top = _top(pixels)
    if pixels.dtype.kind == "u":  # Each level is mapped once.
        own = mapped(np.arange(top + 1))[pixels]
    else:
        own = np.empty(pixels.shape, np.float32)
        for row in range(len(own)):  # No copy of a large image in float64.
            own[row] = mapped(pixels[row])
    return own, Levels(dark / top, bright / top)


def _top(pixels: np.ndarray) -> float:
    """The end of the range of the pixels' type."""
    return 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)


def _ends(pixels: np.ndarray) -> tuple[float, float]:
    """What becomes 0 and 1, in the pixels' units."""
    low, high = float(pixels.min()), float(pixels.max())
    if not high - low > MIN_SPAN * high:
        return low, low + _top(pixels)
    return low, high


def from_own_range(
    own: np.ndarray, levels: Levels, *, headroom: float = 0.0
) -> np.ndarray:
    """Maps an image back from its own range, in place: float32, clipped to [0, 1].

    Example:
      >>> from_own_range(np.float32([0.125, 2]), Levels(0.25, 0.5), headroom=0.125)
      array([0.25 , 0.875], dtype=float32)
    """
    factor = levels.span / (1 - 2 * headroom)
    own -= np.float32(headroom)
    own *= np.float32(factor)
    own += np.float32(levels.dark)
    return np.clip(own, 0, 1, out=own)


def count_steps(image: np.ndarray) -> int:
    """Counts the steps between the smallest and the largest level of an image.

    Args:
      image: `H x W x C`.

    Returns:
      The number of different levels minus 1, of one channel and of about `MAX_SAMPLES`
      of its pixels.

    Example:
      >>> count_steps(np.array([0.25, 0.25, 0.5]).reshape(3, 1, 1))
      1
    """
    channel = image[..., image.shape[-1] // 2].ravel()
    some = channel[:: -(-channel.size // MAX_SAMPLES)]
    if some.dtype.kind == "u":  # They need not be sorted.
        return int(np.count_nonzero(np.bincount(some))) - 1
    return len(np.unique(some)) - 1
