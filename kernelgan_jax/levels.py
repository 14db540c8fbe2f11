"""The levels of an image: its own range, in which estimation and super-resolution work.

A photograph that fills half of its type's range, as one of 12 bits in 16, has the same
kernel as one that fills all of it. So the image's own range is mapped to [0, 1] before
anything else looks at it, and super-resolved pixels are mapped back. For all a and b,
`a * image + b` then has the same kernel, and the super-resolution that follows. With a
negative a, the image is a negative: what is mostly bright is taken for one, so that an
image and its negative are worked on alike.
"""

from typing import NamedTuple

import numpy as np

HEADROOM = 0.2
"""Free room at both ends of the range, of 1, for super-resolved edges: they go beyond
the image's own range, and are clipped to that of its type alone."""

OWN_SPAN = 1 - 2 * HEADROOM
"""What is then left for the image's own range."""

MIN_SPAN = 1e-6
"""Smallest range of levels, as a fraction of the largest of them, which is more than
rounding errors of float32."""

MAX_SAMPLES = 2**18
"""Pixels of which the steps between levels are counted."""


class Levels(NamedTuple):
    """The levels of one image that become 0 and 1."""

    dark: float
    """What becomes 0: the smallest level, or of a negative the largest."""
    bright: float
    """What becomes 1."""

    @property
    def span(self) -> float:
        """Their distance: the image's own range."""
        return abs(self.bright - self.dark)


def find_levels(image: np.ndarray) -> Levels:
    """Finds the range of an image's levels.

    Args:
      image: `H x W x C`, floating point.

    Returns:
      The smallest and the largest level, of all channels together; exchanged if the
      mean is above their middle. The span of an image without structure is 1.

    Example:
      >>> find_levels(np.array([0.25, 0.25, 0.5]).reshape(3, 1, 1))
      Levels(dark=0.25, bright=0.5)
      >>> find_levels(np.array([0.25, 0.5, 0.5]).reshape(3, 1, 1))
      Levels(dark=0.5, bright=0.25)
    """
    low, high = float(image.min()), float(image.max())
    if not high - low > MIN_SPAN * max(abs(low), abs(high)):
        return Levels(low, low + 1)
    is_negative = image.mean(dtype=np.float64) > (low + high) / 2
    return Levels(high, low) if is_negative else Levels(low, high)


def to_own_range(
    image: np.ndarray, levels: Levels, *, headroom: float = 0.0
) -> np.ndarray:
    """Maps an image's own range to [0, 1], or to less of it.

    Args:
      image: Of any shape, floating point.
      levels: Those of the image.
      headroom: What stays free at both ends.

    Returns:
      float32, of the same shape.

    Example:
      >>> to_own_range(np.array([0.25, 0.5]), Levels(0.25, 0.5), headroom=0.125)
      array([0.125, 0.875], dtype=float32)
    """
    factor = (1 - 2 * headroom) / (levels.bright - levels.dark)
    mapped: np.ndarray = np.subtract(image, levels.dark, dtype=np.float32)
    mapped *= np.float32(factor)
    mapped += np.float32(headroom)
    return mapped


def from_own_range(
    mapped: np.ndarray, levels: Levels, *, headroom: float = 0.0
) -> np.ndarray:
    """The inverse of `to_own_range`, clipped to [0, 1].

    Example:
      >>> from_own_range(np.float32([0.125, 2]), Levels(0.25, 0.5), headroom=0.125)
      array([0.25, 0.8333333], dtype=float32)
    """
    factor = (levels.bright - levels.dark) / (1 - 2 * headroom)
    image: np.ndarray = np.subtract(mapped, headroom, dtype=np.float32)
    image *= np.float32(factor)
    image += np.float32(levels.dark)
    return np.clip(image, 0, 1, out=image)


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
    return len(np.unique(channel[:: -(-channel.size // MAX_SAMPLES)])) - 1
