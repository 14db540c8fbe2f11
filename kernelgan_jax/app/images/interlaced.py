"""Reading PNG of 16 bits that are interlaced, as the decoder does not by itself.

It does read them, but libpng then prints a warning. Each of the seven passes has rows
and filters of its own, so that it is the picture of a PNG that is not interlaced.

References:
  ISO/IEC 15948, clause 8.2, for the passes.
"""

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

_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Samples of a pixel by the type of colour."""


def read(file: IO[bytes]) -> np.ndarray:
    """Reads an interlaced PNG of 16 bits: `H x W (x C)` uint16, with any alpha last.

    Raises:
      ValueError: If it is damaged or incomplete.
    """
    header, key, data = b"", b"", []
    for kind, body in _chunks(file):
        if kind == b"IHDR":
            header = body
        elif kind == b"tRNS":
            key = png_chunk(kind, body)
        elif kind == b"IDAT":
            data.append(body)
    width, height, depth, colour = struct.unpack_from(">IIBB", header)
    unpacker, rest = zlib.decompressobj(), b"".join(data)
    data.clear()
    whole: np.ndarray | None = None
    for row, column, down, across in _PASSES:
        rows, columns = len(range(row, height, down)), len(range(column, width, across))
        if not (rows and columns):
            continue
        size = rows * (1 + columns * _CHANNELS[colour] * depth // 8)
        part = unpacker.decompress(rest, size)
        rest = unpacker.unconsumed_tail
        if len(part) < size:
            raise ValueError("its end is missing")
        own = struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, 0)
        packed = png_chunk(b"IDAT", zlib.compress(part, 0))
        end = png_chunk(b"IEND", b"")
        png = b"".join([PNG_START, png_chunk(b"IHDR", own), key, packed, end])
        del part, packed
        stored = imagecodecs.png_decode(png)
        if whole is None:
            whole = np.empty((height, width, *stored.shape[2:]), stored.dtype)
        whole[row::down, column::across] = stored
    assert whole is not None  # The first pass has the first pixel.
    return whole


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG: kind and content.

    Raises:
      ValueError: If one is damaged.
    """
    file.seek(len(PNG_START))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        body, check = file.read(length), file.read(4)
        if struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))) != check:
            raise ValueError(f"damaged {kind.decode('latin-1')}")
        yield kind, body
