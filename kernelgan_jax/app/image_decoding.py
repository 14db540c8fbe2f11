"""Decoding image files: pixels with all their bits, upright, with their metadata.

Pillow reads everything except PNG and TIFF with 16 bits per sample, which Pillow would
cut to 8 bits; imagecodecs reads those.
"""

import contextlib
import dataclasses
import struct
import threading
import warnings
from collections.abc import Iterator
from typing import IO, Any

import imagecodecs
import numpy as np
from PIL import ExifTags, ImageFile, ImageMode
from PIL import Image as pillow

MAX_PIXELS = 10**9
"""Largest image that is read, in pixels: larger ones may be made to fill the memory."""

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")
"""The formats that are tried, whatever a file's suffix. Pillow knows others that run
outside programs (EPS) or have no pixels."""

_MODES = {
    "1": ("L", "1-bit expanded to 0 and 255"),
    "L": ("L", ""),
    "LA": ("L", ""),
    "La": ("L", "premultiplied alpha divided out"),
    "P": ("RGB", "palette expanded"),
    "PA": ("RGB", "palette expanded"),
    "RGB": ("RGB", ""),
    "RGBA": ("RGB", ""),
    "RGBX": ("RGB", ""),
    "RGBa": ("RGB", "premultiplied alpha divided out"),
    "CMYK": ("RGB", "CMYK converted to RGB without its colour profile"),
    "YCbCr": ("RGB", "YCbCr converted to RGB without its colour profile"),
    "I;16": ("I;16", ""),
    "I;16B": ("I;16B", ""),
    "I;16L": ("I;16L", ""),
    "I": ("I", ""),
    "F": ("F", "floats in [0, 1] scaled to 16-bit"),
}
"""For each of Pillow's modes: the mode it is read as, apart from alpha, and a note on
what that changes."""

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

_TIFF_BITS_PER_SAMPLE = 258
_TIFF_PLANAR_CONFIGURATION = 284
_TIFF_EXTRA_SAMPLES = 338
"""Numbers of a TIFF's tags."""

_PREMULTIPLIED_ALPHA = 1
"""Value of the tag for extra samples."""

_BAND_PIXELS = 2**20
"""Pixels that are converted at a time."""

_UNIT_SLACK = 1e-6
"""How far floats may lie outside [0, 1]."""

_PILLOW_LOCK = threading.Lock()
"""Held while Pillow's global limits are changed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """An image file's contents, upright."""

    pixels: np.ndarray
    """`H x W x C`, C = 1 (gray) or 3 (RGB), uint8 in [0, 255] or uint16 in [0, 65535].
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


class UnusableError(Exception):
    """What is wrong with an image; the message continues the file's name."""


def one_line(text: object) -> str:
    """Text without what would break a line or could not be printed."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def decode(file: IO[bytes]) -> Image:
    """Decodes an open file; raises nearly anything if it is damaged."""
    notes: list[str] = []
    head = file.read(32)
    with _own_pillow_settings(notes):
        image = pillow.open(file, formats=FORMATS)
        if image.mode not in _MODES:
            raise UnusableError(
                f"has colour mode {image.mode}, which is not supported; export it as "
                "RGB"
            )
        if getattr(image, "is_animated", False):
            notes.append("only the first of its frames used")
        # Read before the pixels: Pillow turns a TIFF as it loads, and drops the tag.
        orientation = _orientation(image, notes)
        if _has_16_bit_samples(image, head):
            stored = _read_16_bit(image, file)
            has_alpha = stored.shape[2] in (2, 4)
            is_turned = False
        else:
            stored, has_alpha = _read_bands(image, notes)
            is_turned = image.format == "TIFF"
        exif = _exif(image, notes)
        icc_profile = image.info.get("icc_profile") or None
        if image.mode in ("CMYK", "YCbCr"):
            icc_profile = None
        image.close()
    if orientation != 1:
        notes.append(f"turned upright (EXIF orientation {orientation})")
        if not is_turned:
            stored = _upright(stored, orientation)
    alpha = None
    if has_alpha:
        notes.append("alpha kept apart, colour used as stored (not composited)")
        alpha = np.ascontiguousarray(stored[:, :, -1])
        stored = stored[:, :, :-1]
    return Image(
        np.ascontiguousarray(stored), alpha, icc_profile, exif, "; ".join(notes)
    )


def _has_16_bit_samples(image: ImageFile.ImageFile, head: bytes) -> bool:
    """Whether Pillow would lose bits of this file, and imagecodecs would not."""
    if image.format == "PNG":
        return head[24] == 16  # The bit depth in the header chunk, always first.
    return (
        image.format == "TIFF"
        and image.mode in ("RGB", "RGBA")
        and 16 in _tiff_tag(image, _TIFF_BITS_PER_SAMPLE)
    )


def _tiff_tag(image: pillow.Image, tag: int) -> tuple[Any, ...]:
    """The values of a TIFF's tag; empty if it is absent."""
    value = image.tag_v2.get(tag, ())  # type: ignore[attr-defined]
    return value if isinstance(value, tuple) else (value,)


def _read_16_bit(image: ImageFile.ImageFile, file: IO[bytes]) -> np.ndarray:
    """Reads the first page of a 16-bit PNG or TIFF as `H x W x C` uint16."""
    file.seek(0)
    if image.format == "PNG":
        stored = imagecodecs.png_decode(file.read())
        return stored if stored.ndim == 3 else stored[:, :, np.newaxis]
    stored = imagecodecs.tiff_decode(file.read(), 0)
    if _tiff_tag(image, _TIFF_PLANAR_CONFIGURATION) == (2,):
        stored = np.moveaxis(stored, 0, -1)  # One plane after the other.
    stored = stored[:, :, : len(image.getbands())]
    if _tiff_tag(image, _TIFF_EXTRA_SAMPLES) == (_PREMULTIPLIED_ALPHA,):
        # 65535 * 65535 + 32767 just fits in 32 bits.
        alpha = stored[:, :, 3:].astype(np.uint32)
        colour = stored[:, :, :3] * np.uint32(65535) + alpha // 2
        colour = np.minimum(colour // np.maximum(alpha, 1), 65535)
        stored = np.concatenate([colour, alpha], axis=-1).astype(np.uint16)
    return stored


def _read_bands(
    image: ImageFile.ImageFile, notes: list[str]
) -> tuple[np.ndarray, bool]:
    """Reads with Pillow, converting some rows at a time to bound the memory.

    Returns:
      `H x W x C` array, uint8 or uint16, and whether its last channel is alpha.
    """
    mode, change = _MODES[image.mode]
    if change:
        notes.append(change)
    if image.format == "PPM" and image.mode == "RGB":
        # The decoder's arguments are a raw mode and, if not 255, the white level.
        arguments = image.tile[0].args
        if isinstance(arguments, tuple) and arguments[1] > 255:
            notes.append("colour of more than 8 bits reduced to 8")
    image.load()
    has_alpha = image.has_transparency_data and mode in ("L", "RGB")
    if has_alpha:
        mode += "A"
    layout = ImageMode.getmode(mode)
    width, height = image.size
    stored = np.empty((height, width, len(layout.bands)), layout.typestr)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        band = image.crop((0, top, width, bottom)).convert(mode)
        stored[top:bottom] = np.asarray(band).reshape(bottom - top, width, -1)
    if stored.dtype == np.uint8:
        return stored, has_alpha
    limit = 1 if mode == "F" else 65535
    low, high = stored.min(), stored.max()
    if not (low >= -_UNIT_SLACK and high <= limit + _UNIT_SLACK):  # NaN is outside.
        raise UnusableError(
            f"has values from {low:g} to {high:g}, outside [0, {limit}]; scale them, "
            "or export it as 16-bit PNG"
        )
    if mode == "F":
        stored = np.rint(stored * np.float32(65535))
    return stored.astype(np.uint16, copy=False), False


def _orientation(image: ImageFile.ImageFile, notes: list[str]) -> int:
    """The EXIF orientation, 1 to 8; 1 if it is absent or not one of these."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, struct.error):
        # Editors write odd EXIF; the pixels are good nevertheless.
        notes.append("unreadable EXIF left out")
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def _exif(image: ImageFile.ImageFile, notes: list[str]) -> bytes | None:
    """The EXIF block without orientation and TIFF layout; None if it is empty."""
    exif = image.getexif()
    for tag in list(exif):
        is_layout = image.format == "TIFF" and tag not in _TIFF_EXIF
        if is_layout or tag == ExifTags.Base.Orientation:
            del exif[tag]
    exif.bigtiff = False  # An EXIF block is a classic TIFF, whatever its source.
    if not exif:
        return None
    try:
        return exif.tobytes()
    except Exception:  # Values of a wrong type make Pillow raise anything.
        notes.append("unreadable EXIF left out")
        return None


def _upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """A view of `H x W x C` pixels as EXIF orientation 1 to 8 shows them."""
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    return stored


@contextlib.contextmanager
def _own_pillow_settings(notes: list[str]) -> Iterator[None]:
    """Sets Pillow's limits, and turns its warnings about odd metadata into notes.

    Pillow keeps its limits in globals, and the program that imports this library may
    need others (or may have chosen to fill truncated files), so they are put back.
    """
    with _PILLOW_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        saved = pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = MAX_PIXELS, False
        try:
            yield
        finally:
            pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = saved
    notes.extend(one_line(warning.message).strip() for warning in caught)
