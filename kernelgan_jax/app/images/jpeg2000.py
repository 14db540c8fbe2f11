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
from kernelgan_jax.app.images.tiff_decoding import Decoded

_LUMA_AND_CHROMA = 18
"""Number of a colour space that is not read."""


def read(data: bytes, notes: list[str]) -> tuple[Decoded, Metadata]:
    """Reads a JPEG 2000 with all its bits and bands.

    Raises:
      UnusableError: If its colour space is not supported.
    """
    found = declared.jpeg2000_size(data)
    if found is None:
        raise ValueError("no size")
    metadata, has_alpha = Metadata(), False
    for kind, content in _header(data):
        if kind == b"colr" and content[:1] == b"\2":
            metadata.icc_profile = content[3:]
        elif kind == b"colr" and struct.unpack_from(">I", content, 3)[0] == (
            _LUMA_AND_CHROMA
        ):
            raise UnusableError("is JPEG 2000 in YCC colour; export it as PNG or TIFF")
        elif kind == b"cdef":  # What channels are: number, type, which colour.
            entries = struct.iter_unpack(">HHH", content[2:])
            has_alpha = (found.channels - 1, 1) in {entry[:2] for entry in entries}
    notes.append("metadata of JPEG 2000 left out")
    stored = _decode(data, found)
    if stored.dtype.kind == "u":
        stored = whole_range(stored, found.depth, notes)
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


def _leaves_channels(kind: bytes, content: bytes) -> bool:
    """Whether channels are as in the codestream, as far as a box says."""
    if kind == b"cdef":
        entries = struct.iter_unpack(">HHH", content[2:])
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
