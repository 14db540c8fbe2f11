"""Decoding TIFF files by their tags: any depth, type, layout and number of bands.

Pillow reads what has 8 bits and is not packed, and YCbCr; this module all others.
"""

import dataclasses
import logging
from collections.abc import Collection
from fractions import Fraction
from typing import IO, Any, cast

import numpy as np
from PIL import Image as pillow
from tifffile import TIFF, TiffFile, TiffPage

from kernelgan_jax.app.files import Reopened
from kernelgan_jax.app.images import (
    exif,
    inks,
    nodata,
    tiff_masks,
    tiff_pages,
    tiff_strips,
)
from kernelgan_jax.app.images.declared import Declared
from kernelgan_jax.app.images.image import UnusableError
from kernelgan_jax.app.images.image_kinds import RAW
from kernelgan_jax.app.images.metadata import GEO_TAGS, Metadata
from kernelgan_jax.app.images.netpbm import whole_range
from kernelgan_jax.app.images.tiff_pages import (
    LEFT_OUT,
    MASK,
    MINIMUM_IS_BLACK,
    MINIMUM_IS_WHITE,
    PALETTE,
    RGB,
    SEPARATED,
    YCBCR,
)

_ICC, _XMP, _RESOLUTION, _RESOLUTION_UNIT = 34675, 700, (282, 283), 296
_IPTC, _PHOTOSHOP = 33723, (34377, 37724)
"""Numbers of tags."""

_EXPANSION = {1: 1, 5: 1500, 32773: 130, 8: 1100, 32946: 1100, 50013: 1100}
"""For some compressions, how many bytes may at most come out of one; a file that
promises more is damaged."""

_OF_PILLOW = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)
"""Compressions that Pillow reads, whatever libtiff it comes with."""

_MAX_EXPANSION = 50_000
"""The same for the other compressions."""

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
    """As `Image.missing`."""
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
        self._current = Reopened(file)
        self._file = TiffFile(cast("IO[bytes]", self._current))
        self._max_pixels = max_pixels
        pages = tiff_pages.whole_pages(self._file)
        if not pages:
            raise ValueError("no image with a size")
        if any(map(tiff_pages.is_raw, pages)):
            raise UnusableError(RAW)
        self.is_cut_off = tiff_pages.next_offset(self._file, pages[-1].offset) > 0
        """Whether what follows the last image is damaged or missing."""
        whole = [page for page in pages if not tiff_pages.is_preview(page)]
        below = [] if whole else tiff_pages.below(pages)
        self.pages = whole or below or pages[:1]
        """The images, without previews and masks."""
        self._masks = tiff_masks.masks_of(pages)
        used = len(self.pages) + len(self._masks)
        self.left_out = len(pages) - (0 if below else used)
        self._above = pages[0] if below else None
        """The preview below which the images lie, where Pillow sees none, or None. It
        has what cameras say of them."""
        self._is_stack = False
        """Whether only the first of the images has tags."""
        if len(pages) == 1 and (count := tiff_pages.stacked(self._file, pages[0])) > 1:
            start, size = pages[0].dataoffsets[0], pages[0].nbytes
            held = max((self._file.filehandle.size - start) // size, 1)
            self.is_cut_off |= held < count
            self._is_stack = True
            self.pages *= min(held, count)

    def reopen(self, file: IO[bytes]) -> None:
        """Goes on with the same file, which was closed and opened again."""
        self._current.file = file

    def alone(self, frame: int) -> IO[bytes]:
        """The file as if an image were its first one."""
        return tiff_pages.alone(self._file, self.pages[frame], self._current.file)

    def is_for_pillow(self, frame: int) -> bool:
        """Whether Pillow reads this image without a loss."""
        page = self.pages[frame]
        if self._is_stack or self._above is not None:
            return False
        bits = page.bitspersample
        if bits not in (1, 2, 4, 8) or page.sampleformat not in (1, 4):
            return False
        if page.imagedepth != 1 or page.compression not in _OF_PILLOW:
            return False
        if LEFT_OUT in tiff_pages.places(page):
            return False
        kind, extras = tiff_pages.photometric(page), tiff_pages.extras(page)
        if kind != YCBCR and page.compression != tiff_pages.NONE:
            if tiff_strips.states_counts(page) and min(page.databytecounts) > 0:
                return False  # libtiff prints what it finds wrong, or goes on.
        if tiff_pages.PHOTOMETRIC not in page.tags:
            return False  # Taken for white as zero.
        if page.photometric == YCBCR and page.compression == tiff_pages.NONE:
            return False  # Taken for RGB, of 4 bytes each.
        if extras and page.planarconfig == tiff_pages.PLANES:
            return False  # Of the two planes of gray and alpha it misses one.
        if kind in (YCBCR, 8, 9, 10):
            return not extras
        if nodata.TAG in page.tags:
            return False
        if kind == PALETTE:
            return not extras and not tiff_pages.has_small_colours(page)
        if (
            kind == MINIMUM_IS_WHITE
            and page.fillorder == tiff_pages.REVERSED
            and bits == 8
        ):
            return False
        colours = {0: 1, 1: 1, 2: 3, 5: 4}.get(kind, 0)
        is_plain = page.samplesperpixel == colours + len(extras)
        # Samples of unknown meaning are bands, which Pillow drops.
        return is_plain and extras in ((), (2,))

    def read(self, frame: int, notes: list[str]) -> Decoded:
        """Reads one image.

        Raises:
          UnusableError: If its layout is not supported.
        """
        page = self.pages[frame]
        if self._is_stack:
            page = tiff_pages.behind(page, frame)
        kind = tiff_pages.photometric(page)
        self._check(page)
        tiff_strips.check(page, self._current.file, notes)
        if empty := tiff_pages.places(page).count(LEFT_OUT):
            notes.append(f"{empty} strips or tiles are empty")
        stored, alpha = _alpha_last(_array(page), page)
        has_alpha = alpha > 0
        colours = stored.shape[2] - has_alpha
        usual = {RGB: 3, YCBCR: 3, SEPARATED: 4, PALETTE: colours}.get(kind, 1)
        bands = colours != usual and (kind, colours) != (SEPARATED, 1)
        missing = nodata.missing_values(
            stored[:, :, :colours],
            notes,
            value=_no_data(page, stored.dtype),
            bands=bands,
        )
        if kind == PALETTE:
            notes.append("palette expanded")
            stored = _of_palette(stored, page, has_alpha=has_alpha)
            return Decoded(stored, has_alpha, missing=missing)
        stored = _whole_range(stored, page, notes)
        if kind == MINIMUM_IS_WHITE:
            stored = _inverted(stored, missing)
        if alpha == 1:
            straighten(stored, notes)
        if kind == SEPARATED and colours == 4:
            stored = inks.to_rgb(stored, page.tags.valueof(_ICC), notes)
            return Decoded(stored, has_alpha, missing=missing, keeps_profile=False)
        if bands:
            notes.append(f"{colours} bands, all of them used")
        rgb_first = kind == RGB and colours > 3
        return Decoded(stored, has_alpha, bands, rgb_first, missing)

    def hide(
        self, frame: int, decoded: Decoded, notes: list[str], *, orientation: int
    ) -> None:
        """Makes transparent what the image's mask hides, if it has one."""
        page = self._masks.get(self.pages[frame].offset)
        if page is None:
            return
        self._check(page, kinds={MINIMUM_IS_WHITE, MINIMUM_IS_BLACK, MASK})
        tiff_strips.check(page, self._current.file, notes)
        hidden = tiff_pages.samples(page) == 0
        if decoded.is_turned:
            hidden = exif.upright(hidden, orientation)
        if hidden.any():
            has_alpha = decoded.has_alpha
            decoded.stored = tiff_masks.hide(
                decoded.stored, hidden, has_alpha=has_alpha
            )
            decoded.has_alpha = True
            notes.append("mask made alpha")

    def declared(self, frame: int) -> Declared:
        """Sides and depth of an image; a tile counts whole."""
        page = self.pages[frame]
        tiff_pages.check_depth(page)
        width = max(page.imagewidth, page.tilewidth)
        height = max(page.imagelength, page.tilelength)
        return Declared(width, height, page.bitspersample * page.samplesperpixel)

    def metadata(self, frame: int) -> Metadata:
        """ICC profile, XMP packet, density and georeference of an image."""
        tags = self.pages[frame].tags
        icc, xmp = tags.valueof(_ICC), self._of_camera(frame, _XMP)
        found = Metadata(
            icc if isinstance(icc, bytes) and icc else None,
            xmp=xmp if isinstance(xmp, bytes) and xmp else None,
        )
        found.geo = _georeference(self.pages[frame])
        found.left_out = (
            "IPTC" if _IPTC in tags else "",
            "data of Photoshop" if any(tag in tags for tag in _PHOTOSHOP) else "",
        )
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
        return exif.stated_orientation(self._of_camera(frame, exif.ORIENTATION))

    def _of_camera(self, frame: int, tag: int) -> Any:
        """A tag of the preview above an image, or else its own; None without both."""
        above = None if self._above is None else self._above.tags.valueof(tag)
        return self.pages[frame].tags.valueof(tag) if above is None else above

    def exif(self, file: IO[bytes], frame: int) -> pillow.Exif:
        """The tags of an image in the open file, as Pillow reads them.

        Raises:
          Exception: Any of several, if they are damaged.
        """
        page, order = self._above or self.pages[frame], self._file.byteorder
        if self._file.is_bigtiff:
            return exif.of_big_tiff(file, page.offset, order=order)
        found = pillow.Exif()
        found.endian = order
        found.load_from_fp(file, page.offset)
        return found

    def check_for_pillow(self, frame: int, notes: list[str]) -> None:
        """Raises an error if a part of an image is missing."""
        file = self._current.file
        tiff_strips.check_for_pillow(self.pages[frame], file, notes)

    def _check(
        self, page: TiffPage, *, kinds: Collection[int] = (0, 1, 2, 3, 4, 5)
    ) -> None:
        """Raises an error unless the image's layout and size are supported."""
        tiff_pages.check_depth(page)
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
        known = set(kinds)
        in_one = page.planarconfig == tiff_pages.CHUNKY
        if page.compression == tiff_pages.JPEG and page.bitspersample == 8 and in_one:
            known.add(YCBCR)  # The decoder makes RGB of it, but not plane by plane.
        dtype = page.dtype
        if (
            tiff_pages.photometric(page) not in known
            or dtype is None
            or dtype.kind not in "uifb"
            or page.imagedepth != 1
            or page.compression not in TIFF.DECOMPRESSORS
        ):
            raise UnusableError(
                f"is a TIFF of a layout that is not supported ({layout}); export it as "
                "RGB"
            )
        written = tiff_pages.written(page)
        if max(map(sum, written)) > self._file.filehandle.size:
            raise ValueError(tiff_pages.BEHIND)
        limit = _EXPANSION.get(int(page.compression), _MAX_EXPANSION)
        promised = page.nbytes * min(page.bitspersample / 8 / dtype.itemsize, 1)
        promised *= len(written) / len(tiff_pages.places(page))
        held = sum(count for _, count in written)
        if promised > limit * held + 2**16:
            raise ValueError(f"{held} bytes for {page.nbytes} bytes of pixels")


def _array(page: TiffPage) -> np.ndarray:
    """The samples as they are stored, `H x W x C`."""
    value = None if page.dtype is None else _no_data(page, page.dtype)
    if value is not None:  # tifffile reads 0 of texts such as "-9999.0" for int16.
        page.nodata = value.item()
    return tiff_pages.samples(page)


def _whole_range(stored: np.ndarray, page: TiffPage, notes: list[str]) -> np.ndarray:
    """Unsigned samples of fewer bits than their type, scaled to its range."""
    if stored.dtype.kind == "b":
        notes.append("1-bit expanded to 0 and 255")
        return stored.astype(np.uint8) * np.uint8(255)
    if stored.dtype.kind != "u" or stored.dtype.itemsize > 2:
        return stored
    return whole_range(stored, page.bitspersample, notes)


def _alpha_last(stored: np.ndarray, page: TiffPage) -> tuple[np.ndarray, int]:
    """Samples with any alpha as the last channel, and its kind in ExtraSamples.

    That is 1 where colours are multiplied with it, else 2, and 0 without alpha.
    """
    place = tiff_pages.alpha_place(page)
    if place is None:
        return stored, 0
    if place < stored.shape[2] - 1:
        others = np.delete(stored, place, axis=2)
        stored = np.concatenate([others, stored[:, :, [place]]], axis=2)
    return stored, tiff_pages.extras(page)[place - page.samplesperpixel]


def _of_palette(stored: np.ndarray, page: TiffPage, *, has_alpha: bool) -> np.ndarray:
    """The colours whose numbers are in the first channel, with alpha behind them.

    Alpha has no part in a palette's colours, so that none is premultiplied.
    """
    colormap = page.colormap
    if colormap is None:
        raise ValueError("no palette")
    if tiff_pages.has_small_colours(page):
        colormap = colormap * np.uint16(257)
    if page.bitspersample <= 8:  # As Pillow reads it.
        colormap = (colormap >> 8).astype(np.uint8)
    stored = stored.view(np.uint8) if stored.dtype.kind == "b" else stored
    colours = np.empty((*stored.shape[:2], 3), colormap.dtype)
    for row, numbers in zip(colours, stored[:, :, 0], strict=True):
        row[...] = colormap.T[numbers]  # Of all at once, numbers would take 8 bytes.
    if not has_alpha:
        return colours
    alpha = whole_range(stored[:, :, -1:], page.bitspersample, [])
    return np.concatenate([colours, alpha], axis=2)


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
    kind = tiff_pages.photometric(page)
    is_kept = kind in (MINIMUM_IS_WHITE, MINIMUM_IS_BLACK, RGB, YCBCR)
    bands = page.samplesperpixel - (tiff_pages.alpha_place(page) is not None)
    pixel = np.full((1, 1, bands), value)
    if is_kept:
        pixel = _whole_range(pixel, page, [])
    if kind == MINIMUM_IS_WHITE and pixel.dtype.kind != "f":
        pixel = _inverted(pixel, None)
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
    elif missing is None or not missing[..., 0].all():
        gray = stored[..., 0]
        known = slice(None) if missing is None else ~missing[..., 0]
        low, high = gray[known].min(), gray[known].max()
        low, high = (0, 1) if low >= 0 and high <= 1 else (low, high)
        gray[known] = low + (high - gray[known])
    return stored


def straighten(stored: np.ndarray, notes: list[str]) -> None:
    """Divides colour by alpha, the last channel, with which it was multiplied."""
    notes.append("premultiplied alpha divided out")
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
