"""Reading JPEG 2000, as satellites' images and scans of libraries have it."""

import io
import struct

import imagecodecs
import numpy as np

from kernelgan_jax.app.images import declared
from kernelgan_jax.app.images.image import GRAY_OR_COLOUR, UnusableError
from kernelgan_jax.app.images.jpeg2000_tiles import tiles
from kernelgan_jax.app.images.metadata import Metadata
from kernelgan_jax.app.images.netpbm import whole_range
from kernelgan_jax.app.images.tiff_decoding import Decoded, straighten

_NOT_READ = {
    **dict.fromkeys((1, 3, 4, 9, 18, 22, 23, 24), "YCC colour"),
    **dict.fromkeys((11, 12, 13), "inks (CMYK)"),
    **dict.fromkeys((14, 19), "CIELab"),
    **dict.fromkeys((20, 21), "RGB of a wide gamut"),
}
"""Colour spaces by their numbers in ISO/IEC 15444-2 that are neither gray nor sRGB."""

_PROFILES = (b"\2", b"\3")
"""Methods by which colours are those of an ICC profile."""

_OPACITY, _PREMULTIPLIED = 1, 2
"""Types of a channel that is alpha."""


def read(data: bytes, notes: list[str]) -> tuple[Decoded, Metadata]:
    """Reads a JPEG 2000 with all its bits and bands.

    Raises:
      UnusableError: If its colour space is not supported.
    """
    found = declared.jpeg2000_size(data)
    if found is None:
        raise ValueError("no size")
    metadata, last = Metadata(), 0
    for kind, content in _header(data):
        if kind == b"colr":
            metadata.icc_profile = _profile(content) or metadata.icc_profile
        elif kind == b"cdef":
            types = {entry[0]: entry[1] for entry in _entries(content)}
            last = types.get(found.channels - 1, 0)
    has_alpha = last in (_OPACITY, _PREMULTIPLIED)
    notes.append("metadata of JPEG 2000 left out")
    stored = _decode(data, found)
    if stored.dtype.kind == "u":
        stored = whole_range(stored, found.depth, notes)
    if last == _PREMULTIPLIED:
        straighten(stored, notes)
    colours = stored.shape[2] - has_alpha
    bands = colours not in GRAY_OR_COLOUR
    if bands:
        notes.append(f"{colours} bands, all of them used")
    return Decoded(stored, has_alpha, bands), metadata


def _decode(data: bytes, found: declared.Jpeg2000) -> np.ndarray:
    """The samples, `H x W x C`; tile by tile where there are several."""
    is_plain = all(_leaves_channels(*box) for box in _header(data))
    parts = tiles(data[data.index(declared.CODESTREAM) :]) if is_plain else None
    if parts is None:
        stored = imagecodecs.jpeg2k_decode(data)
        return stored if stored.ndim == 3 else stored[:, :, np.newaxis]
    whole: np.ndarray | None = None
    for row, column, stream in parts:
        part = imagecodecs.jpeg2k_decode(stream)
        part = part if part.ndim == 3 else part[:, :, np.newaxis]
        if whole is None:
            shape = (found.height, found.width, found.channels)
            whole = np.empty(shape, part.dtype)
        whole[row : row + part.shape[0], column : column + part.shape[1]] = part
    assert whole is not None  # There are two tiles at least.
    return whole


def _profile(content: bytes) -> bytes | None:
    """The ICC profile in the box that says what colours are, if there is one.

    Raises:
      UnusableError: If they are neither gray nor RGB.
    """
    if content[:1] in _PROFILES:
        kind = content[19:23].decode("latin-1").strip()
        if kind.isalnum() and kind not in ("RGB", "GRAY"):
            raise UnusableError(
                f"is JPEG 2000 with a profile for {kind}; export it as PNG or TIFF"
            )
        return content[3:]
    (number,) = struct.unpack_from(">I", content, 3)
    if name := _NOT_READ.get(number, ""):
        raise UnusableError(f"is JPEG 2000 in {name}; export it as PNG or TIFF")
    return None


def _entries(content: bytes) -> list[tuple[int, int, int]]:
    """What channels are: number, type, and which colour, counted from 1."""
    return list(struct.iter_unpack(">HHH", content[2:]))


def _leaves_channels(kind: bytes, content: bytes) -> bool:
    """Whether channels are as in the codestream, as far as a box says."""
    if kind == b"cdef":
        entries = _entries(content)
        return all(what or colour == number + 1 for number, what, colour in entries)
    return kind not in (b"pclr", b"cmap")  # Palettes.


def _header(data: bytes) -> list[tuple[bytes, bytes]]:
    """The boxes that say what the channels are; none in a bare codestream."""
    file, found = io.BytesIO(data), []
    for kind, start, end in declared.boxes(file, 0, len(data)):
        if kind == b"jp2h":
            for inner, first, last in declared.boxes(file, start, end):
                found.append((inner, data[first:last]))
        if kind == b"jp2c":
            break
    return found
