"""Whether the strips and tiles of a TIFF hold all of a picture.

Decoders leave what is missing gray, black, or as the memory was before, or read on into
other data, and do not say so.

References:
  TIFF 6.0, sections 3, 15 and 22, and TIFF Technical Note 2 for JPEG.
  ITU-T T.6, for group 4.
"""

import bisect
import contextlib
import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

import imagecodecs
from tifffile import TiffPage

from kernelgan_jax.app.images import declared, jpeg_ends
from kernelgan_jax.app.images.tiff_pages import (
    BEHIND,
    CHUNKY,
    JPEG,
    LEFT_OUT,
    MISSING,
    NONE,
    PLANES,
    REVERSED,
    YCBCR,
    places,
)

_GROUP_3, _LZW, _OLD_JPEG = 3, 5, 6
"""Values of the tag Compression."""

_FAX_DECODERS = {
    2: imagecodecs.ccittrle_decode,
    _GROUP_3: imagecodecs.ccittfax3_decode,
    4: imagecodecs.ccittfax4_decode,
}
"""Decoders of facsimiles by the compression."""

_UNPACKERS: dict[int, Callable[[bytes, int], bytes | bytearray]] = {
    _LZW: lambda data, most: imagecodecs.lzw_decode(data, out=most),
    8: lambda data, most: zlib.decompressobj().decompress(data, most),
    32946: lambda data, most: zlib.decompressobj().decompress(data, most),
    32773: lambda data, _: imagecodecs.packbits_decode(data),  # 64 times as many.
}
"""Decoders of packed bytes by the compression, with how many are wanted at most."""

_T4_OPTIONS = 292
"""The tag that says more of group 3."""

_SUBSAMPLING = 530
"""The tag with the pixels that share a colour in YCbCr, across and down."""

_BYTE_COUNTS = (279, 325)
"""Tags with the bytes of each strip or tile."""

_JPEG_START = b"\xff\xd8"
"""The marker at the start of a JPEG."""

_WITH_STEPS, _STEPS = range(0xC0, 0xC3), b"\xff\xdb"
"""Kinds of JPEG with losses, and the marker of the tables that they need."""

_INCOMPLETE = "a part of the picture is missing"
_TOO_SMALL = f"{_INCOMPLETE}: strips or tiles are too small"
_UNCOUNTED = "the bytes of its strips or tiles are not stated"
"""What is wrong with files that are incomplete."""

_END_OF_GROUP_4 = 0x001001
"""The 24 bits behind a strip in group 4; not all programs write them."""

_END_OF_LZW = 257
"""The code behind a strip in LZW."""

_RUNS_OF_GROUP_4 = "00100011111" * 60
_OTHER_BITS = (
    "1" * 400,
    _RUNS_OF_GROUP_4,
    "1" * 12 + _RUNS_OF_GROUP_4,
    "000111010" * 200,
    "011111" * 200,
)
"""What is read as rows of different pixels if it stands behind too few."""


class _Part(NamedTuple):
    """A strip or tile, as far as it lies in the picture."""

    offset: int
    size: int
    """Its bytes as the file states them, or 0."""
    height: int
    width: int
    stored_bytes: int
    """Its bytes if they are not packed; a tile counts whole."""


def check_for_pillow(page: TiffPage, file: IO[bytes], notes: list[str]) -> None:
    """Checks what Pillow does not, before it reads an image.

    Args:
      page: The image.
      file: The open file that it lies in.
      notes: Get what is missing beside the picture.

    Raises:
      ValueError: If a part of the picture is not in the file.
    """
    if page.compression == _OLD_JPEG:  # Its places may be in other tags.
        return
    offsets = page.dataoffsets
    if len(offsets) < math.prod(page.chunked) or min(offsets) <= 0:
        raise ValueError(MISSING)
    # Pillow makes do without the numbers of bytes, and with some that are wrong.
    is_stated = states_counts(page)
    if page.compression != NONE:
        if is_stated and max(map(sum, places(page))) > file.seek(0, 2):
            raise ValueError(BEHIND)
        planes = page.samplesperpixel if page.planarconfig == PLANES else 1
        if not is_stated and math.prod(page.chunked) > planes:
            raise ValueError(_UNCOUNTED)
    check(page, file, notes)
    if page.photometric == YCBCR and page.compression in _UNPACKERS and is_stated:
        _check_unpacked(page, file)


def check(page: TiffPage, file: IO[bytes], notes: list[str]) -> None:
    """Checks what no decoder does of strips or tiles that are in the file.

    Arguments and errors are those of `check_for_pillow`.
    """
    if page.compression == NONE:
        _check_plain(page, file.seek(0, 2))
    elif page.compression == JPEG:
        _check_jpegs(page, file, notes)
    elif page.compression in _FAX_DECODERS:
        _check_faxes(page, file)
    elif page.compression == _LZW:
        _check_lzw(page, file)


def states_counts(page: TiffPage) -> bool:
    """Whether the bytes of strips or tiles are stated; tifffile guesses others."""
    return any(tag in page.tags for tag in _BYTE_COUNTS)


def _parts(page: TiffPage) -> Iterator[_Part]:
    """The strips or tiles that are not left out."""
    rows, columns = page.rowsperstrip, page.imagewidth
    if page.is_tiled:
        rows, columns = page.tilelength, page.tilewidth
    across = math.ceil(page.imagewidth / columns)
    down = math.ceil(page.imagelength / rows)
    samples = page.samplesperpixel if page.planarconfig == CHUNKY else 1
    row_bytes = math.ceil(columns * samples * page.bitspersample / 8)
    is_stated = states_counts(page)
    for index, place in enumerate(places(page)[: math.prod(page.chunked)]):
        if place == LEFT_OUT:
            continue
        top, left = index // across % down * rows, index % across * columns
        height = min(rows, page.imagelength - top)
        stored_bytes = (rows if page.is_tiled else height) * row_bytes
        width = min(columns, page.imagewidth - left)
        offset, count = place
        yield _Part(offset, count * is_stated, height, width, stored_bytes)


def _data(file: IO[bytes], part: _Part) -> bytes:
    """What a part holds, up to the end of the file if its bytes are not stated."""
    file.seek(part.offset)
    return file.read(part.size if part.size > 0 else -1)


def _codes(page: TiffPage, file: IO[bytes], part: _Part) -> bytes:
    """`_data` with the highest bit of a byte first, whatever the file's order."""
    data = _data(file, part)
    if page.fillorder == REVERSED:
        data = bytes(imagecodecs.bitorder_decode(data))
    return data


def _check_plain(page: TiffPage, size: int) -> None:
    """Checks strips and tiles that are not packed, in a file of some size.

    Raises:
      ValueError: If one is smaller than it should be, and something else follows.
    """
    parts = list(_parts(page))
    starts = sorted([page.offset, size, *(part.offset for part in parts)])
    for part in parts:
        if part.size < part.stored_bytes:
            behind = bisect.bisect_left(starts, part.offset) + 1
            end = part.offset + part.stored_bytes
            if behind < len(starts) and starts[behind] < end:
                raise ValueError(_TOO_SMALL)


def _check_jpegs(page: TiffPage, file: IO[bytes], notes: list[str]) -> None:
    """Checks that the JPEGs in an image's strips or tiles are whole.

    Raises:
      ValueError: If a part of the picture is missing.
    """
    # Planes of colour may be smaller than that of brightness.
    has_sides = page.planarconfig != PLANES or not page.is_subsampled
    tables = (page.jpegtables or _JPEG_START)[2:].rstrip(b"\0")  # They may be padded.
    tables = tables.removesuffix(jpeg_ends.END)
    found: list[str] = []
    for part in _parts(page):
        data = _data(file, part)
        if not data.startswith(_JPEG_START):  # For the decoder to refuse.
            continue
        frame = None
        with contextlib.suppress(struct.error):
            frame = declared.jpeg_frame(io.BytesIO(data))
        if frame is None:
            raise ValueError(_INCOMPLETE)
        if frame.code in _WITH_STEPS and _STEPS not in tables + data:
            raise ValueError("the tables of its JPEG are missing")
        is_smaller = frame.height < part.height or frame.width < part.width
        if has_sides and is_smaller:
            raise ValueError(_TOO_SMALL)
        jpeg_ends.with_end(io.BytesIO(_JPEG_START + tables + data[2:]), found)
    notes.extend(dict.fromkeys(found))


def _check_faxes(page: TiffPage, file: IO[bytes]) -> None:
    """Checks that strips or tiles in the codes of facsimiles have all their rows.

    Raises:
      ValueError: If what follows their data would be in the picture.
    """
    decode = _FAX_DECODERS[page.compression]
    options = {}
    if page.compression == _GROUP_3:
        options["t4options"] = page.tags.valueof(_T4_OPTIONS, 0)
    for part in _parts(page):
        data = _codes(page, file, part)
        width = page.tilewidth if page.is_tiled else part.width
        checks = set()
        for longer in (data, *_lengthened(data)):
            try:
                rows = decode(longer, part.height, width, **options)
                checks.add(zlib.crc32(rows.data))
            except RuntimeError:  # Its class has no public name.
                checks.add(-1)
        if len(checks) > 1:
            raise ValueError(_INCOMPLETE)


def _check_lzw(page: TiffPage, file: IO[bytes]) -> None:
    """Checks that no code of LZW is cut off: decoders take zeros for its other bits.

    Raises:
      ValueError: If what follows the data would be in the picture.
    """
    for part in _parts(page):
        data = _codes(page, file, part)
        last = int.from_bytes(data[-3:], "big")
        if last and last // (last & -last) & 0x1FF == _END_OF_LZW:
            continue  # Not all programs write it.
        with contextlib.suppress(RuntimeError):  # For the decoder to refuse.
            found, other = (
                imagecodecs.lzw_decode(data + more, out=part.stored_bytes)
                for more in (b"", b"\xff\xff")
            )
            if found[: part.stored_bytes] != other[: part.stored_bytes]:
                raise ValueError(_INCOMPLETE)


def _check_unpacked(page: TiffPage, file: IO[bytes]) -> None:
    """Checks that packed bytes can be unpacked, which Pillow does not need for YCbCr.

    Raises:
      Exception: Any of several, if they are damaged or too few.
    """
    across, down = page.tags.valueof(_SUBSAMPLING, (2, 2))
    for part in _parts(page):
        blocks = math.ceil(part.width / across) * math.ceil(part.height / down)
        needed = blocks * (across * down + 2) if page.planarconfig == CHUNKY else 1
        data = _codes(page, file, part)
        # A byte more, so that what checks the others is read; a bomb has many more.
        if len(_UNPACKERS[page.compression](data, needed + 1)) < needed:
            raise ValueError(_INCOMPLETE)


def _lengthened(data: bytes) -> Iterator[bytes]:
    """The data of a facsimile with other bits behind them, in place of their end."""
    number, length = int.from_bytes(data, "big"), 8 * len(data)
    zeros = (number & -number).bit_length() - 1 if number else 0
    if number >> zeros & 0xFFFFFF == _END_OF_GROUP_4:  # Else zeros may be of a code.
        number, length = number >> (zeros + 24), length - (zeros + 24)
    for bits in _OTHER_BITS:
        total = length + len(bits)
        padded = (number << len(bits) | int(bits, 2)) << -total % 8
        yield padded.to_bytes(math.ceil(total / 8), "big")
