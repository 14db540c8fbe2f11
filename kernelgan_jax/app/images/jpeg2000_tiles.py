"""The tiles of a JPEG 2000, each as a codestream of its own.

The decoder holds 32 bits for each sample beside its result: five times an image of 8
bits. Tiles that are decoded one by one need little more than the result. Places in a
codestream are absolute, so a tile is an image whose size and grid are that tile's.

References:
  ISO/IEC 15444-1, annex A, for the markers.
"""

import struct
from collections.abc import Iterator

_SIZE, _PART, _END = 0xFF51, 0xFF90, b"\xff\xd9"
_LENGTHS = (0xFF55, 0xFF57)
"""Lists of lengths, which are not true of one tile; decoders do without."""
_COMMON_HEADERS = 0xFF60
"""Headers of the packets of all tiles together."""


def tiles(codestream: bytes) -> Iterator[tuple[int, int, bytes]] | None:
    """Cuts a codestream into its tiles.

    Args:
      codestream: From its first marker on.

    Returns:
      For each tile its first row and column in the image, and its codestream; None if
      there is only one, if some are missing, or if they cannot be told apart.
    """
    try:
        return _tiles(codestream)
    except (struct.error, IndexError, ZeroDivisionError):
        return None


def _tiles(codestream: bytes) -> Iterator[tuple[int, int, bytes]] | None:
    segments, place = [], 2
    while (marker := struct.unpack_from(">H", codestream, place)[0]) != _PART:
        if marker == _COMMON_HEADERS:
            return None
        end = place + 2 + struct.unpack_from(">H", codestream, place + 2)[0]
        if marker not in _LENGTHS:
            segments.append(codestream[place:end])
        place = end
    size, *others = segments
    if struct.unpack_from(">H", size)[0] != _SIZE:
        return None
    right, bottom, left, top, wide, high, first, upper = struct.unpack_from(
        ">8I", size, 6
    )
    channels = struct.unpack_from(">H", size, 38)[0]
    subsampled = set(size[41 : 40 + 3 * channels : 3] + size[42::3]) != {1}
    across, down = -(-(right - first) // wide), -(-(bottom - upper) // high)
    parts = _parts(codestream, place)
    if subsampled or across * down < 2 or parts.keys() != set(range(across * down)):
        return None

    def each() -> Iterator[tuple[int, int, bytes]]:
        for index, found in parts.items():
            row, column = divmod(index, across)
            x, y = first + column * wide, upper + row * high
            own = struct.pack(
                ">8I",
                min(x + wide, right),
                min(y + high, bottom),
                max(x, left),
                max(y, top),
                *(wide, high, x, y),
            )
            header = b"".join([size[:6], own, size[38:], *others])
            # The only tile has the number 0.
            data = [piece for part in found for piece in (part[:4], b"\0\0", part[6:])]
            stream = b"".join([codestream[:2], header, *data, _END])
            yield max(y, top) - top, max(x, left) - left, stream

    return each()


def _parts(codestream: bytes, place: int) -> dict[int, list[memoryview]]:
    """The parts of each tile, from the first one on."""
    view = memoryview(codestream)
    parts: dict[int, list[memoryview]] = {}
    while place + 12 <= len(view):
        marker, _, tile, length = struct.unpack_from(">HHHI", view, place)
        if marker != _PART:
            break
        end = place + length if length else len(view) - 2
        if end > len(view) or end <= place:
            break
        parts.setdefault(tile, []).append(view[place:end])
        place = end
    return parts
