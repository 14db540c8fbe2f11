"""Free memory, and what an image says that it needs before it is decoded. No JAX.

A file of a few kilobytes can declare an image of many gigabytes. Decoders allocate it
before they find out that the data are not there, so the first bytes of a file are
looked at here first: what is declared must fit into the free memory and, where the
compression has a known limit, could have come out of a file of this size.
"""

import contextlib
import math
import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

from kernelgan_jax.app.image_kinds import PNG_START, TIFF_STARTS

PEAK = 2.5
"""Memory that decoding takes, as a multiple of the decoded image."""

SMALL = 2**26
"""Bytes that an image may declare, or need, without a question."""

_RATIOS = {"none": 1, "packbits": 128, "deflate": 1100, "lzw": 3000}
"""Bytes that one byte of a file can become at most, with some slack."""

_TIFF_COMPRESSIONS = {
    1: "none", 5: "lzw", 8: "deflate", 32773: "packbits", 32946: "deflate",
}  # fmt: skip
_TIFF_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}
"""Bytes of the types of whole numbers in a TIFF."""


class Declared(NamedTuple):
    """What the first bytes of an image file declare."""

    width: int
    height: int
    bits: int
    """Bits of a pixel as it is stored."""
    compression: str = ""
    """A key of the known limits; empty if there is no limit."""

    @property
    def stored_bytes(self) -> int:
        """Bytes of the pixels, unpacked."""
        return self.width * self.height * self.bits // 8

    @property
    def peak_bytes(self) -> float:
        """Memory that decoding takes; up to 8 bits in a palette become 24."""
        bits = 24 if self.bits <= 8 else self.bits
        return PEAK * self.width * self.height * bits / 8


def available_memory() -> float:
    """Free memory in bytes; infinite where that is not known.

    That of the machine, or less if the process, or the container it runs in, has a
    limit.
    """
    return min(_of_machine(), _of_container(), _of_process())


def problem(file: IO[bytes], size: int, *, max_pixels: int) -> str | None:
    """What is wrong with the size that an image file declares.

    Args:
      file: The open file; its position is lost.
      size: Its size in bytes.
      max_pixels: Images of more are refused elsewhere.

    Returns:
      The problem, as a text that continues the file's name; None if there is none, or
      if the file is of a kind that is not known here.
    """
    found = declared(file)
    if found is None or found.width * found.height > max_pixels:
        return None
    sides = f"{found.width} x {found.height} pixels"
    ratio = _RATIOS.get(found.compression, math.inf)
    if found.stored_bytes > max(SMALL, ratio * size):
        return (
            f"is damaged: it declares {sides}, {found.stored_bytes:,} bytes, which "
            f"{size:,} bytes cannot hold; copy or export it again"
        )
    if found.peak_bytes > SMALL and found.peak_bytes > (free := available_memory()):
        return (
            f"has {sides}: it needs about {found.peak_bytes / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free; crop it or scale it down"
        )
    return None


def declared(file: IO[bytes]) -> Declared | None:
    """What an image file declares; None for unknown kinds and damaged starts."""
    file.seek(0)
    head = file.read(64)
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
    except (struct.error, IndexError, OverflowError, OSError):
        pass
    return None


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


def _jpeg(file: IO[bytes]) -> Declared | None:
    """The frame of a JPEG, behind any number of other segments."""
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
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            _, bits, height, width, channels = struct.unpack(">HBHHB", file.read(8))
            return Declared(width, height, bits * channels)
        if code not in (0, 1) and not 0xD0 <= code <= 0xD8:
            (length,) = struct.unpack(">H", file.read(2))
            file.seek(max(length - 2, 0), 1)
    return None


def _webp(head: bytes) -> Declared | None:
    if head[12:16] == b"VP8X":
        width = 1 + int.from_bytes(head[24:27], "little")
        height = 1 + int.from_bytes(head[27:30], "little")
    elif head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif head[12:16] == b"VP8 ":
        width, height = (x & 0x3FFF for x in struct.unpack_from("<HH", head, 26))
    else:
        return None
    return Declared(width, height, 32)


# --- Free memory ---


def _of_machine() -> float:
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return math.inf


def _of_container() -> float:
    """What the limits of Linux' control groups leave."""
    root = "/sys/fs/cgroup"
    free = math.inf
    for folder in (*_own_groups(), ""):
        for most, used in (
            (f"{root}{folder}/memory.max", f"{root}{folder}/memory.current"),
            (
                f"{root}/memory{folder}/memory.limit_in_bytes",
                f"{root}/memory{folder}/memory.usage_in_bytes",
            ),
        ):
            with contextlib.suppress(OSError, ValueError):
                with open(most) as limit, open(used) as usage:
                    free = min(free, max(0, int(limit.read()) - int(usage.read())))
    return free


def _own_groups() -> Iterator[str]:
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/cgroup") as file:
            for line in file:
                _, kinds, folder = line.rstrip("\n").split(":", 2)
                if kinds in ("", "memory"):
                    yield folder.rstrip("/")


def _of_process() -> float:
    """What the limit of the process's address space leaves."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return math.inf
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        return max(0, limit - used)
    except (ImportError, OSError, ValueError, IndexError):
        return math.inf
