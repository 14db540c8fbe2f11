"""What the container of an AVIF says of its picture: colours, and how it is cropped.

References:
  ISO/IEC 14496-12, clauses "Clean aperture" and "Item properties box".
"""

import struct
from fractions import Fraction
from typing import IO

from kernelgan_jax.app.images import declared
from kernelgan_jax.app.images.image import Image
from kernelgan_jax.app.images.metadata import Metadata, colour_chunks

_COLOURS = b"colrnclx"
"""Start of the box that says what the colours of an AVIF mean."""

_HEAD = 2**16
"""Bytes in which that box lies."""


def read_colours(file: IO[bytes], found: Metadata) -> None:
    """Keeps what an AVIF says of its colours as the chunk of a PNG that says the same.

    A profile counts more, and colours like those of sRGB need no words.
    """
    file.seek(0)
    head = file.read(_HEAD)
    place = head.find(_COLOURS, 0, -4)
    if place < 0 or found.icc_profile is not None:
        return
    codes = struct.unpack_from(">HH", head, place + len(_COLOURS))
    found.chunks = colour_chunks(*codes)


def with_colours(avif: bytes, image: Image) -> bytes:
    """An AVIF that says what its colours mean, if the image's chunks do."""
    cicp = dict(image.chunks).get(b"cICP", b"")
    place = avif.find(_COLOURS) + len(_COLOURS)
    if len(cicp) != 4 or place < len(_COLOURS):
        return avif
    return avif[:place] + struct.pack(">HH", *cicp[:2]) + avif[place + 4 :]


def crop(file: IO[bytes], width: int, height: int) -> tuple[slice, slice] | None:
    """The rows and columns that are shown of a picture, before it is turned.

    Args:
      file: The file.
      width: Pixels of a row, as they are decoded.
      height: Number of rows.

    Returns:
      None for all of them, also if what the file says does not fit.
    """
    try:
        content = _property(file, b"clap")
    except (struct.error, IndexError):  # The boxes are damaged or cut off.
        return None
    if content is None or len(content) != 32:
        return None
    numbers = struct.unpack(">8i", content)
    if 0 in numbers[1::2]:
        return None
    across, down, right, below = map(Fraction, numbers[::2], numbers[1::2])
    left, top = (width - across) / 2 + right, (height - down) / 2 + below
    places = left, top, left + across, top + down
    is_whole = all(place.denominator == 1 for place in places)
    is_inside = 0 <= left < places[2] <= width and 0 <= top < places[3] <= height
    if not (is_whole and is_inside):
        return None
    return slice(int(top), int(places[3])), slice(int(left), int(places[2]))


def _property(file: IO[bytes], name: bytes) -> bytes | None:
    """The content of a property of the main picture; None if it has none."""
    found = {
        kind: (start, end)
        for box, first, last in declared.boxes(file, 0, file.seek(0, 2))
        if box == b"meta"
        for kind, start, end in declared.boxes(file, first + 4, last)
    }
    if not {b"pitm", b"iprp"} <= found.keys():
        return None
    main = _number_of_main(_content(file, *found[b"pitm"]))
    parts = {kind: place for kind, *place in declared.boxes(file, *found[b"iprp"])}
    if not {b"ipco", b"ipma"} <= parts.keys():
        return None
    properties = list(declared.boxes(file, *parts[b"ipco"]))
    for number in _numbers(_content(file, *parts[b"ipma"]), main):
        kind, start, end = properties[number - 1]
        if kind == name:
            return _content(file, start, end)
    return None


def _content(file: IO[bytes], start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _number_of_main(pitm: bytes) -> int:
    """The number of the main picture."""
    (number,) = struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)
    return int(number)


def _numbers(ipma: bytes, item: int) -> list[int]:
    """The numbers, from 1 on, of the properties that an item has."""
    (count,) = struct.unpack_from(">I", ipma, 4)
    code, each = (">I" if ipma[0] else ">H"), (">H" if ipma[3] & 1 else ">B")
    at = 8
    for _ in range(count):
        (number,) = struct.unpack_from(code, ipma, at)
        at += struct.calcsize(code)
        size = struct.calcsize(each)
        places = range(at + 1, at + 1 + size * ipma[at], size)
        if number == item:
            essential = 0x7FFF if size == 2 else 0x7F  # All bits but that one.
            found = [struct.unpack_from(each, ipma, place)[0] for place in places]
            return [value & essential for value in found if value & essential]
        at = places.stop
    return []
