"""What the first bytes of an image file declare: sides, depth, compression.

Only headers are read, so that no damaged or malicious file costs memory here. What
kinds of files look like stands in their specifications: PNG, TIFF 6.0 and BigTIFF,
JPEG, GIF, BMP, WebP, Netpbm and PFM, ISO/IEC 23008-12 (HEIC, AVIF) and ISO/IEC 18181-1
(JPEG XL).
"""

import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

from kernelgan_jax.app.images import jpegxl_header, netpbm
from kernelgan_jax.app.images.image_kinds import PNG_START, TIFF_STARTS, kind_of

PEAK = 2.75
"""Memory that decoding takes, as a multiple of the decoded image; measured by
benchmarks/reading.py."""

_TIFF_COMPRESSIONS = {
    1: "none", 5: "lzw", 8: "deflate", 32773: "packbits", 32946: "deflate",
}  # fmt: skip
_TIFF_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}
"""Bytes of the types of whole numbers in a TIFF."""

_JPEG2000_HEAD = 2**20
"""Bytes at the start of a JPEG 2000 in which its codestream begins."""

_MOST_BOXES = 1000
"""Boxes of a container that are looked at."""


CODESTREAM = b"\xff\x4f\xff\x51"
"""Start of the codestream of a JPEG 2000."""


JPEG_LS = 0xF7
"""Marker of the frame of a JPEG-LS."""


class Declared(NamedTuple):
    """What the first bytes of an image file declare."""

    width: int
    height: int
    bits: int
    """Bits of a pixel as it is stored."""
    compression: str = ""
    """A key of the known limits; empty if there is no limit."""

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def stored_bytes(self) -> int:
        """Bytes of the pixels, unpacked."""
        return self.pixels * self.bits // 8

    @property
    def peak_bytes(self) -> float:
        """Memory that decoding takes; up to 8 bits in a palette become 24."""
        bits = 24 if self.bits <= 8 else self.bits
        return PEAK * self.pixels * bits / 8


def read(file: IO[bytes]) -> Declared | None:
    """What an image file declares; None for unknown kinds and damaged starts."""
    file.seek(0)
    head = file.read(netpbm.HEAD)
    kind = kind_of(head[:32])
    try:
        if head.startswith(PNG_START):
            width, height, depth, colour = struct.unpack_from(">IIBB", head, 16)
            channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 4)
            return Declared(width, height, depth * channels, "deflate")
        if head.startswith(TIFF_STARTS):
            return _tiff(file, head)
        if head.startswith(b"\xff\xd8"):
            return _jpeg(file)
        if head.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", head, 6)
            return Declared(width, height, 8, "lzw")
        if head.startswith(b"BM") and head[14] >= 40:
            width, height, _, bits, packing = struct.unpack_from("<iiHHI", head, 18)
            kind = {0: "none", 1: "packbits", 2: "packbits"}.get(packing, "")
            return Declared(abs(width), abs(height), bits, kind)
        if head.startswith(b"RIFF") and head[8:12] == b"WEBP" and len(head) >= 30:
            return _webp(head)
        if kind in ("avif", "heic"):
            return _heif(file)
        if kind == "jpegxl":
            return _jpegxl(file)
        if kind == "jpeg2000":
            file.seek(0)
            size = jpeg2000_size(file.read(_JPEG2000_HEAD))
            if size is None:
                return None
            # The decoder has 32 bits for each sample beside the result.
            bits = size.channels * (16 if size.depth <= 8 else 18)
            return Declared(size.width, size.height, bits)
        if head[:1] == b"P":
            return _netpbm(head)
    except (struct.error, IndexError, OverflowError, OSError, ValueError):
        pass
    return None


class Jpeg2000(NamedTuple):
    """What the codestream of a JPEG 2000 declares."""

    width: int
    height: int
    channels: int
    depth: int
    """Bits of a sample."""


def jpeg2000_size(data: bytes) -> Jpeg2000 | None:
    """Sides and depth of a JPEG 2000; None if there are none."""
    start = data.find(CODESTREAM)
    if start < 0:
        return None
    fields = struct.unpack_from(">HHIIIIIIIIHB", data, start + 4)
    right, bottom, left, top = fields[2:6]
    return Jpeg2000(right - left, bottom - top, fields[10], (fields[11] & 127) + 1)


def _tiff(file: IO[bytes], head: bytes) -> Declared | None:
    """The first page of a TIFF or BigTIFF."""
    order, is_big = "<" if head[:1] == b"I" else ">", b"+" in head[:4]
    offset, count, entry = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    (start,) = struct.unpack_from(f"{order}{offset}", head, 8 if is_big else 4)
    file.seek(start)
    (number,) = struct.unpack(
        f"{order}{count}", file.read(struct.calcsize(f"{order}{count}"))
    )
    tags = {}
    for _ in range(min(number, 1000)):
        data = file.read(entry)
        tag, kind = struct.unpack_from(f"{order}HH", data)
        (values,) = struct.unpack_from(f"{order}{offset}", data, 4)
        letter = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if letter is None or values < 1:
            continue
        at = 12 if is_big else 8
        if values * _TIFF_SIZES[kind] > entry - at:  # elsewhere, such as bits 8, 8, 8
            (place,) = struct.unpack_from(f"{order}{offset}", data, at)
            here = file.tell()
            file.seek(place)
            data, at = file.read(8), 0
            file.seek(here)
        (tags[tag],) = struct.unpack_from(f"{order}{letter}", data, at)
    if not {256, 257} <= tags.keys():
        return None
    compression = _TIFF_COMPRESSIONS.get(tags.get(259, 1), "")
    bits = tags.get(258, 1) * tags.get(277, 1)
    # A tile is unpacked whole, however little of it lies in the image.
    width, height = (max(tags[256 + i], tags.get(322 + i, 0)) for i in (0, 1))
    return Declared(width, height, bits, compression)


class JpegFrame(NamedTuple):
    """What the frame of a JPEG declares."""

    code: int
    """The marker, which names the kind of compression."""
    bits: int
    """Bits of a sample."""
    height: int
    width: int
    channels: int


def _jpeg(file: IO[bytes]) -> Declared | None:
    found = jpeg_frame(file)
    if found is None:
        return None
    return Declared(found.width, found.height, found.bits * found.channels)


def jpeg_frame(file: IO[bytes]) -> JpegFrame | None:
    """The frame of a JPEG, behind any number of other segments; None if there is none.

    Raises:
      struct.error: If it is cut off.
    """
    file.seek(2)
    for _ in range(10000):
        marker = file.read(1)
        while marker == b"\xff":
            marker = file.read(1)
        if not marker:
            return None
        code = marker[0]
        if code == 0xDA:
            return None
        if code == JPEG_LS or 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            return JpegFrame(code, *struct.unpack(">HBHHB", file.read(8))[1:])
        if code not in (0, 1) and not 0xD0 <= code <= 0xD8:
            (length,) = struct.unpack(">H", file.read(2))
            file.seek(max(length - 2, 0), 1)
    return None


def _webp(head: bytes) -> Declared | None:
    bits = 32
    if head[12:16] == b"VP8X":
        bits = 48 if head[20] & 2 else 32  # An animation takes half as much again.
        width = 1 + int.from_bytes(head[24:27], "little")
        height = 1 + int.from_bytes(head[27:30], "little")
    elif head[12:16] == b"VP8L":
        sides = int.from_bytes(head[21:25], "little")
        width, height = 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    elif head[12:16] == b"VP8 ":
        width, height = (x & 0x3FFF for x in struct.unpack_from("<HH", head, 26))
    else:
        return None
    return Declared(width, height, bits)


def _netpbm(head: bytes) -> Declared | None:
    """PBM, PGM, PPM and PFM."""
    found = netpbm.header(head)
    if found is None:
        return None
    each = 32 if found.kind in (b"Pf", b"PF") else 16 if found.white > 255 else 8
    # Text takes no fewer bytes than the samples; bits take an eighth.
    kind = "" if found.kind == b"P4" else "none"
    return Declared(found.width, found.height, each * found.channels, kind)


# --- Containers of boxes: HEIC, AVIF, JPEG XL ---


def boxes(file: IO[bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two places: kind, where its content starts, where it ends."""
    for _ in range(_MOST_BOXES):
        if start + 8 > end:  # So far away that it may be no place in a file.
            return
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, content = int.from_bytes(head[:4], "big"), start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:], "big"), start + 16
        stop = start + size if size else end
        if stop < content:
            return
        yield head[4:8], content, min(stop, end)
        start = stop


def _heif(file: IO[bytes]) -> Declared | None:
    """The largest picture of a HEIC or AVIF: that of which others are tiles."""
    sides, depth = [], 8
    places = [(0, file.seek(0, 2))]
    for name in (b"meta", b"iprp", b"ipco"):
        skipped = 4 if name == b"meta" else 0  # version and flags
        places = [
            (start + skipped, end)
            for place in places
            for kind, start, end in boxes(file, *place)
            if kind == name
        ]
    for place in places:
        for kind, start, _ in boxes(file, *place):
            file.seek(start + 4)
            if kind == b"ispe":
                sides.append(struct.unpack(">II", file.read(8)))
            elif kind == b"pixi":
                depths = file.read(1 + 4)
                depth = max([depth, *depths[1 : 1 + depths[0]]])
    if not sides:
        return None
    width, height = max(sides, key=lambda side: side[0] * side[1])
    return Declared(width, height, 4 * (8 if depth <= 8 else 16))


def read_jpegxl(file: IO[bytes]) -> jpegxl_header.JpegXl | None:
    """The headers of a JPEG XL, bare or in a container; None if there are none.

    Raises:
      ValueError: If they are cut off.
    """
    file.seek(0)
    data = file.read(netpbm.HEAD)
    if not data.startswith(jpegxl_header.START):
        data = b""
        for kind, start, end in boxes(file, 0, file.seek(0, 2)):
            if kind in (b"jxlc", b"jxlp"):  # Each of several parts has a number.
                start += 4 * (kind == b"jxlp")
                file.seek(start)
                data += file.read(min(netpbm.HEAD, max(end - start, 0)))
            if len(data) >= netpbm.HEAD:
                break
    return jpegxl_header.header(data) if data.startswith(jpegxl_header.START) else None


def _jpegxl(file: IO[bytes]) -> Declared | None:
    found = read_jpegxl(file)
    if found is None:
        return None
    each = next(size for size in (8, 16, 32, 64) if found.depth <= size)
    return Declared(found.width, found.height, each * found.channels)
