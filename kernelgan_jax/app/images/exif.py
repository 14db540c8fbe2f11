"""EXIF blocks of image files: the orientation, and what is kept."""

import re
import struct
from collections.abc import MutableMapping
from typing import Any

import numpy as np
from PIL import ExifTags
from PIL import Image as pillow

_TIFF_EXIF = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.Copyright,
        ExifTags.IFD.Exif,
        ExifTags.IFD.GPSInfo,
    }
)
"""The tags of a TIFF that are kept as EXIF; the others describe the file's layout."""


_OF_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])")
"""The orientation in an XMP packet, as an attribute or an element."""


_LAYOUT_TEXTS = (('{"shape":', ""), ("ImageJ=", "ImageJ"), ("<OME", "OME"))
"""What programs write into the description of a TIFF about its layout, which is
another one when the image is enlarged: how such a text begins, and whose it is."""


def orientation_of(
    image: pillow.Image, notes: list[str], *, xmp: bytes | None = None
) -> int:
    """The orientation, 1 to 8; 1 if it is absent or not one of these.

    Args:
      image: The image, with its EXIF.
      notes: Gets a note if EXIF cannot be read.
      xmp: The XMP packet that Pillow has not seen. As in Pillow, its orientation
        counts if EXIF has none.
    """
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (SyntaxError, ValueError, struct.error):
        # Editors write odd EXIF; the pixels are good nevertheless.
        notes.append("unreadable EXIF left out")
        orientation = None
    if orientation is None:
        return orientation_of_xmp(xmp)
    return int(orientation) if orientation in range(1, 9) else 1


def orientation_of_xmp(xmp: bytes | None) -> int:
    """The orientation that an XMP packet states, 1 to 8; 1 if there is none."""
    found = _OF_XMP.search(xmp or b"")
    return int(found[1]) if found else 1


def block_of(image: pillow.Image, notes: list[str], orientation: int) -> bytes | None:
    """The EXIF block of an image that is kept; see `kept_block`."""
    try:
        return kept_block(image.getexif(), image.format, notes, orientation=orientation)
    except (SyntaxError, ValueError, struct.error):
        return None  # It is noted already.


def kept_block(
    exif: pillow.Exif, format: str | None, notes: list[str], *, orientation: int = 1
) -> bytes | None:
    """The EXIF block without orientation and TIFF layout; None if it is empty.

    Pixels per inch become those of the picture as the orientation, 1 to 8, shows it.
    """
    if orientation >= 5:
        _swap_resolutions(exif)
    for tag in list(exif):
        is_layout = format == "TIFF" and tag not in _TIFF_EXIF
        if is_layout or tag == ExifTags.Base.Orientation:
            del exif[tag]
    if format == "TIFF":
        _drop_layout_text(exif, notes)
    exif.bigtiff = False  # An EXIF block is a classic TIFF, whatever its source.
    if not exif:
        return None
    try:
        return to_bytes(exif)
    except Exception:  # Values of a wrong type make Pillow raise anything.
        notes.append("unreadable EXIF left out")
        return None


class AsRead(str):
    """A text of EXIF as Pillow reads it, by Latin-1, to be written as it was.

    Pillow writes texts in ASCII, and question marks in place of other letters. So
    `encode` ignores its arguments, and returns Latin-1 whatever they are.
    """

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        """The bytes that it was read from."""
        return super().encode("latin-1", "replace")


def texts_as_read(tags: MutableMapping[int, Any]) -> None:
    """Lets Pillow write the texts among some tags as they were read."""
    for tag, value in list(tags.items()):
        if isinstance(value, str):
            tags[tag] = AsRead(value)


def to_bytes(exif: pillow.Exif) -> bytes:
    """The block of EXIF that was read, with the bytes of its texts.

    Raises:
      Exception: Nearly any, if there are values of a wrong type.
    """
    texts_as_read(exif)
    folders_below(exif)
    return exif.tobytes()


def folders_below(exif: pillow.Exif) -> dict[int, dict[int, Any]]:
    """The tags of the camera and of the place, by the tag that points to them.

    EXIF keeps them in folders of their own; their texts are written as they were read.
    """
    below = {
        int(tag): folder
        for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
        if tag in exif and (folder := exif.get_ifd(tag))
    }
    for folder in below.values():
        texts_as_read(folder)
    return below


def _swap_resolutions(exif: pillow.Exif) -> None:
    """Exchanges the pixels per inch across and down, if there are both."""
    across, down = ExifTags.Base.XResolution, ExifTags.Base.YResolution
    if across in exif and down in exif:
        exif[across], exif[down] = exif[down], exif[across]


def _drop_layout_text(exif: pillow.Exif, notes: list[str]) -> None:
    """Leaves out a description that programs, and not people, have written."""
    text = str(exif.get(ExifTags.Base.ImageDescription, ""))
    text = re.sub(r"<\?.*?\?>|<!--.*?-->|\s", "", text[:1000], flags=re.DOTALL)
    for start, program in _LAYOUT_TEXTS:
        if text.startswith(start):
            del exif[ExifTags.Base.ImageDescription]
            if program:
                notes.append(f"sizes and units of {program} left out")


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """A view of `H x W x C` pixels as EXIF orientation 1 to 8 shows them."""
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    return stored
