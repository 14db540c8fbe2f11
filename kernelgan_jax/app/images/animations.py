"""Animated GIF and PNG: where the parts of the picture are that change by the frame.

References:
  W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", for fcTL.
  CompuServe, "Graphics Interchange Format, Version 89a".
"""

import dataclasses
import struct
import zlib
from typing import IO, NamedTuple

import numpy as np
from PIL import Image as pillow

from kernelgan_jax.app.files import Clipped
from kernelgan_jax.app.images import pillow_pixels
from kernelgan_jax.app.images.declared import Declared
from kernelgan_jax.app.images.image import MAX_PIXELS
from kernelgan_jax.app.images.image_kinds import PNG_START
from kernelgan_jax.app.images.metadata import Spliced

KEEP, CLEAR, RESTORE = range(3)
"""What becomes of a frame before the next one, by the numbers of PNG."""

_ADDED_PNG = struct.Struct(">IIIIIHHBB")
"""A chunk fcTL: a number, sides, place, time, what becomes of it, and blending."""

_GRAY_TYPES = (0, 4)
"""Types of PNG, in its header, that are gray."""

_XMP, _PROFILE = b"XMP DataXMP", b"ICCRGBG1012"
"""Names of what programs add to a GIF."""

_END_OF_XMP = b"\1\xff\xfe\xfd"
"""What follows the packet, so that readers of blocks find an end."""

_PIECE = 2**20
"""Bytes of a file that are checked at a time."""


class Place(NamedTuple):
    """Where a part lies in the picture."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column behind it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.top + self.height


class Part(NamedTuple):
    """What a file holds of a frame."""

    place: Place
    head: tuple[bytes, ...]
    """What stands before its pixels in a file of its own. Frames share what is large
    in it."""
    spans: list[tuple[int, int]]
    """Where its packed pixels are in the file, and how many bytes."""
    milliseconds: float = 0.0
    """For how long it is shown."""
    disposal: int = KEEP
    is_blended: bool = False
    """Whether what is below is seen through transparent pixels."""


@dataclasses.dataclass
class Animation:
    """The frames of a file."""

    width: int
    height: int
    parts: list[Part]
    channels: int
    """1 if all are gray, else 3; without alpha."""
    depth: int = 8
    """Bits of a sample, once it is decoded."""
    plays: int = 0
    """How often they are shown; 0 stands for ever."""
    starts_still: bool = False
    """Whether the first one is no part of the animation, but what programs show that
    know none."""
    icc_profile: bytes | None = None
    """The ICC profile in a GIF, or None."""
    xmp: bytes | None = None
    """The XMP packet in a GIF, or None."""
    note: str = ""
    """What is not as the file says; may be empty."""

    @property
    def declared(self) -> Declared:
        """The sides of the picture, or of a larger part."""
        width = max(self.width, *(part.place.width for part in self.parts))
        height = max(self.height, *(part.place.height for part in self.parts))
        return Declared(width, height, self.depth * (self.channels + 1))

    def is_filled_by(self, part: Part) -> bool:
        """Whether a part is as large as the picture."""
        return part.place == (0, 0, self.width, self.height)

    def parts_of(self, frame: int) -> list[Part]:
        """The parts of a frame: from the last one on that hides all before it."""
        first = int(self.starts_still and frame > 0)
        for place in range(frame, first, -1):
            part = self.parts[place]
            is_left = place == frame or part.disposal != RESTORE
            if self.is_filled_by(part) and not part.is_blended and is_left:
                first = place
                break
        return self.parts[first : frame + 1]


def of_file(file: IO[bytes], format: str | None) -> Animation | None:
    """The frames of a GIF or an animated PNG; None for other files.

    Raises:
      ValueError: If frames are missing, or lie outside of the picture.
      DecompressionBombError: If they are too large.
      UnusableError: If they do not fit into the memory.
    """
    if format not in ("GIF", "PNG"):
        return None
    found = _of_gif(file) if format == "GIF" else _of_png(file)
    if found is not None:
        if found.declared.pixels > MAX_PIXELS:
            raise pillow.DecompressionBombError
        pillow_pixels.check_memory(found.declared, file.seek(0, 2))
    return found


def _of_png(file: IO[bytes]) -> Animation | None:
    """The animation in a PNG; None if it is a still picture."""
    file.seek(8)
    header, shared, count, plays, starts_still = b"", b"", 0, 0, False
    is_ended = False
    parts: list[Part] = []
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        start = file.tell()
        if kind == b"IHDR":
            header = file.read(length)
        elif kind in (b"PLTE", b"tRNS"):
            shared += head + file.read(length + 4)
        elif kind == b"acTL" and not parts:
            count, plays = struct.unpack(">II", file.read(8))
        elif kind == b"fcTL":
            parts.append(_png_part(file.read(length), header, shared))
        elif kind == b"IDAT":
            if not count:
                return None
            if not parts:
                starts_still = True
                sides = struct.unpack_from(">II", header)
                place = Place(0, 0, *sides)
                still = _png_head(header, shared)
                # Cleared, as it is not below the animation.
                parts.append(Part(place, still, [], disposal=CLEAR))
            parts[-1].spans.append((start, length))
        elif kind == b"fdAT" and parts:
            parts[-1].spans.append((start + 4, max(length - 4, 0)))
        elif kind == b"IEND":
            is_ended = True
            break
        file.seek(start + length + 4)
    count += starts_still
    if count < 2:
        return None
    width, height = struct.unpack_from(">II", header)
    places = [part.place for part in parts]
    if any(place.right > width or place.bottom > height for place in places):
        raise ValueError("a frame lies outside of the picture")
    held = len([part for part in parts if part.spans])
    note = ""
    if held < count:
        note = f"{held} of {count} frames"
        if not is_ended or held < len(parts):
            raise ValueError(note)
        note += ", as the others are not in the file"
    channels, depth = 1 if header[9] in _GRAY_TYPES else 3, max(header[8], 8)
    shown = parts[:count]
    return Animation(
        width, height, shown, channels, depth, plays, starts_still, note=note
    )


def _png_part(control: bytes, header: bytes, shared: bytes) -> Part:
    """The frame that a chunk fcTL announces."""
    fields = _ADDED_PNG.unpack(control)
    _, width, height, left, top, above, below, disposal, blending = fields
    head = _png_head(struct.pack(">II", width, height) + header[8:], shared)
    milliseconds = 1000 * above / (below or 100)
    place = Place(left, top, width, height)
    return Part(place, head, [], milliseconds, disposal, bool(blending))


def _png_head(header: bytes, shared: bytes) -> tuple[bytes, ...]:
    """What stands before the pixels of a frame in a file of its own."""
    check = zlib.crc32(b"IHDR" + header)
    chunk = struct.pack(">I4s", len(header), b"IHDR") + header
    return PNG_START + chunk + struct.pack(">I", check), shared


def _of_gif(file: IO[bytes]) -> Animation:
    """The frames of a GIF, also if there is but one.

    A first frame beyond the canvas enlarges it, and others are cut.
    """
    file.seek(6)
    width, height, flags, _, _ = struct.unpack("<HHBBB", file.read(7))
    common = file.read(6 << (flags & 7)) if flags & 128 else b""
    found = Animation(width, height, [], channels=1, plays=1)
    control = bytes(4)
    while (kind := file.read(1)) not in (b"", b";"):
        if kind == b"!":
            label, start = file.read(1), file.tell()
            first, second = _blocks(file)
            if label == b"\xf9" and len(first) == 4:
                control = first
            elif label == b"\1":  # A text, which takes what was said of a frame.
                control = bytes(4)
            elif label == b"\xff" and first in (b"NETSCAPE2.0", b"ANIMEXTS1.0"):
                if second[:1] == b"\1" and len(second) == 3:
                    (again,) = struct.unpack_from("<H", second, 1)
                    found.plays = again + 1 if again else 0
            elif label == b"\xff" and first in (_XMP, _PROFILE):
                start, end = start + 12, file.tell()
                file.seek(start)
                data = file.read(end - start)
                if first == _XMP:
                    found.xmp = data[: max(data.rfind(_END_OF_XMP), 0)] or None
                else:
                    found.icc_profile = _unblocked(data)
        elif kind == b",":
            *place, flags = struct.unpack("<HHHHB", file.read(9))
            for axis, side in enumerate((width, height)):
                if not place[2 + axis] and place[axis] < side:  # As browsers have it.
                    place[2 + axis] = side
            palette = file.read(6 << (flags & 7)) if flags & 128 else common
            start = file.tell()
            file.read(1)  # bits of the first codes
            _blocks(file)
            spans = [(start, file.tell() - start)]
            if palette != _levels(len(palette)):
                found.channels = 3
            packed, hundredths, _ = struct.unpack("<BHB", control)
            part = Part(
                Place(*place),
                _gif_head(place[2:], palette, control, is_interlaced=bool(flags & 64)),
                spans,
                milliseconds=10.0 * hundredths,
                disposal=min(max((packed >> 2 & 7) - 1, KEEP), RESTORE),
                is_blended=bool(packed & 1),
            )
            found.parts.append(part)
            control = bytes(4)
    if not found.parts:
        raise ValueError("no frame")
    found.width = max(width, found.parts[0].place.right)
    found.height = max(height, found.parts[0].place.bottom)
    return found


def _blocks(file: IO[bytes]) -> tuple[bytes, bytes]:
    """Reads past the blocks of a part of a GIF; the first two of them."""
    found: list[bytes] = []
    while (length := file.read(1)) not in (b"", b"\0"):
        block = file.read(length[0])
        if len(found) < 2:
            found.append(block)
    first, second = (*found, b"", b"")[:2]
    return first, second


def _unblocked(data: bytes) -> bytes:
    """The content of blocks, each of which says how long it is."""
    parts, at = [], 0
    while at < len(data):
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return b"".join(parts)


def _levels(length: int) -> bytes:
    """The palette of so many bytes that Pillow takes for none: all levels in order."""
    return np.arange(length // 3, dtype=np.uint8).repeat(3).tobytes()


def _gif_head(
    sides: list[int], palette: bytes, control: bytes, *, is_interlaced: bool
) -> tuple[bytes, ...]:
    """What stands before the pixels of a frame in a file of its own."""
    size = struct.pack("<HH", *sides)
    packed = 0x80 | ((len(palette) // 3).bit_length() - 2) if palette else 0
    start = b"GIF89a" + size + bytes([packed, 0, 0])
    place = b",\0\0\0\0" + size + bytes([64 * is_interlaced])
    return start, palette, b"!\xf9\4" + control + b"\0" + place


def own_file(file: IO[bytes], part: Part) -> IO[bytes]:
    """A frame as a file of its own, of which nothing is copied."""
    if not part.head[0].startswith(PNG_START):
        return Clipped(Spliced(file, [*part.head, *part.spans, b";"]))
    check = zlib.crc32(b"IDAT")
    for start, length in part.spans:
        file.seek(start)
        while data := file.read(min(length, _PIECE)):
            check, length = zlib.crc32(data, check), length - len(data)
    length = sum(length for _, length in part.spans)
    head = *part.head, struct.pack(">I4s", length, b"IDAT")
    end = struct.pack(">II4sI", check, 0, b"IEND", zlib.crc32(b"IEND"))
    return Clipped(Spliced(file, [*head, *part.spans, end]))
