"""Transparency masks of a TIFF: pages that say which pixels of another are visible.

GDAL writes one for what has no data where a compression has no room for alpha, as JPEG.

References:
  TIFF 6.0, NewSubfileType and PhotometricInterpretation 4.
"""

from collections.abc import Sequence

import numpy as np
from tifffile import TiffPage

_REDUCED, _MASK = 1, 4
"""Bits of the tag NewSubfileType."""


def masks_of(pages: Sequence[TiffPage]) -> dict[int, TiffPage]:
    """The masks that follow images of the same size, by the offsets of the images."""
    found: dict[int, TiffPage] = {}
    image = None
    for page in pages:
        kind = int(page.subfiletype or 0)
        if not kind & (_REDUCED | _MASK):
            image = page
        elif image is not None and kind & _MASK and _is_alike(page, image):
            found.setdefault(image.offset, page)
    return found


def _is_alike(mask: TiffPage, image: TiffPage) -> bool:
    sides = (mask.imagewidth, mask.imagelength)
    return sides == (image.imagewidth, image.imagelength) and mask.samplesperpixel == 1


def hide(stored: np.ndarray, hidden: np.ndarray, *, has_alpha: bool) -> np.ndarray:
    """Samples with alpha as the last channel, 0 where they are hidden.

    Args:
      stored: `H x W x C`, with alpha as the last channel or without any.
      hidden: `H x W x 1` of bool.
      has_alpha: Whether the last channel is alpha.
    """
    if not has_alpha:
        top = 1 if stored.dtype.kind == "f" else np.iinfo(stored.dtype).max
        alpha = np.full(hidden.shape, top, stored.dtype)
        stored = np.concatenate([stored, alpha], axis=2)
    stored[hidden[..., 0], -1] = 0
    return stored
