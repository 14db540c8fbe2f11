"""EXIF blocks of image files: the orientation, and what is kept."""

import re
import struct
from collections.abc import Callable, Mapping, MutableMapping
from numbers import Real
from typing import IO, Any

import numpy as np
from PIL import ExifTags, TiffTags
from PIL import Image as pillow
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from kernelgan_jax.app.images import xmp_packets
from kernelgan_jax.app.images.pillow_settings import own_pillow_settings

ORIENTATION = ExifTags.Base.Orientation
"""The tag of the orientation."""

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


_SUBJECT = (0x9214, 0xA214)
"""SubjectArea and SubjectLocation: the place of the subject, in pixels."""

_RELATED_WIDTH = ExifTags.Interop.RelatedImageWidth
_RELATED_HEIGHT = ExifTags.Interop.RelatedImageHeight
"""The size of the picture once more, as some cameras write it."""

_SRGB = 1
"""Value of the tag ColorSpace."""

_RESOLUTIONS = (ExifTags.Base.XResolution, ExifTags.Base.YResolution)
_OF_SENSOR = (
    ExifTags.Base.FocalPlaneXResolution,
    ExifTags.Base.FocalPlaneYResolution,
)
"""Pixels of a unit of length, across and down: of the picture, and of the sensor."""


_FOLDERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
"""The tags that point to those of the camera and of the place."""

_LARGEST = 2**32 - 1
"""The largest integer of EXIF."""

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
        orientation = stated_orientation(image.getexif().get(ORIENTATION))
    except (SyntaxError, ValueError, struct.error):
        # Editors write odd EXIF; the pixels are good nevertheless.
        notes.append("unreadable EXIF left out")
        orientation = None
    return orientation or xmp_packets.orientation_of(xmp)


def stated_orientation(value: Any) -> int | None:
    """The orientation, 1 to 8, by the value of its tag; None if there is no value.

    It is 1 if the value is none of these.
    """
    if value is None:
        return None
    return int(value) if value in range(1, 9) else 1


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


def is_adobe_rgb(exif: pillow.Exif) -> bool:
    """Whether a camera says that the colours are those of Adobe RGB.

    Cameras say it by the version of the rules for files (DCF), without a profile;
    programs that convert to sRGB may leave that version.

    Raises:
      Exception: Any of several, if the block is damaged.
    """
    camera = _of_camera(exif)
    is_srgb = camera.get(ExifTags.Base.ColorSpace) == _SRGB
    if is_srgb or ExifTags.IFD.Interop not in camera:
        return False
    version = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    return version == "R03"


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


def kept_of_block(
    block: bytes, format: str, notes: list[str], *, orientation: int | None = None
) -> tuple[bytes | None, int]:
    """The block that is kept of a picture which its decoder has turned upright.

    Args:
      block: The block in the file.
      format: Name of the format.
      notes: Gets a note if it cannot be read.
      orientation: That which the decoder has applied; else what the block states.

    Returns:
      The block as that of `kept_block`, and the orientation.
    """
    exif = pillow.Exif()
    try:
        with own_pillow_settings(notes):
            exif.load(block)
            applied = orientation or stated_orientation(exif.get(ORIENTATION)) or 1
            return kept_block(exif, format, notes, orientation=applied), applied
    except (SyntaxError, ValueError, struct.error):
        notes.append("unreadable EXIF left out")
        return None, orientation or 1


def kept_block(
    exif: pillow.Exif, format: str | None, notes: list[str], *, orientation: int = 1
) -> bytes | None:
    """The EXIF block without orientation and TIFF layout; None if it is empty.

    Pixels per inch become those of the picture as the orientation, 1 to 8, shows it.
    """
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
        _turn(exif, orientation, notes)
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


def as_read(tags: MutableMapping[int, Any], *, folder: int | None = None) -> None:
    """Lets Pillow write texts and bytes as they were read.

    Bytes of a tag whose type Pillow does not know get none, apart from the texts of
    Windows: Pillow says that they are numbers, in which other programs do not find
    comments and makers' notes.

    Args:
      tags: The tags of a folder.
      folder: The tag that points to the folder; None for the first tags.
    """
    for tag, value in list(tags.items()):
        if isinstance(value, str):
            tags[tag] = AsRead(value)
        elif (
            isinstance(value, bytes)
            and tag not in TEXTS_OF_WINDOWS
            and not TiffTags.lookup(tag, folder).type
        ):
            tags[tag] = (bytearray(value),)  # Bytes in a tuple would be numbers, too.


def to_bytes(exif: pillow.Exif) -> bytes:
    """The block of EXIF that was read, with the bytes of its texts.

    Raises:
      Exception: Nearly any, if there are values of a wrong type.
    """
    as_read(exif)
    # Of a block that was read Pillow writes Interop a second time, among the first
    # tags, with a pointer to nothing.
    found = pillow.Exif()
    found.endian = exif.endian
    pointers = *_FOLDERS, ExifTags.IFD.Interop
    found.update({tag: exif[tag] for tag in exif if tag not in pointers})
    found.update(folders_below(exif))
    return found.tobytes()


def folders_below(exif: pillow.Exif) -> dict[int, dict[int, Any]]:
    """The tags of the camera and of the place, by the tag that points to them.

    EXIF keeps them in folders of their own; their texts are written as they were read.
    """
    below = {
        int(tag): folder
        for tag in _FOLDERS
        if tag in exif and (folder := exif.get_ifd(tag))
    }
    camera = below.get(ExifTags.IFD.Exif, {})
    if ExifTags.IFD.Interop in camera:  # A pointer, and then what it points to.
        camera[ExifTags.IFD.Interop] = exif.get_ifd(ExifTags.IFD.Interop)
        as_read(camera[ExifTags.IFD.Interop], folder=ExifTags.IFD.Interop)
    for tag, folder in below.items():
        as_read(folder, folder=tag)
    return below


def _turn(exif: pillow.Exif, orientation: int, notes: list[str]) -> None:
    """Makes what is said of rows and columns true of the picture turned upright."""
    camera = _of_camera(exif)
    if orientation >= 5:
        _exchange(exif, *_RESOLUTIONS)
        _exchange(camera, *_OF_SENSOR)
    subject = [tag for tag in _SUBJECT if tag in camera and orientation != 1]
    for tag in subject:
        del camera[tag]
    if subject:
        notes.append(xmp_packets.SUBJECT_LEFT_OUT)


def _of_camera(exif: pillow.Exif) -> dict[int, Any]:
    """The tags of the camera; Pillow would write a folder for them if there is none."""
    tag = ExifTags.IFD.Exif
    return exif.get_ifd(tag) if tag in exif else {}


def _exchange(tags: MutableMapping[int, Any], across: int, down: int) -> None:
    """Exchanges the values of two tags, if there are both."""
    if across in tags and down in tags:
        tags[across], tags[down] = tags[down], tags[across]


def enlarged(exif: bytes | None, width: int, height: int, scale: int) -> bytes | None:
    """The EXIF block with the size of the image that it is written into.

    Tags for sizes and places are changed if they are there, and not added.

    Args:
      exif: The block of the image that was enlarged.
      width: Pixels of a row, after that.
      height: Number of rows, after that.
      scale: By how much it was enlarged.
    """
    if exif is None:
        return None
    found = pillow.Exif()
    found.load(exif)
    Base = ExifTags.Base
    camera = _of_camera(found)
    changed = _set(found, {Base.ImageWidth: width, Base.ImageLength: height})
    changed |= _set(camera, {Base.ExifImageWidth: width, Base.ExifImageHeight: height})
    larger = {tag: _times(camera.get(tag), scale) for tag in (*_SUBJECT, *_OF_SENSOR)}
    changed |= _set(camera, larger)
    if ExifTags.IFD.Interop in camera:
        related = found.get_ifd(ExifTags.IFD.Interop)
        changed |= _set(related, {_RELATED_WIDTH: width, _RELATED_HEIGHT: height})
    return to_bytes(found) if changed else exif


def _set(tags: MutableMapping[int, Any], values: Mapping[int, Any]) -> bool:
    """Changes those of some tags that are there; whether there is one."""
    found = {tag: value for tag, value in values.items() if tag in tags}
    tags.update(found)
    return bool(found)


def _times(value: Any, scale: int) -> Any:
    """A number of EXIF, or several, multiplied; other values as they are, and those
    that stand for infinity, or are negative, of which there are none in pixels."""
    if isinstance(value, tuple):
        is_signed = any(isinstance(each, Real) and each < 0 for each in value)
        return value if is_signed else tuple(_times(each, scale) for each in value)
    if isinstance(value, IFDRational):
        top, bottom = int(value.numerator), int(value.denominator)
        is_finite = bottom > 0 and 0 <= scale * top <= _LARGEST
        return IFDRational(scale * top, bottom) if is_finite else value
    is_number = isinstance(value, int | float) and 0 <= scale * value <= _LARGEST
    return scale * value if is_number else value


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
