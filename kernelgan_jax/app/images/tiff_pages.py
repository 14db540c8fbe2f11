"""The pages of a TIFF file, and what their tags say of the samples."""

import copy
import math
import struct
from typing import IO, Any

import numpy as np
from tifffile import TiffFile, TiffPage

from kernelgan_jax.app.files import Clipped
from kernelgan_jax.app.images.image import UnusableError
from kernelgan_jax.app.images.metadata import Spliced

MINIMUM_IS_WHITE, MINIMUM_IS_BLACK, RGB, PALETTE, MASK, SEPARATED, YCBCR = range(7)
"""Values of the tag PhotometricInterpretation."""

_CAMERA_RAW = {32803, 34892}
"""Values of PhotometricInterpretation in raw files: colour filters, linear raw."""

_COLOURS = {RGB: 3, SEPARATED: 4, YCBCR: 3, 8: 3, 9: 3, 10: 3}
"""Samples of a pixel for kinds of colour that have more than one."""

_DNG_VERSION, _CFA_PATTERN, _NIKON_NEF = 50706, 33422, 34713
_WIDTH, PHOTOMETRIC, _SUB_IFDS, _INK_SET = 256, 262, 330, 332
_ROWS_PER_STRIP = 278
"""Numbers of tags."""

_MOST_ROWS = 2**16
"""Rows of the highest strip of which there are several; more stand for a single one."""

NONE, JPEG = 1, 7
"""Values of the tag Compression."""

CHUNKY, PLANES = 1, 2
"""Planar configurations: samples side by side, or in a plane for each channel."""

REVERSED = 2
"""The fill order of bits of which the lowest in a byte comes first."""

BEHIND = "pixels lie behind the end of the file"
MISSING = "strips or tiles are missing"
"""What is wrong with files that are incomplete."""

_BUFFER = 2**22
"""Bytes of a file that are read at a time."""

_NOT_CMYK = 2
"""Value of the tag InkSet."""

LEFT_OUT = (0, 0)
"""Offset and bytes of a strip or tile that GDAL has left out, as it has only zeros or
no data; tifffile fills it so."""


def whole_pages(file: TiffFile) -> list[TiffPage]:
    """The pages up to the first that is damaged, or that a later one points back to:
    what follows may be endless."""
    pages: list[TiffPage] = []
    seen = set()
    for page in file.pages:
        if not isinstance(page, TiffPage) or _WIDTH not in page.tags:
            break
        if page.offset in seen:  # tifffile would go round for ever.
            break
        seen.add(page.offset)
        pages.append(page)
    return pages


def next_offset(file: TiffFile, offset: int) -> int:
    """Where the page behind the one at an offset lies.

    It is 0 if there is none, and the size of the file if that ends before.
    """
    count, entry, link = ("Q", 20, "Q") if file.is_bigtiff else ("H", 12, "I")
    handle = file.filehandle
    number, place = 0, offset
    for code in (count, link):
        field = struct.Struct(file.byteorder + code)
        if place + field.size > handle.size:
            return int(handle.size)
        handle.seek(place)
        (number,) = field.unpack(handle.read(field.size))
        place += field.size + entry * number
    return int(number)


class _Alone(Spliced):
    """A file that begins with another page; libtiff is told where that is."""

    def fileno(self) -> int:
        return self._file.fileno()


def alone(tiff: TiffFile, page: TiffPage, file: IO[bytes]) -> Clipped:
    """The open file as if a page were its first one: Pillow reads all before it."""
    start, link = (8, "Q") if tiff.is_bigtiff else (4, "I")
    first = struct.pack(tiff.byteorder + link, page.offset)
    behind = start + len(first)
    rest = behind, file.seek(0, 2) - behind
    return Clipped(_Alone(file, [(0, start), first, rest]))


def _is_endless(file: TiffFile, page: TiffPage) -> bool:
    """Whether what follows a page leads back, so that it has no end."""
    seen, offset = set[int](), page.offset
    while 0 < offset < file.filehandle.size and offset not in seen:
        seen.add(offset)
        offset = next_offset(file, offset)
    return offset in seen


def stacked(file: TiffFile, page: TiffPage) -> int:
    """The number of pictures that lie one behind the other.

    Only the first one has tags, in stacks of MetaMorph, in those of ImageJ of more than
    4 GB, and in those of tifffile on demand.
    """
    is_known = file.is_imagej or file.is_shaped or file.is_stk
    if not (page.is_contiguous and is_known) or _is_endless(file, page):
        return 1
    try:
        found = file.series[0]
    except Exception:  # A description that only looks like that of a stack.
        return 1
    return found.size // page.size if found.is_truncated and page.size else 1


def behind(page: TiffPage, number: int) -> TiffPage:
    """The page of a picture in such a stack, counted from 0."""
    found = copy.copy(page)
    found.dataoffsets = tuple(at + number * page.nbytes for at in page.dataoffsets)
    return found


def check_depth(page: TiffPage) -> None:
    """Raises an error if samples have depths that tifffile reads wrong."""
    bits: Any = page.bitspersample
    problem = ""
    if not isinstance(bits, int):
        problem = f"samples of different depths ({', '.join(map(str, bits))} bits)"
    elif bits == 24 and page.dtype is not None and page.dtype.kind in "ui":
        problem = "integers of 24 bits"
    if problem:
        raise UnusableError(
            f"is a TIFF with {problem}; export it with 8 or 16 bits for each sample"
        )


def samples(page: TiffPage) -> np.ndarray:
    """The samples as they are stored, `H x W x C`."""
    if page.compression != JPEG and photometric(page) != YCBCR:
        page.subsampling = None  # It means nothing there, and tifffile refuses it.
    try:
        stored = _unpacked(page)
    except Exception:  # Each decompressor has its own for what is too large.
        whole = _with_whole_strips(page)
        if whole is None:
            raise
        stored = _unpacked(whole)[:, :, : page.imagelength]
    pixels = (
        stored[0, 0] if len(stored) == 1 else np.moveaxis(stored[:, 0, ..., 0], 0, -1)
    )
    if not pixels.dtype.isnative:
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    return np.ascontiguousarray(pixels)


def _unpacked(page: TiffPage) -> np.ndarray:
    """The samples as they are stored: planes x depth x rows x columns x samples."""
    return page.asarray(squeeze=False, maxworkers=1, buffersize=_BUFFER)


def _with_whole_strips(page: TiffPage) -> TiffPage | None:
    """The page with as many rows as its strips have if the last one is not cut.

    Some programs write it so. None if all strips are as high as the others anyway.
    """
    rows = page.tags.valueof(_ROWS_PER_STRIP, page.rowsperstrip)
    added = -page.imagelength % rows if 0 < rows <= _MOST_ROWS else 0
    if page.is_tiled or not added:
        return None
    found = copy.copy(page)
    for of_the_height in ("hash", "decode"):  # Kept once they are known.
        found.__dict__.pop(of_the_height, None)
    found.rowsperstrip = rows  # Not only those that are in the picture.
    found.imagelength += added
    planes, depth, _, width, samples = page.shaped
    found.shaped = planes, depth, found.imagelength, width, samples
    return found


def is_raw(page: TiffPage) -> bool:
    """Whether an image, or one below it, is of a camera's sensor."""
    tags = page.tags
    if _DNG_VERSION in tags or _CFA_PATTERN in tags:
        return True
    if page.photometric in _CAMERA_RAW or page.compression == _NIKON_NEF:
        return True
    below = page.pages if _SUB_IFDS in tags else None
    return any(is_raw(p) for p in below or () if isinstance(p, TiffPage))


def is_preview(page: TiffPage) -> bool:
    """Whether an image is a smaller copy of another one, or its mask."""
    return bool(int(page.subfiletype or 0) & 5)


def below(previews: list[TiffPage]) -> list[TiffPage]:
    """The images of which these are the previews, where a file keeps them below."""
    pages = [page.pages for page in previews if _SUB_IFDS in page.tags]
    found = [p for part in pages for p in part or () if isinstance(p, TiffPage)]
    return [page for page in found if not is_preview(page)]


def places(page: TiffPage) -> list[tuple[int, int]]:
    """Offset and bytes of each strip or tile."""
    return list(zip(page.dataoffsets, page.databytecounts, strict=False))


def written(page: TiffPage) -> list[tuple[int, int]]:
    """The places of the strips or tiles that are in the file.

    Raises:
      ValueError: If there are not as many as the image needs.
    """
    needed, stated = math.prod(page.chunked), places(page)
    found = [place for place in stated if place != LEFT_OUT]
    if len(stated) < needed or not found or min(map(min, found)) <= 0:
        raise ValueError(MISSING)
    return found


def photometric(page: TiffPage) -> int:
    """The kind of colour.

    Inks other than those of CMYK are bands.

    A file that does not say it is RGB if it has three samples apart from extra ones,
    and else gray or bands of which the smallest is black.
    """
    if PHOTOMETRIC in page.tags:
        kind = int(page.photometric or 0)
        is_other = kind == SEPARATED and page.tags.valueof(_INK_SET) == _NOT_CMYK
        return MINIMUM_IS_BLACK if is_other else kind
    is_rgb = page.samplesperpixel - len(page.extrasamples or ()) == _COLOURS[RGB]
    return RGB if is_rgb else MINIMUM_IS_BLACK


def extras(page: TiffPage) -> tuple[int, ...]:
    """What the samples beyond the colours are: 0 unknown, 1 or 2 alpha."""
    kind = photometric(page)
    stated = tuple(map(int, page.extrasamples or ()))
    more = max(page.samplesperpixel - _COLOURS.get(kind, 1), 0)
    if kind == SEPARATED and page.samplesperpixel < 4:
        return ()
    return (stated + (0,) * more)[:more]


def has_small_colours(page: TiffPage) -> bool:
    """Whether a palette has 8 bits for each colour, as of old programs, and not 16."""
    colours = page.colormap
    return colours is not None and bool(colours.max(initial=0) < 256)


def alpha_place(page: TiffPage) -> int | None:
    """The channel that is alpha, or None."""
    found = extras(page)
    first = page.samplesperpixel - len(found)
    return next((first + i for i, kind in enumerate(found) if kind in (1, 2)), None)
