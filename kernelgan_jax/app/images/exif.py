"""EXIF blocks of image files: the orientation, and what is kept."""

import re
import struct
from collections.abc import Callable, MutableMapping
from typing import IO, Any

import numpy as np
from PIL import ExifTags
from PIL import Image as pillow
from PIL.TiffImagePlugin import ImageFileDirectory_v2

OTHER_TEXTS = (
    ExifTags.Base.DocumentName,
    ExifTags.Base.PageName,
    ExifTags.Base.HostComputer,
)
RATINGS = (ExifTags.Base.Rating, ExifTags.Base.RatingPercent)
TEXTS_OF_WINDOWS = (
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
)
"""Tags that programs write beside those of EXIF: texts, numbers of 16 bits, bytes."""

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
        *OTHER_TEXTS,
        *RATINGS,
        *TEXTS_OF_WINDOWS,
        ExifTags.IFD.Exif,
        ExifTags.IFD.GPSInfo,
    }
)
"""The tags of a TIFF that are kept as EXIF; the others describe the file's layout."""


_OF_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])")
"""The orientation in an XMP packet, as an attribute or an element."""


_FOLDERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
"""The tags that point to those of the camera and of the place."""

_OF_64_BITS = (16, 17, 18)
"""Types of a BigTIFF: integers, and pointers to tags."""

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


def of_big_tiff(file: IO[bytes], place: int, *, order: str) -> pillow.Exif:
    """The EXIF of a BigTIFF, which Pillow reads in one order of bytes alone.

    Args:
      file: The file.
      place: Where the tags of the image are.
      order: The order of bytes, "<" or ">".

    Raises:
      Exception: Any of several, if they are damaged.
    """
    prefix = b"II" if order == "<" else b"MM"

    def read(place: int, group: int | None = None) -> ImageFileDirectory_v2:
        found = ImageFileDirectory_v2(b"II\x2b\0" + bytes(12), prefix, group)
        file.seek(place)
        found.load(file)
        return found

    exif = pillow.Exif()
    exif.endian = order
    exif.update(read(place))
    for tag, below in _pointers(file, place, order).items():
        exif.pop(tag, None)
        folder = exif.get_ifd(tag)
        folder.update(read(below, tag))
        folder.pop(ExifTags.IFD.Interop, None)  # A pointer.
        exif[tag] = folder
    return exif


def _pointers(file: IO[bytes], place: int, order: str) -> dict[int, int]:
    """What some tags of a BigTIFF say of where the folders of EXIF are.

    Pillow does not know all of their types.
    """
    found = {}
    file.seek(place)
    (count,) = struct.unpack(order + "Q", file.read(8))
    for _ in range(count):
        tag, kind, _, value = struct.unpack(order + "HHQ8s", file.read(20))
        if tag in _FOLDERS:
            code = "Q" if kind in _OF_64_BITS else "I"
            (found[tag],) = struct.unpack_from(order + code, value)
    return found


def block_of(
    read: Callable[[], pillow.Exif],
    format: str | None,
    notes: list[str],
    orientation: int,
) -> bytes | None:
    """The EXIF block of an image that is kept; see `kept_block`."""
    try:
        return kept_block(read(), format, notes, orientation=orientation)
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
    """The tags of the camera and of the place, which EXIF keeps in folders of their
    own, by the tag that points to them; their texts are written as they were read."""
    below = {
        int(tag): folder
        for tag in _FOLDERS
        if tag in exif and (folder := exif.get_ifd(tag))
    }
    camera = below.get(ExifTags.IFD.Exif, {})
    if ExifTags.IFD.Interop in camera:  # A pointer, and then what it points to.
        camera[ExifTags.IFD.Interop] = exif.get_ifd(ExifTags.IFD.Interop)
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
