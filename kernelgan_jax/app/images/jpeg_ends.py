"""Whether a JPEG holds all of its picture, and the marker behind it.

Decoders fill what is missing with gray, and do not say so. What follows the data of a
whole picture changes nothing in it: other bytes there show whether there are enough.

References:
  ITU-T T.81, Annex B, for the markers.
"""

import contextlib
import io
import re
import struct
import zlib
from typing import IO, NamedTuple

import imagecodecs

from kernelgan_jax.app.images import declared
from kernelgan_jax.app.images.image import MAX_PIXELS

END = b"\xff\xd9"
"""The marker behind a picture."""

_OTHER_DATA = b"".join(
    bytes(167 * i % 251 for i in range(1, 65)) + bytes([0xFF, restart])
    for restart in range(0xD0, 0xD8)
)
"""Bits of many patterns, unlike the zeros that decoders put where data are missing. A
decoder may wait for one of the markers that restart it."""

_FEWEST_ZEROS = 4
"""Bytes of zeros at the end that stand in place of data that were never written."""

_MARKER = re.compile(rb"\xff[^\0\xff\xd0-\xd7]")
"""A marker behind data: those that only mark a place in them, and zeros, are none."""

_MARKER_OF_LS = re.compile(rb"\xff[\x80-\xfe]")
"""The same in JPEG-LS."""

_SCAN, _PROGRESSIVE = 0xDA, 0xC2

_BY_HUFFMAN = (0xC0, 0xC1, _PROGRESSIVE, 0xC3)
"""Markers of frames, of all kinds that are packed by Huffman's codes. Data in
arithmetic coding may end early."""


class _Scans(NamedTuple):
    """Where the data of a picture are."""

    headers: list[bytes]
    """What is said of each scan: its components, and which of their coefficients."""
    end: int
    """Where the data of the last one end."""
    is_ended: bool
    """Whether the marker of the end is there."""


def with_end(file: IO[bytes], notes: list[str]) -> IO[bytes]:
    """The file of a JPEG, with the marker of its end.

    Args:
      file: The file.
      notes: Gets a note if nothing but the marker is missing.

    Raises:
      ValueError: If a part of the picture is missing.
    """
    frame = None
    with contextlib.suppress(struct.error):
        frame = declared.jpeg_frame(file)
    if frame is None or frame.width * frame.height > MAX_PIXELS:
        return file
    is_ls, by_huffman = frame.code == declared.JPEG_LS, frame.code in _BY_HUFFMAN
    file.seek(0)
    data = file.read()
    scans = _scans(data, _MARKER_OF_LS if is_ls else _MARKER)
    if scans.headers and scans.is_ended and not by_huffman:
        return file
    picture = data[: scans.end]
    if not scans.is_ended:
        picture = _without_zeros(picture)
    picture = picture.rstrip(b"\xff")  # Half of a marker, or of a byte of data.
    is_whole = by_huffman and _are_all(scans, frame) and _is_decided(picture)
    if not (is_ls or is_whole):  # The decoder of JPEG-LS finds out by itself.
        raise ValueError("a part of the picture is missing")
    if scans.is_ended:
        return file
    notes.append("the marker of its end is missing, but no part of the picture")
    return io.BytesIO(picture + END)


def _scans(data: bytes, marker: re.Pattern[bytes]) -> _Scans:
    """The scans of the first picture in a file."""
    headers: list[bytes] = []
    end, at = 0, 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 2 <= len(data):
        code = data[at + 1]
        if code == 0xFF:  # It fills up.
            at += 1
        elif code == END[1]:
            return _Scans(headers, end, is_ended=True)
        elif code <= 1 or 0xD0 <= code <= 0xD8:
            at += 2
        else:
            start, at = at + 4, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            header = data[start:at]
            if code == _SCAN and header and len(header) == 4 + 2 * header[0]:
                headers.append(header)
                found = marker.search(data, at)
                at = end = found.start() if found else len(data)
    return _Scans(headers, end, is_ended=False)


def _without_zeros(data: bytes) -> bytes:
    """Data without the zeros behind them, if these are no data."""
    kept = data.rstrip(b"\0")
    if len(data) - len(kept) < _FEWEST_ZEROS:
        return data
    return kept + b"\0" * kept.endswith(b"\xff")  # The two are one byte of data.


def _is_decided(picture: bytes) -> bool:
    """Whether the data decide about all pixels, whatever follows."""
    try:
        checks = {
            zlib.crc32(imagecodecs.jpeg8_decode(picture + end).data)
            for end in (END, _OTHER_DATA + END)
        }
    except imagecodecs.Jpeg8Error:  # Another decoder may know more of it.
        return True
    return len(checks) == 1


def _are_all(scans: _Scans, frame: declared.JpegFrame) -> bool:
    """Whether there are all scans of a picture.

    Those of a progressive one bring all coefficients to the last bit; if the marker of
    the end is there, how far they go is the encoder's affair.
    """
    if frame.code != _PROGRESSIVE:  # The coefficients that are stated do not count.
        return sum(header[0] for header in scans.headers) >= frame.channels
    if scans.is_ended:
        return True
    found = set()
    for header in scans.headers:
        components = header[1:-3:2]
        first, last, bits = header[-3:]
        if not bits & 15:
            found |= {(c, k) for c in components for k in range(first, last + 1)}
    return len(found) == 64 * frame.channels
