"""What Pillow reads of a BMP without alpha, not at all, or with an alpha of nothing."""

import dataclasses
import struct
from typing import IO

import numpy as np
from PIL import Image as pillow

from kernelgan_jax.app.images.image import MAX_PIXELS
from kernelgan_jax.app.images.tiff_decoding import Decoded

_MASKS, _MASKS_AND_ALPHA = 3, 6
"""Numbers for pixels of which masks say what bits are what."""

_WITH_ALPHA = 56
"""Bytes of the shortest header with a mask for alpha."""

_HEAD = 70
"""Bytes of a file up to the end of the masks."""


def read_16_bits(file: IO[bytes]) -> Decoded | None:
    """Reads a BMP of 16 bits with alpha; None if the file is another one.

    Raises:
      DecompressionBombError: If it is too large.
      ValueError: If there are no pixels, or some are missing.
    """
    file.seek(0)
    head = file.read(_HEAD)
    if not head.startswith(b"BM") or len(head) < _HEAD:
        return None
    start, size, width, height, _, bits, packing = struct.unpack_from(
        "<IIiiHHI", head, 10
    )
    masks = struct.unpack_from("<4I", head, 54)
    is_with_alpha = packing == _MASKS_AND_ALPHA or size >= _WITH_ALPHA
    is_known = bits == 16 and packing in (_MASKS, _MASKS_AND_ALPHA)
    if not (is_known and is_with_alpha and masks[3]) or max(masks) >= 2**16:
        return None
    rows = abs(height)
    if width * rows > MAX_PIXELS:
        raise pillow.DecompressionBombError
    if min(width, rows) < 1:
        raise ValueError("no pixels")
    across = (width + 1) // 2 * 2  # A row fills words of 32 bits.
    file.seek(start)
    data = file.read(2 * across * rows)
    if len(data) < 2 * across * rows:
        raise ValueError(f"{len(data)} bytes of pixels")
    packed = np.frombuffer(data, "<u2").reshape(rows, across)[:, :width]
    packed = packed[::-1] if height > 0 else packed
    stored = np.zeros((rows, width, 4), np.uint8)
    for channel, mask in enumerate(masks):
        if lowest := mask & -mask:
            top = mask // lowest
            levels = np.rint(np.arange(top + 1) * (255 / top)).astype(np.uint8)
            for row, pixels in zip(stored, packed, strict=True):
                row[:, channel] = levels[(pixels & mask) // lowest]
    return Decoded(stored, has_alpha=True)


def shown(decoded: Decoded, notes: list[str]) -> Decoded:
    """The picture of a BMP as other programs show it.

    Many write zeros where alpha would be: one of zeros alone counts for none.

    Args:
      decoded: The picture.
      notes: Gets a note if there is such an alpha.
    """
    if not decoded.has_alpha or decoded.stored[..., -1].any():
        return decoded
    notes.append("alpha of zeros alone taken for none")
    return dataclasses.replace(
        decoded, stored=decoded.stored[..., :-1], has_alpha=False
    )
