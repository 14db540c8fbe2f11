"""Decoding TIFF files by their tags: any depth, type, layout and number of bands.

Pillow reads the common kinds of 8 bits, and this module all others.
"""

import dataclasses
import logging
import struct
from fractions import Fraction
from typing import IO, Any

import numpy as np
from tifffile import TIFF, TiffFile, TiffPage

from kernelgan_jax.app.images import nodata
from kernelgan_jax.app.images.declared import Declared
from kernelgan_jax.app.images.image import UnusableError
from kernelgan_jax.app.images.image_kinds import RAW
from kernelgan_jax.app.images.metadata import GEO_TAGS, Metadata
from kernelgan_jax.app.images.netpbm import whole_range

MINIMUM_IS_WHITE, MINIMUM_IS_BLACK, RGB, PALETTE, MASK, SEPARATED, YCBCR = range(7)
"""Values of the tag PhotometricInterpretation."""

_CAMERA_RAW = {32803, 34892}
"""Values of PhotometricInterpretation in raw files: colour filters, linear raw."""

_DNG_VERSION, _CFA_PATTERN, _NIKON_NEF = 50706, 33422, 34713
_WIDTH = 256
_SUB_IFDS, _ICC, _XMP, _RESOLUTION, _RESOLUTION_UNIT = 330, 34675, 700, (282, 283), 296
"""Numbers of tags."""

_COLOURS = {RGB: 3, SEPARATED: 4, YCBCR: 3, 8: 3, 9: 3, 10: 3}
"""Samples of a pixel for kinds of colour that have more than one."""

_EXPANSION = {1: 1, 5: 1500, 32773: 130, 8: 1100, 32946: 1100, 50013: 1100}
"""For some compressions, how many bytes may at most come out of one; a file that
promises more is damaged."""

_OF_PILLOW = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)
"""Compressions that Pillow reads, whatever libtiff it comes with."""

_MAX_EXPANSION = 50_000
"""The same for the other compressions."""

_LEFT_OUT = (0, 0)
"""Offset and bytes of a strip or tile that GDAL has left out, as it has only zeros or
no data; tifffile fills it so."""

_BUFFER = 2**22
"""Bytes of a file that are read at a time."""

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # What matters is raised.


@dataclasses.dataclass
class Decoded:
    """Pixels as a decoder found them."""

    stored: np.ndarray
    """`H x W x C`, alpha as the last channel if there is any."""
    has_alpha: bool = False
    """Whether the last channel is alpha."""
    bands: bool = False
    """Whether the channels are bands and not gray or RGB alone."""
    rgb_first: bool = False
    """Whether the first three of the bands are RGB."""
    missing: np.ndarray | None = None
    """`H x W`, True where there are no data, or None."""
    is_turned: bool = False
    """Whether the orientation is applied already."""
    keeps_profile: bool = True
    """Whether the file's ICC profile describes these pixels."""


class Tiff:
    """An open TIFF file.

    Args:
      file: The file; it stays open.
      max_pixels: The largest image that is read.

    Raises:
      UnusableError: If it is a camera's raw file.
    """

    def __init__(self, file: IO[bytes], *, max_pixels: int):
        file.seek(0)
        self._file = TiffFile(file)
        self._max_pixels = max_pixels
        pages: list[TiffPage] = []
        for page in self._file.pages:
            if not isinstance(page, TiffPage) or _WIDTH not in page.tags:
                break  # What follows is damaged, and may be endless.
            pages.append(page)
        if not pages:
            raise ValueError("no image with a size")
        if any(map(_is_raw, pages)):
            raise UnusableError(RAW)
        whole = [i for i, page in enumerate(pages) if not _is_preview(page)]
        self.numbers = whole or [0]
        """Places of the images in the file, without previews and masks."""
        self.pages = [pages[i] for i in self.numbers]
        self.left_out = len(pages) - len(self.pages)
        self.is_cut_off = self._is_followed(file, pages[-1])
        """Whether what follows the last image is damaged or missing."""

    def _is_followed(self, file: IO[bytes], page: TiffPage) -> bool:
        """Whether an image says that another one follows."""
        is_big = self._file.is_bigtiff
        count, entry, offset = ("Q", 20, "Q") if is_big else ("H", 12, "I")
        values = []
        place = page.offset
        for code in (count, offset):
            file.seek(place)
            code = self._file.byteorder + code
            data = file.read(struct.calcsize(code))
            if len(data) < struct.calcsize(code):
                return True
            values.append(struct.unpack(code, data)[0])
            place += len(data) + entry * values[0]
        return bool(values[1])

    def is_for_pillow(self, frame: int) -> bool:
        """Whether Pillow reads this image without a loss."""
        page = self.pages[frame]
        bits = page.bitspersample
        if bits not in (1, 2, 4, 8) or page.sampleformat not in (1, 4):
            return False
        if page.imagedepth != 1 or page.compression not in _OF_PILLOW:
            return False
        if _LEFT_OUT in _places(page):
            return False
        if page.photometric == YCBCR and page.compression == 1:
            return False  # Taken for RGB, of 4 bytes each.
        extras = _extras(page)
        if extras and page.planarconfig == 2:
            return False  # Of the two planes of gray and alpha it misses one.
        if page.photometric in (YCBCR, 8, 9, 10):
            return not extras
        if nodata.TAG in page.tags:
            return False
        if page.photometric == PALETTE:
            return not extras
        colours = {0: 1, 1: 1, 2: 3, 5: 4}.get(int(page.photometric or 0), 0)
        is_plain = page.samplesperpixel == colours + len(extras)
        # Samples of unknown meaning are bands, which Pillow drops.
        return is_plain and (not extras or extras in ((1,), (2,)))

    def read(self, frame: int, notes: list[str]) -> Decoded:
        """Reads one image.

        Raises:
          UnusableError: If its layout is not supported.
        """
        page = self.pages[frame]
        photometric = int(page.photometric or 0)
        self._check(page)
        if empty := _places(page).count(_LEFT_OUT):
            notes.append(f"{empty} strips or tiles are empty")
        stored = _array(page)
        missing = _missing(stored, page, notes)
        stored = _whole_range(stored, page, notes)
        if photometric == MINIMUM_IS_WHITE:
            stored = _inverted(stored, missing)
        elif photometric == PALETTE:
            notes.append("palette expanded")
            if page.colormap is None:
                raise ValueError("no palette")
            colormap = page.colormap
            if page.bitspersample <= 8:  # As Pillow reads it.
                colormap = (colormap >> 8).astype(np.uint8)
            colours = np.take(colormap.T, stored[:, :, 0], axis=0)
            return Decoded(colours, missing=missing)
        extras = _extras(page)
        alpha = _alpha_place(page, extras)
        if alpha is not None:
            premultiplied = extras[alpha - page.samplesperpixel] == 1
            if alpha < stored.shape[2] - 1:
                others = np.delete(stored, alpha, axis=2)
                stored = np.concatenate([others, stored[:, :, [alpha]]], axis=2)
            if premultiplied:
                notes.append("premultiplied alpha divided out")
                stored = straight(stored)
        colours = stored.shape[2] - (alpha is not None)
        if photometric == SEPARATED and colours == 4:
            notes.append("CMYK converted to RGB without its colour profile")
            stored = _rgb_of_inks(stored)
            return Decoded(
                stored, alpha is not None, missing=missing, keeps_profile=False
            )
        is_common = colours == (3 if photometric == RGB else 1)
        if not is_common:
            notes.append(f"{colours} bands, all of them used")
        return Decoded(
            stored,
            alpha is not None,
            bands=not is_common,
            rgb_first=photometric == RGB and not is_common and colours > 3,
            missing=missing,
        )

    def declared(self, frame: int) -> Declared:
        """Sides and depth of an image; a tile counts whole."""
        page = self.pages[frame]
        width = max(page.imagewidth, page.tilewidth)
        height = max(page.imagelength, page.tilelength)
        return Declared(width, height, page.bitspersample * page.samplesperpixel)

    def metadata(self, frame: int) -> Metadata:
        """ICC profile, XMP packet, density and georeference of an image."""
        tags = self.pages[frame].tags
        icc, xmp = tags.valueof(_ICC), tags.valueof(_XMP)
        found = Metadata(
            icc if isinstance(icc, bytes) and icc else None,
            xmp=xmp if isinstance(xmp, bytes) and xmp else None,
        )
        found.geo = _georeference(self.pages[frame])
        per_inch = {2: 1.0, 3: 2.54}.get(int(tags.valueof(_RESOLUTION_UNIT, 2)))
        values = [tags.valueof(tag) for tag in _RESOLUTION]
        if all(isinstance(v, tuple) and all(v) for v in values):
            x, y = (v[0] / v[1] for v in values)
            if per_inch is None and x != y:
                ratio = Fraction(x / y).limit_denominator(1000).as_integer_ratio()
                if 0 < min(ratio) and max(ratio) < 2**31:  # What writers can hold.
                    found.aspect = ratio
            elif per_inch and per_inch * min(x, y) > 1:  # 1 stands for none.
                found.dpi = (per_inch * x, per_inch * y)
        return found

    def orientation(self, frame: int) -> int | None:
        """The value of the tag Orientation, 1 to 8; None if there is no such tag."""
        value = self.pages[frame].tags.valueof(274)
        if value is None:
            return None
        return int(value) if value in range(1, 9) else 1

    def exif_place(self, frame: int) -> tuple[str, bool, int]:
        """Byte order, whether it is a BigTIFF, and where the tags of an image are."""
        return self._file.byteorder, self._file.is_bigtiff, self.pages[frame].offset

    def _check(self, page: TiffPage) -> None:
        """Raises an error unless the image's layout and size are supported."""
        name = getattr(page.photometric, "name", page.photometric)
        layout = (
            f"{page.samplesperpixel} samples of {page.bitspersample} bits, "
            f"{getattr(page.dtype, 'name', 'unknown')}, depth {page.imagedepth}, "
            f"colour {name}, compression "
            f"{getattr(page.compression, 'name', page.compression)}"
        )
        pixels = page.imagewidth * page.imagelength
        if pixels > self._max_pixels:
            raise UnusableError(
                f"has more than {self._max_pixels:,} pixels; crop it or scale it down"
            )
        if not pixels:
            raise ValueError("no pixels")
        known = {0, 1, 2, 3, 4, 5}
        dtype = page.dtype
        if (
            page.photometric not in known
            or dtype is None
            or dtype.kind not in "uifb"
            or page.imagedepth != 1
            or page.compression not in TIFF.DECOMPRESSORS
        ):
            raise UnusableError(
                f"is a TIFF of a layout that is not supported ({layout}); export it as "
                "RGB"
            )
        needed = int(np.prod(page.chunked)) if page.chunked else 1
        places = _places(page)
        written = [place for place in places if place != _LEFT_OUT]
        if len(places) < needed or not written or min(map(min, written)) <= 0:
            raise ValueError("strips or tiles are missing")
        if max(map(sum, written)) > self._file.filehandle.size:
            raise ValueError("pixels lie behind the end of the file")
        limit = _EXPANSION.get(int(page.compression), _MAX_EXPANSION)
        promised = page.nbytes * min(page.bitspersample / 8 / dtype.itemsize, 1)
        promised *= len(written) / len(places)
        held = sum(count for _, count in written)
        if promised > limit * held + 2**16:
            raise ValueError(f"{held} bytes for {page.nbytes} bytes of pixels")


def _is_raw(page: TiffPage) -> bool:
    """Whether an image, or one below it, is of a camera's sensor."""
    tags = page.tags
    if _DNG_VERSION in tags or _CFA_PATTERN in tags:
        return True
    if page.photometric in _CAMERA_RAW or page.compression == _NIKON_NEF:
        return True
    below = page.pages if _SUB_IFDS in tags else None
    return any(_is_raw(p) for p in below or () if isinstance(p, TiffPage))


def _is_preview(page: TiffPage) -> bool:
    """Whether an image is a smaller copy of another one, or its mask."""
    return bool(int(page.subfiletype or 0) & 5)


def _places(page: TiffPage) -> list[tuple[int, int]]:
    """Offset and bytes of each strip or tile."""
    return list(zip(page.dataoffsets, page.databytecounts, strict=False))


def _extras(page: TiffPage) -> tuple[int, ...]:
    """What the samples beyond the colours are: 0 unknown, 1 or 2 alpha."""
    stated = tuple(map(int, page.extrasamples or ()))
    colours = _COLOURS.get(int(page.photometric or 0), 1)
    more = max(page.samplesperpixel - colours, 0)
    if page.photometric == SEPARATED and page.samplesperpixel < 4:
        return ()
    return (stated + (0,) * more)[:more]


def _alpha_place(page: TiffPage, extras: tuple[int, ...]) -> int | None:
    """The channel that is alpha, or None."""
    first = page.samplesperpixel - len(extras)
    return next((first + i for i, kind in enumerate(extras) if kind in (1, 2)), None)


def _array(page: TiffPage) -> np.ndarray:
    """The samples as they are stored, `H x W x C`."""
    value = None if page.dtype is None else _no_data(page, page.dtype)
    if value is not None:  # tifffile reads 0 of texts such as "-9999.0" for int16.
        page.nodata = value.item()
    stored = page.asarray(squeeze=False, maxworkers=1, buffersize=_BUFFER)
    # Planes, depth, rows, columns, samples.
    pixels = (
        stored[0, 0] if len(stored) == 1 else np.moveaxis(stored[:, 0, ..., 0], 0, -1)
    )
    if not pixels.dtype.isnative:
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    return np.ascontiguousarray(pixels)


def _whole_range(stored: np.ndarray, page: TiffPage, notes: list[str]) -> np.ndarray:
    """Unsigned samples of fewer bits than their type, scaled to its range."""
    if stored.dtype.kind == "b" and page.photometric != PALETTE:
        notes.append("1-bit expanded to 0 and 255")
        return stored.astype(np.uint8) * np.uint8(255)
    if stored.dtype.kind != "u" or page.photometric == PALETTE:
        return stored
    if stored.dtype.itemsize > 2:
        return stored
    return whole_range(stored, page.bitspersample, notes)


def _missing(stored: np.ndarray, page: TiffPage, notes: list[str]) -> np.ndarray | None:
    """Where the file has no data: NaN, infinity, or the value that GDAL names."""
    value = _no_data(page, stored.dtype)
    return nodata.missing_values(stored, notes, value=value)


def _no_data(page: TiffPage, dtype: np.dtype) -> np.ndarray | None:
    return nodata.stated_value(_geo_tags(page), dtype)


def _geo_tags(page: TiffPage) -> dict[int, Any]:
    return {tag: page.tags[tag].value for tag in GEO_TAGS if tag in page.tags}


def _georeference(page: TiffPage) -> dict[int, Any]:
    """The tags of a GeoTIFF, with the value for no data as it is in `Decoded.stored`.

    It is left out where that is not a single value.
    """
    found, dtype = _geo_tags(page), page.dtype
    value = None if dtype is None else nodata.stated_value(found, dtype)
    if value is None:
        return found
    bands = page.samplesperpixel - (_alpha_place(page, _extras(page)) is not None)
    pixel = _whole_range(np.full((1, 1, bands), value), page, [])
    if page.photometric == MINIMUM_IS_WHITE and pixel.dtype.kind != "f":
        pixel = _inverted(pixel, None)
    is_kept = page.photometric in (MINIMUM_IS_WHITE, MINIMUM_IS_BLACK, RGB, YCBCR)
    if not is_kept or (pixel != pixel[0, 0, 0]).any():
        del found[nodata.TAG]
    elif pixel[0, 0, 0] != value:
        found[nodata.TAG] = str(pixel[0, 0, 0])
    return found


def _inverted(stored: np.ndarray, missing: np.ndarray | None) -> np.ndarray:
    """Samples of which the smallest is white, so that the largest is."""
    if stored.dtype.kind == "u":
        np.subtract(np.iinfo(stored.dtype).max, stored[..., :1], out=stored[..., :1])
    elif stored.dtype.kind == "i":
        np.invert(stored[..., :1], out=stored[..., :1])
    elif missing is None or not missing.all():
        gray = stored[..., 0]
        known = slice(None) if missing is None else ~missing
        low, high = gray[known].min(), gray[known].max()
        low, high = (0, 1) if low >= 0 and high <= 1 else (low, high)
        gray[known] = low + (high - gray[known])
    return stored


def straight(stored: np.ndarray) -> np.ndarray:
    """Colour that was multiplied with alpha, the last channel, divided by it."""
    for row in range(len(stored)):
        alpha = stored[row, :, -1:]
        if stored.dtype.kind == "f":
            colour = stored[row, :, :-1] / np.where(alpha > 0, alpha, 1)
            stored[row, :, :-1] = np.where(alpha > 0, colour, 0)
            continue
        top = np.iinfo(stored.dtype).max
        wide = alpha.astype(np.uint64)
        quotient = stored[row, :, :-1] * np.uint64(top) + wide // np.uint64(2)
        quotient //= np.maximum(wide, 1)
        stored[row, :, :-1] = np.minimum(quotient, np.uint64(top))
    return stored


def _rgb_of_inks(stored: np.ndarray) -> np.ndarray:
    """CMYK, and any alpha behind it, as RGB: each ink takes its part of the light."""
    shape = (*stored.shape[:2], stored.shape[2] - 1)
    colour = np.empty(shape, stored.dtype)
    top: Any = 1 if stored.dtype.kind == "f" else np.iinfo(stored.dtype).max
    for row in range(len(stored)):
        light = 1 - stored[row, :, :4].astype(np.float64) / top
        rgb = top * light[:, :3] * light[:, 3:]
        colour[row, :, :3] = rgb if stored.dtype.kind == "f" else np.rint(rgb)
    colour[:, :, 3:] = stored[:, :, 4:]
    return colour
