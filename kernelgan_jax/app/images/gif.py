"""Writing GIF: pictures with up to 256 colours each, frame by frame."""

import struct
from typing import Any, NamedTuple

import numpy as np
from PIL import GifImagePlugin
from PIL import Image as pillow

MOST_COLOURS = 256
"""Colours of one picture, and the transparent one."""


class Indexed(NamedTuple):
    """A picture with a palette."""

    picture: pillow.Image
    """Its pixels, of mode P."""
    transparent: int | None
    """The index that stands for nothing, if it is used or not; None without alpha."""


def indexed(pixels: np.ndarray, alpha: np.ndarray | None) -> Indexed:
    """A picture with its best palette: exact if there are few colours, else dithered.

    Args:
      pixels: `H x W x C` uint8, C = 1 or 3.
      alpha: `H x W` uint8, of which the upper half is opaque; or None.
    """
    hidden = None if alpha is None else alpha < 128
    if pixels.shape[2] == 1:
        pixels = pixels.repeat(3, axis=2)
    if hidden is not None:
        pixels = np.where(hidden[..., None], np.uint8(0), pixels)
    most = MOST_COLOURS - (hidden is not None)
    codes = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    colours, places = np.unique(codes, return_inverse=True)
    if len(colours) <= most:
        indices = places.reshape(codes.shape).astype(np.uint8)
        parts = [(colours >> shift) & 255 for shift in (16, 8, 0)]
        palette = np.stack(parts, axis=1).astype(np.uint8).tobytes()
    else:
        picture = pillow.fromarray(pixels)
        few = picture.quantize(most)
        found = picture.quantize(palette=few, dither=pillow.Dither.FLOYDSTEINBERG)
        indices, palette = np.asarray(found), bytes(few.getpalette() or ())
    if hidden is not None:
        indices = np.where(hidden, np.uint8(most), indices)
        palette = palette[: 3 * most].ljust(3 * most, b"\0") + bytes(3)
    picture = pillow.fromarray(indices).convert("L")
    picture.putpalette(palette)
    return Indexed(picture, None if hidden is None else most)


def header(width: int, height: int, plays: int) -> bytes:
    """What stands before the frames.

    Args:
      width: Pixels of a row.
      height: Number of rows.
      plays: How often the frames are shown; 0 stands for ever.
    """
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0)
    if plays != 1:  # The number counts what follows the first time.
        again = min(max(plays - 1, 0), 65535)
        head += b"!\xff\x0bNETSCAPE2.0" + struct.pack("<BBHB", 3, 1, again, 0)
    return head


def frame(found: Indexed, hundredths: int, *, clears: bool = False) -> bytes:
    """A frame that fills the picture and takes the place of the one before.

    Args:
      found: Its pixels.
      hundredths: For how long it is shown, in hundredths of a second.
      clears: Whether nothing of it stays below the next frame, which has holes.
    """
    options: dict[str, Any] = {}
    options |= {"duration": 10 * hundredths, "include_color_table": True}
    options["disposal"] = 2 if clears else 1
    if found.transparent is not None:
        options["transparency"] = found.transparent
    return b"".join(GifImagePlugin.getdata(found.picture, (0, 0), **options))


END = b";"
"""What stands behind the frames."""


def still(pixels: np.ndarray, alpha: np.ndarray | None) -> bytes:
    """The file of a single picture; arguments as those of `indexed`."""
    height, width = pixels.shape[:2]
    return header(width, height, 1) + frame(indexed(pixels, alpha), 0) + END
