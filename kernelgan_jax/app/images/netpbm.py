"""Reading what Pillow does not: PAM, PFM, and PGM and PPM of other levels than 255."""

import io
import re
from typing import IO, NamedTuple

import numpy as np

from kernelgan_jax.app.files import Clipped
from kernelgan_jax.app.images.image import GRAY_OR_COLOUR, UnusableError
from kernelgan_jax.app.images.metadata import Spliced

_GAP, _NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])+", rb"([0-9]+)"
_REAL = rb"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)"
_HEADERS = (
    re.compile(rb"(P[14])" + 2 * (_GAP + _NUMBER) + rb"\s"),
    re.compile(rb"(P[2356])" + 3 * (_GAP + _NUMBER) + rb"\s"),
    re.compile(rb"(P[Ff])" + 2 * (_GAP + _NUMBER) + _GAP + _REAL + rb"\s"),
)

_PAM = re.compile(rb"P7\r?\n((?:.*\n)*?)[ \t]*ENDHDR[ \t]*\r?\n")

HEAD = 4096
"""Bytes of the longest header, with its comments, that is read."""


_TEXT = 2**20
"""Bytes of digits that are read at a time."""


class Header(NamedTuple):
    """What stands in front of the pixels."""

    kind: bytes
    """`P1` to `P6`; `P7` for PAM, `Pf` or `PF` for floats."""
    width: int
    height: int
    white: float
    """The white level; of floats a scale, negative for little endian; of bits 1."""
    end: int
    """Where the pixels start."""
    depth: int = 1
    """Samples of a pixel in a PAM."""
    tuples: str = ""
    """What these are, as a PAM says: `RGB_ALPHA`."""

    @property
    def channels(self) -> int:
        """Samples of a pixel."""
        if self.kind == b"P7":
            return self.depth
        return 3 if self.kind in (b"P3", b"P6", b"PF") else 1

    @property
    def size(self) -> int:
        """Bytes of the pixels, unless they are written in digits."""
        if self.kind == b"P4":
            return -(-self.width // 8) * self.height
        each = 4 if self.kind in (b"Pf", b"PF") else 2 if self.white > 255 else 1
        return self.width * self.channels * each * self.height


def header(data: bytes) -> Header | None:
    """The header of a PBM, PGM, PPM, PAM or PFM; None if there is none."""
    if found := _PAM.match(data[:HEAD]):
        return _pam_header(found)
    for pattern in _HEADERS:
        if found := pattern.match(data[:HEAD]):
            kind, width, height, *white = found.groups()
            level = float(white[0]) if white else 1.0
            return Header(kind, int(width), int(height), level, found.end())
    return None


def _pam_header(found: re.Match[bytes]) -> Header | None:
    """The header of a PAM: a line for each value, in any order."""
    values: dict[str, str] = {}
    for line in found[1].decode("latin-1").splitlines():
        name, value = (*line.split(None, 1), "", "")[:2]
        if name == "TUPLTYPE" and name in values:  # Further words of it.
            value = f"{values[name]} {value.strip()}"
        if name and not name.startswith("#"):
            values[name] = value.strip()
    try:
        width, height, depth, white = (
            int(values[name]) for name in ("WIDTH", "HEIGHT", "DEPTH", "MAXVAL")
        )
    except (KeyError, ValueError):
        return None
    if min(width, height, depth, white) < 1:
        return None
    tuples = values.get("TUPLTYPE", "")
    return Header(b"P7", width, height, white, found.end(), depth, tuples)


def by_the_book(file: IO[bytes]) -> IO[bytes]:
    """A PBM, PGM, PPM or PFM with one byte of space between header and pixels.

    Programs of Windows write two there, so that all samples would be one byte late:
    the line feed would be the first. Which it is, the file's size says.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(HEAD)
    found = header(head)
    if found is None or head[found.end - 1 : found.end + 1] != b"\r\n":
        return file
    if size != found.end + 1 + found.size:
        return file
    end = found.end
    return Clipped(Spliced(file, [(0, end - 1), (end, size - end)]))


def is_followed(file: IO[bytes]) -> bool:
    """Whether a PBM, PGM, PPM or PAM holds another picture behind its first one."""
    file.seek(0)
    found = header(file.read(HEAD))
    if found is None or found.kind in (b"P1", b"P2", b"P3"):
        return False
    end = found.end + found.size
    if end >= file.seek(0, io.SEEK_END):
        return False
    file.seek(end)
    return header(file.read(HEAD)) is not None


def is_scaled(data: bytes) -> bool:
    """Whether a PGM or PPM has another white level than 255.

    Pillow reads 8 bits of it, and takes what is above it for white.
    """
    found = header(data)
    kinds = (b"P2", b"P3", b"P5", b"P6")
    return found is not None and found.kind in kinds and found.white != 255


def read_integers(data: bytes, notes: list[str]) -> np.ndarray:
    """Reads a PGM or PPM: `H x W x C` uint8 or uint16, white the largest value.

    Raises:
      UnusableError: If its samples are beyond its white level.
    """
    found = header(data)
    assert found is not None
    if found.kind in (b"P2", b"P3"):
        pixels = _numbers(data, found)
    else:
        pixels = _samples(data, found, ">u2" if found.white > 255 else "u1")
    return _scaled(pixels, int(found.white), notes)


class Pam(NamedTuple):
    """What a PAM holds."""

    stored: np.ndarray
    """`H x W x C` uint8 or uint16, white the largest value of the type."""
    has_alpha: bool
    """Whether the last channel is alpha."""
    bands: bool
    """Whether the other channels are neither gray nor RGB."""


def read_pam(data: bytes, notes: list[str]) -> Pam:
    """Reads a PAM, which says how many samples a pixel has, and what they are.

    Raises:
      UnusableError: If its samples are beyond its white level, or inks.
    """
    found = header(data)
    if found is None or found.kind != b"P7":
        raise ValueError("no header of a PAM")
    if found.tuples.startswith("CMYK"):
        raise UnusableError("is a PAM in CMYK; export it as TIFF")
    pixels = _samples(data, found, ">u2" if found.white > 255 else "u1")
    pixels = _scaled(pixels, int(found.white), notes)
    has_alpha = found.tuples.endswith("_ALPHA") and found.depth > 1
    colours = found.depth - has_alpha
    bands = colours not in GRAY_OR_COLOUR
    if bands:
        notes.append(f"{colours} bands, all of them used")
    return Pam(pixels, has_alpha, bands)


def _scaled(pixels: np.ndarray, white: int, notes: list[str]) -> np.ndarray:
    """Samples of which `white` is the largest, in the range of uint8 or uint16."""
    if not 0 < white < 65536:
        raise UnusableError(f"has a white level of {white}, which is not 1 to 65535")
    top = 65535 if white > 255 else 255
    if white < top and pixels.max(initial=0) > white:
        raise UnusableError(f"has samples above its white level of {white}")
    pixels = pixels.astype(np.uint16 if white > 255 else np.uint8)
    if white == top:
        return pixels
    notes.append(f"white level {white} scaled to {top}")
    return full_range(pixels, white)


def read_floats(data: bytes) -> np.ndarray:
    """Reads a PFM: `H x W x C` float32, as stored, with the first row on top."""
    found = header(data)
    if found is None or found.kind not in (b"Pf", b"PF"):
        raise ValueError("no header of a PFM")
    order = "<" if found.white < 0 else ">"
    return _samples(data, found, order + "f4")[::-1].astype(np.float32)


def whole_range(pixels: np.ndarray, bits: int, notes: list[str]) -> np.ndarray:
    """Unsigned samples of so many bits, in place in the range of their type.

    Args:
      pixels: The samples; those that fill their type already stay as they are.
      bits: Bits of a sample.
      notes: Gets a note on more than 8 bits.
    """
    if bits >= 8 * pixels.itemsize:
        return pixels
    if bits > 8:
        notes.append(f"{bits}-bit samples scaled to 16 bits")
    return full_range(pixels, 2**bits - 1)


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
