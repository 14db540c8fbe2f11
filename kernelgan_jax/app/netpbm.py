"""Reading what Pillow does not: PFM, and PGM and PPM with more than 8 bits."""

import re

import numpy as np

from kernelgan_jax.app.image import UnusableError

_GAP = rb"(?:\s|#[^\n]*\n)+"


def is_deep(data: bytes) -> bool:
    """Whether a binary PGM or PPM has samples of more than 8 bits."""
    found = _integers(data[:4096])
    return found is not None and int(found[4]) > 255


def read_integers(data: bytes, notes: list[str]) -> np.ndarray:
    """Reads a PGM or PPM with 16 bits per sample: `H x W x C` uint16, white 65535."""
    found = _integers(data[:4096])
    assert found is not None
    width, height, white = (int(found[i]) for i in (2, 3, 4))
    channels = 3 if found[1] == b"P6" else 1
    pixels = _samples(data, found.end(), ">u2", (height, width, channels))
    pixels = pixels.astype(np.uint16)  # In the order of bytes of this machine.
    if white == 65535:
        return pixels
    if not 0 < white < 65536 or pixels.max(initial=0) > white:
        raise UnusableError(f"has samples above its white level of {white}")
    notes.append(f"white level {white} scaled to 65535")
    return full_range(pixels, white)


def read_floats(data: bytes) -> np.ndarray:
    """Reads a PFM: `H x W x C` float32, as stored, with the first row on top."""
    number = rb"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)"
    pattern = rb"(P[Ff])\s+([0-9]+)\s+([0-9]+)\s+" + number + rb"\s"
    found = re.match(pattern, data[:4096])
    if found is None:
        raise ValueError("no header of a PFM")
    width, height = int(found[2]), int(found[3])
    order = "<" if float(found[4]) < 0 else ">"
    channels = 3 if found[1] == b"PF" else 1
    stored = _samples(data, found.end(), order + "f4", (height, width, channels))
    return stored[::-1].astype(np.float32)


def full_range(pixels: np.ndarray, white: int) -> np.ndarray:
    """Scales integers in [0, white] in place to the range of their unsigned type."""
    top = np.iinfo(pixels.dtype).max
    levels = np.rint(np.arange(white + 1) * (top / white)).astype(pixels.dtype)
    for row in range(len(pixels)):
        pixels[row] = levels[np.minimum(pixels[row], white)]
    return pixels


def _integers(head: bytes) -> re.Match[bytes] | None:
    number = rb"([0-9]+)"
    pattern = rb"(P[56])" + (_GAP + number) * 3 + rb"\s"
    return re.match(pattern, head)


def _samples(
    data: bytes, start: int, dtype: str, shape: tuple[int, int, int]
) -> np.ndarray:
    count = shape[0] * shape[1] * shape[2]
    if not count or len(data) - start < count * np.dtype(dtype).itemsize:
        raise ValueError(f"{len(data) - start} bytes of pixels")
    return np.frombuffer(data, dtype, count, start).reshape(shape)
