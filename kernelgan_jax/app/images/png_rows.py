"""The rows of a PNG: whether they are all there, and interlaced ones of 16 bits.

The decoder does read the latter, but libpng then prints a warning. Each of the seven
passes has rows and filters of its own, so that it is the picture of a PNG that is not
interlaced.

References:
  ISO/IEC 15948, clause 8.2, for the passes.
"""

import contextlib
import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import IO

import imagecodecs
import numpy as np

from kernelgan_jax.app.images.image_encoding import png_chunk
from kernelgan_jax.app.images.image_kinds import PNG_START

_PASSES = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
"""First row, first column, and the steps to the next, of each pass."""

_PART = 2**16
"""Bytes that are read at a time; chunks of the header are shorter."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by the type of colour."""


def check(file: IO[bytes]) -> None:
    """Checks that a PNG has all rows of its picture, for which Pillow takes zeros.

    Raises:
      ValueError: If what is packed in it ends before.
    """
    unpacker, missing = zlib.decompressobj(), 0
    with contextlib.suppress(ValueError, struct.error, zlib.error, KeyError):
        for kind, body in _chunks(file):  # What else is wrong, Pillow says.
            if kind == b"IHDR":
                missing = _bytes_of_rows(body)
            while kind == b"IDAT" and body and missing > 0 and not unpacker.eof:
                missing -= len(unpacker.decompress(body, _PART))
                body = unpacker.unconsumed_tail
    if missing > 0 and unpacker.eof:
        raise ValueError(f"{missing} bytes of its rows are missing")


def _bytes_of_rows(header: bytes) -> int:
    """Bytes of all rows of a PNG with their filters, unpacked."""
    width, height, depth, colour, _, _, is_interlaced = struct.unpack(
        ">IIBBBBB", header
    )
    total = 0
    for row, column, down, across in _PASSES if is_interlaced else ((0, 0, 1, 1),):
        rows, columns = len(range(row, height, down)), len(range(column, width, across))
        if columns:
            total += _bytes_of(rows, columns, depth=depth, colour=colour)
    return total


def _bytes_of(rows: int, columns: int, *, depth: int, colour: int) -> int:
    """Bytes of rows, each with that of its filter."""
    return rows * (1 + -(-columns * _CHANNELS[colour] * depth // 8))


def read(file: IO[bytes]) -> np.ndarray:
    """Reads an interlaced PNG of 16 bits: `H x W (x C)` uint16, with any alpha last.

    Raises:
      ValueError: If it is damaged or incomplete.
      zlib.error: If it is damaged, too.
    """
    header, key, chunks = b"", b"", _chunks(file)
    for kind, body in chunks:
        if kind == b"IHDR":
            header = body
        elif kind == b"tRNS":
            key = png_chunk(kind, body)
        elif kind == b"IDAT":
            break
    width, height, depth, colour = struct.unpack_from(">IIBB", header)
    others = itertools.takewhile(lambda chunk: chunk[0] == b"IDAT", chunks)
    packed = itertools.chain([body], (part for _, part in others))
    unpacker = zlib.decompressobj()
    whole: np.ndarray | None = None
    for row, column, down, across in _PASSES:
        rows, columns = len(range(row, height, down)), len(range(column, width, across))
        if not (rows and columns):
            continue
        size = _bytes_of(rows, columns, depth=depth, colour=colour)
        own = struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, 0)
        start = PNG_START + png_chunk(b"IHDR", own) + key
        data = _packed_anew(unpacker, packed, size)
        png = b"".join([start, *data, png_chunk(b"IEND", b"")])
        stored = imagecodecs.png_decode(png)
        if whole is None:
            whole = np.empty((height, width, *stored.shape[2:]), stored.dtype)
        whole[row::down, column::across] = stored
    for _ in packed:  # There is no more, but the check behind the last part.
        pass
    assert whole is not None  # The first pass has the first pixel.
    return whole


def _packed_anew(
    unpacker: "zlib._Decompress", packed: Iterator[bytes], size: int
) -> Iterator[bytes]:
    """The next bytes of what has been packed in parts, in chunks of their own.

    Raises:
      ValueError: If there are not as many.
    """
    packer = zlib.compressobj(0)
    while size:
        part = unpacker.unconsumed_tail or next(packed, b"")
        rows = unpacker.decompress(part, min(size, _PART))
        if not part and not rows:
            raise ValueError("its end is missing")
        size -= len(rows)
        yield png_chunk(b"IDAT", packer.compress(rows))
    yield png_chunk(b"IDAT", packer.flush())


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG, long ones in parts: kind and content.

    Raises:
      ValueError: If one is damaged.
    """
    file.seek(len(PNG_START))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        check = zlib.crc32(kind)
        while part := file.read(min(length, _PART)):
            check, length = zlib.crc32(part, check), length - len(part)
            yield kind, part
        if file.read(4) != struct.pack(">I", check):
            raise ValueError(f"damaged {kind.decode('latin-1')}")
