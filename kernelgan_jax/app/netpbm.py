"""Reading what Pillow does not: PFM, and PGM and PPM with more than 8 bits."""

import re
from typing import NamedTuple

import numpy as np

from kernelgan_jax.app.image import UnusableError

_SPACE, _GAP, _NUMBER = rb"\s+", rb"(?:\s|#[^\n]*\n)+", rb"([0-9]+)"
_REAL = rb"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)"
_HEADERS = (
    re.compile(rb"(P[14])" + 2 * (_GAP + _NUMBER) + rb"\s"),
    re.compile(rb"(P[2356])" + 3 * (_GAP + _NUMBER) + rb"\s"),
    re.compile(rb"(P[Ff])" + 2 * (_SPACE + _NUMBER) + _SPACE + _REAL + rb"\s"),
)

HEAD = 4096
"""Bytes of the longest header, with its comments, that is read."""


_TEXT = 2**20
"""Bytes of digits that are read at a time."""


class Header(NamedTuple):
    """What stands in front of the pixels."""

    kind: bytes
    """`P1` to `P6`; `Pf` or `PF` for floats."""
    width: int
    height: int
    white: float
    """The white level; of floats a scale, negative for little endian; of bits 1."""
    end: int
    """Where the pixels start."""

    @property
    def channels(self) -> int:
        """Samples of a pixel."""
        return 3 if self.kind in (b"P3", b"P6", b"PF") else 1


def header(data: bytes) -> Header | None:
    """The header of a PBM, PGM, PPM or PFM; None if there is none."""
    for pattern in _HEADERS:
        if found := pattern.match(data[:HEAD]):
            kind, width, height, *white = found.groups()
            level = float(white[0]) if white else 1.0
            return Header(kind, int(width), int(height), level, found.end())
    return None


def is_deep(data: bytes) -> bool:
    """Whether a PGM or PPM has samples of more than 8 bits."""
    found = header(data)
    kinds = (b"P2", b"P3", b"P5", b"P6")
    return found is not None and found.kind in kinds and found.white > 255


def read_integers(data: bytes, notes: list[str]) -> np.ndarray:
    """Reads a PGM or PPM with 16 bits per sample: `H x W x C` uint16, white 65535."""
    found = header(data)
    assert found is not None
    white = int(found.white)
    if found.kind in (b"P2", b"P3"):
        pixels = _numbers(data, found)
    else:
        pixels = _samples(data, found, ">u2").astype(np.uint16)  # This machine's order.
    if white == 65535:
        return pixels
    if not 0 < white < 65536 or pixels.max(initial=0) > white:
        raise UnusableError(f"has samples above its white level of {white}")
    notes.append(f"white level {white} scaled to 65535")
    return full_range(pixels, white)


def read_floats(data: bytes) -> np.ndarray:
    """Reads a PFM: `H x W x C` float32, as stored, with the first row on top."""
    found = header(data)
    if found is None or found.kind not in (b"Pf", b"PF"):
        raise ValueError("no header of a PFM")
    order = "<" if found.white < 0 else ">"
    return _samples(data, found, order + "f4")[::-1].astype(np.float32)


def full_range(pixels: np.ndarray, white: int) -> np.ndarray:
    """Scales integers in [0, white] in place to the range of their unsigned type."""
    top = np.iinfo(pixels.dtype).max
    levels = np.rint(np.arange(white + 1) * (top / white)).astype(pixels.dtype)
    for row in range(len(pixels)):
        pixels[row] = levels[np.minimum(pixels[row], white)]
    return pixels


def _numbers(data: bytes, found: Header) -> np.ndarray:
    """Samples that are written in digits."""
    shape = found.height, found.width, found.channels
    count = shape[0] * shape[1] * shape[2]
    pixels = np.empty(count, np.uint16)
    done, rest = 0, memoryview(data)[found.end :]
    while done < count and rest:  # No more than a part is digits and numbers at once.
        end = len(rest)
        if end > _TEXT:
            text = bytes(rest[:_TEXT])
            end = 1 + max(text.rfind(b"\n"), text.rfind(b" "))
        words = re.sub(rb"#[^\n]*", b"", bytes(rest[: end or None])).split()
        words = words[: count - done]
        values = np.array(words, np.uint64)
        if values.max(initial=0) > 65535:
            raise UnusableError(f"has samples above its white level of {found.white:g}")
        pixels[done : done + len(values)] = values
        done, rest = done + len(values), rest[end or len(rest) :]
    if not count or done < count:
        raise ValueError(f"{done} samples for {count}")
    return pixels.reshape(shape)


def _samples(data: bytes, found: Header, dtype: str) -> np.ndarray:
    shape = found.height, found.width, found.channels
    count = shape[0] * shape[1] * shape[2]
    if not count or len(data) - found.end < count * np.dtype(dtype).itemsize:
        raise ValueError(f"{len(data) - found.end} bytes of pixels")
    return np.frombuffer(data, dtype, count, found.end).reshape(shape)
