"""The headers of a JPEG XL's codestream: sides, depth, channels and colours.

References:
  ISO/IEC 18181-1, clauses "Image header" and "Colour encoding".
"""

import struct
from typing import NamedTuple

from kernelgan_jax.app.images.metadata import colour_chunks

START = b"\xff\x0a"
"""First bytes of a codestream."""

LONGEST = 4096
"""Bytes of the longest headers that are read."""

_RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Ratios of width and height that have numbers."""

_ALPHA, _SPOT, _BLACK, _CFA = 0, 2, 4, 5
"""Kinds of extra channels."""

_GRAY, _XYB = 1, 2
"""Kinds of colour that are not RGB."""

_CUSTOM = 2
"""What stands for a white, or for primaries, that are given by their chromaticities."""

_WHITES: dict[int, tuple[int, ...]] = {
    1: (31270, 32900),
    10: (33333, 33333),
    11: (31400, 35100),
}
_PRIMARIES: dict[int, tuple[int, ...]] = {
    1: (64000, 33000, 30000, 60000, 15000, 6000),
    9: (70800, 29200, 17000, 79700, 13100, 4600),
    11: (68000, 32000, 26500, 69000, 15000, 6000),
}
"""Chromaticities by their numbers, in hundred-thousandths as PNG has them."""

_H273 = {(1, 1): 1, (1, 9): 9, (1, 11): 12, (11, 11): 11}
"""The numbers of ITU-T H.273 for a white and primaries. Those of transfer functions are
the same."""

_LINEAR, _UNKNOWN = 8, 2
"""Transfer functions."""


class JpegXl(NamedTuple):
    """What the headers of a JPEG XL declare."""

    width: int
    height: int
    depth: int = 8
    """Bits of a sample."""
    channels: int = 3
    """Samples of a pixel."""
    orientation: int = 1
    """As in EXIF."""
    is_premultiplied: bool = False
    """Whether colours are multiplied with alpha."""
    lacks_alpha: bool = False
    """Whether there are channels beside the colours, of which none is alpha."""
    has_inks: bool = False
    """Whether it is CMYK."""
    has_profile: bool = False
    """Whether there is an ICC profile. The samples are in its colours without a loss,
    and else in linear sRGB."""
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    """What a PNG with these samples says of colours; nothing for sRGB."""


class _Bits:
    """Reads numbers from bits, the lowest of each byte first."""

    def __init__(self, data: bytes):
        self._rest, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def read(self, count: int) -> int:
        """A number of so many bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("cut off")
        found = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return found

    def choice(self, *options: tuple[int, int]) -> int:
        """A number after the choice, in 2 bits, of its offset and number of bits."""
        offset, count = options[self.read(2)]
        return offset + self.read(count)

    def kind(self) -> int:
        """One of the numbers that stand for kinds."""
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))


def header(codestream: bytes) -> JpegXl:
    """The headers at the start of a codestream.

    Raises:
      ValueError: If they are cut off.
    """
    bits = _Bits(codestream[len(START) : LONGEST])
    found = JpegXl(*_sides(bits))
    if bits.read(1):  # All else is as usual.
        return found
    if bits.read(1):
        found = found._replace(orientation=1 + bits.read(3))
        if bits.read(1):
            _sides(bits)  # intrinsic size
        if bits.read(1):
            _preview(bits)
        if bits.read(1):  # An animation: its clock, repetitions and time codes.
            bits.choice((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.choice((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.choice((0, 0), (0, 3), (0, 16), (0, 32))
            bits.read(1)
    depth = _depth(bits)
    bits.read(1)
    count = bits.choice((0, 0), (1, 0), (2, 4), (1, 12))
    extras = [_extra_channel(bits) for _ in range(count)]
    is_xyb = bool(bits.read(1))
    is_gray, has_profile, chunks = _colours(bits)
    if has_profile and is_xyb:  # Stored as light, which decoders cannot turn back.
        chunks = colour_chunks(1, _LINEAR)
    return found._replace(
        depth=depth,
        channels=(1 if is_gray else 3) + len(extras),
        is_premultiplied=(_ALPHA, True) in extras,
        lacks_alpha=bool(extras) and all(kind != _ALPHA for kind, _ in extras),
        has_inks=(_BLACK, False) in extras,
        has_profile=has_profile,
        chunks=chunks,
    )


def _sides(bits: _Bits) -> tuple[int, int]:
    """Width and height."""
    is_small = bits.read(1)

    def side() -> int:
        if is_small:
            return 8 * (1 + bits.read(5))
        return bits.choice((1, 9), (1, 13), (1, 18), (1, 30))

    height, ratio = side(), _RATIOS[bits.read(3)]
    return (height * ratio[0] // ratio[1] if ratio else side()), height


def _preview(bits: _Bits) -> None:
    """Reads past the sides of a preview."""
    sizes = ((16, 0), (32, 0), (1, 5), (33, 9))
    if not bits.read(1):  # Else in steps of 8 pixels.
        sizes = ((1, 6), (65, 8), (321, 10), (1345, 12))
    bits.choice(*sizes)
    if not bits.read(3):  # No known ratio.
        bits.choice(*sizes)


def _depth(bits: _Bits) -> int:
    """Bits of a sample."""
    if bits.read(1):  # floating point
        depth = bits.choice((32, 0), (16, 0), (24, 0), (1, 6))
        bits.read(4)
        return depth
    return bits.choice((8, 0), (10, 0), (12, 0), (1, 6))


def _extra_channel(bits: _Bits) -> tuple[int, bool]:
    """The kind of a channel beside the colours, which may be multiplied by it."""
    if bits.read(1):
        return _ALPHA, False
    kind = bits.kind()
    _depth(bits)
    bits.choice((0, 0), (3, 0), (4, 0), (1, 3))
    bits.read(8 * bits.choice((0, 0), (0, 4), (16, 5), (48, 10)))  # its name
    if kind == _SPOT:
        bits.read(4 * 16)
    if kind == _CFA:
        bits.choice((1, 0), (0, 2), (3, 4), (19, 8))
    return kind, kind == _ALPHA and bool(bits.read(1))


def _colours(bits: _Bits) -> tuple[bool, bool, tuple[tuple[bytes, bytes], ...]]:
    """Whether it is gray, whether there is an ICC profile, and the chunks of a PNG."""
    if bits.read(1):
        return False, False, ()
    has_profile, kind = bool(bits.read(1)), bits.kind()
    is_gray = kind == _GRAY
    if has_profile or kind == _XYB:
        return is_gray, has_profile, ()
    white = bits.kind()
    white_point = _chromaticities(bits, 1) if white == _CUSTOM else _WHITES.get(white)
    primaries, corners = 1, _PRIMARIES[1]
    if not is_gray:
        primaries = bits.kind()
        corners = (
            _chromaticities(bits, 3)
            if primaries == _CUSTOM
            else _PRIMARIES.get(primaries, ())
        )
    gamma = transfer = 0
    if bits.read(1):
        gamma = (bits.read(24) + 50) // 100  # As PNG has it.
    else:
        transfer = bits.kind()
    code = _H273.get((white, primaries))
    if code and transfer not in (0, _UNKNOWN):
        return is_gray, False, colour_chunks(code, transfer)
    gamma = 100_000 if transfer == _LINEAR else gamma
    if not (gamma and white_point and corners):
        return is_gray, False, ()
    places = struct.pack(">8I", *white_point, *corners)
    return is_gray, False, ((b"gAMA", struct.pack(">I", gamma)), (b"cHRM", places))


def _chromaticities(bits: _Bits, count: int) -> tuple[int, ...]:
    """So many pairs of chromaticities; below 0 they are taken for 0."""
    options = ((0, 19), (2**19, 19), (2**20, 20), (2**21, 21))
    packed = [bits.choice(*options) for _ in range(2 * count)]
    return tuple(0 if value & 1 else value // 2 // 10 for value in packed)
