"""What an image file holds: pixels of any depth and number of bands, and metadata."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

GRAY_OR_COLOUR = (1, 3)
"""Numbers of channels that are gray or RGB, if they are not bands."""

MAX_PIXELS = 10**9
"""Largest image that is read, in pixels: larger ones may be made to fill the memory."""


class UnusableError(Exception):
    """What is wrong with an image; the message continues the file's name."""


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """An image file's contents, upright."""

    pixels: np.ndarray
    """`H x W x C`: C = 1 (gray) or 3 (RGB), or any number of `bands`. uint8 in
    [0, 255] and uint16 in [0, 65535]; other integers and floating point of any range.
    """
    alpha: np.ndarray | None = None
    """`H x W` opacity of the same dtype, or None. Colour is not composited with it:
    `pixels` are as stored, also where nothing is visible."""
    icc_profile: bytes | None = None
    """The ICC profile that describes `pixels`, or None."""
    exif: bytes | None = None
    """The EXIF block without its orientation tag, or None."""
    note: str = ""
    """What was converted, kept apart or left out, parts joined by "; "; may be empty.
    """
    _: dataclasses.KW_ONLY
    conversions: str = ""
    """The part of the note that the user should see at once: what is not as in the
    file, apart from alpha and orientation."""
    bands: bool = False
    """Whether the channels are bands of a sensor and not gray or RGB alone."""
    rgb_first: bool = False
    """Whether the first three of the bands are RGB."""
    missing: np.ndarray | None = None
    """`H x W x 1`, or `H x W x C` if bands differ: True where the file says that there
    are no data. Or None."""
    xmp: bytes | None = None
    """The XMP packet, or None."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch, horizontally and vertically, or None."""
    aspect: tuple[int, int] | None = None
    """Pixels per unknown unit, which say what shape a pixel has, or None."""
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    """Chunks of a PNG that say what its colours mean (gAMA, cHRM, ...), and its texts.
    """
    geo: Mapping[int, Any] = dataclasses.field(default_factory=dict)
    """Tags of a GeoTIFF by their numbers: where on the earth the pixels are."""
    format: str = ""
    """Format of the file, as Pillow names it; empty if there is none."""
    frames: int = 1
    """Number of frames or pages in the file, of which this is one."""

    def with_alpha(self, alpha: np.ndarray) -> "Image":
        """The same image with another alpha."""
        return dataclasses.replace(self, alpha=alpha)

    @property
    def is_colour(self) -> bool:
        """Whether the channels are RGB."""
        return self.pixels.shape[2] == 3 and not self.bands

    def seen(self) -> np.ndarray | None:
        """Where samples have data and an alpha above 0.

        Returns:
          `H x W x 1` or `H x W x C` of bool, or None for everywhere. If nothing is
          seen, it is all that has data.
        """
        known = None if self.missing is None else ~self.missing
        if self.alpha is None:
            return known
        seen = (self.alpha > 0)[..., np.newaxis]
        if known is not None:
            seen = seen & known
        return seen if seen.any() else known

    def levels(self) -> tuple[np.ndarray, np.ndarray]:
        """The values that become 0 and 1 for estimation and super-resolution.

        Those of uint8 and uint16 are the ends of the type. Floats in [0, 1] stay as
        they are. All other values have no natural ends: the smallest and the largest
        value are taken, of each band or of all channels of gray and colour, with an
        eighth of their distance at both ends, as super-resolved edges overshoot. Pixels
        without data or with an alpha of 0 do not count.

        Returns:
          Two float64 arrays of shape `(C,)`.
        """
        channels = self.pixels.shape[2]
        if self.pixels.dtype in (np.uint8, np.uint16):
            top = float(np.iinfo(self.pixels.dtype).max)
            return np.zeros(channels), np.full(channels, top)
        is_float = self.pixels.dtype.kind == "f"
        limits = (np.finfo if is_float else np.iinfo)(self.pixels.dtype)
        seen = self.seen()
        where = True if seen is None else seen
        low = self.pixels.min(axis=(0, 1), where=where, initial=limits.max)
        high = self.pixels.max(axis=(0, 1), where=where, initial=limits.min)
        is_empty = low > high
        low = np.where(is_empty, 0, low.astype(np.float64))
        high = np.where(is_empty, 1, high.astype(np.float64))
        if not self.bands:
            low, high = np.full(channels, low.min()), np.full(channels, high.max())
        if is_float and low.min() >= 0 and high.max() <= 1:
            return np.zeros(channels), np.ones(channels)
        margin = np.where(high > low, (high - low) / 8, 0.5)
        return low - margin, high + margin
