"""ICC profiles that say what the chunks of a PNG say of colours.

Formats without such chunks (JPEG, WebP, TIFF) hold these.

References:
  International Color Consortium, "ICC.1:2022, Image technology colour management".
  ITU-T H.273, for the codes in the chunk cICP.
"""

import struct
from collections.abc import Sequence

import numpy as np

from kernelgan_jax.app.images.metadata import COLOUR_CHUNKS

ADOBE_RGB = (
    (b"gAMA", struct.pack(">I", 45471)),
    (
        b"cHRM",
        struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000),
    ),
)
"""The chunks of a PNG in Adobe RGB (1998)."""

_GAMMA_OF_SRGB = struct.pack(">I", 45455)
_CORNERS_OF_SRGB = struct.pack(
    ">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000
)
"""The chunks gAMA and cHRM by which PNG has sRGB approximated; ImageMagick writes them
for sRGB alone."""

_D65 = (0.3127, 0.3290)
_OF_709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_OF_2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
_OF_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_CHROMATICITIES: dict[int, tuple[tuple[float, ...], ...]] = {
    1: (_D65, *_OF_709),
    9: (_D65, *_OF_2020),
    11: ((0.314, 0.351), *_OF_P3),
    12: (_D65, *_OF_P3),
}
"""Chromaticities of white, red, green and blue by their codes."""

_SRGB_CURVE = (3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_VIDEO_CURVE = (3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES = {
    **dict.fromkeys((1, 6, 14, 15), _VIDEO_CURVE),
    4: (0, 2.2),
    5: (0, 2.8),
    8: (0, 1.0),
    13: _SRGB_CURVE,
}
"""Type and parameters of the curve from samples to light by the codes; those for
brighter light than white (PQ and HLG) have none."""

_GAMMAS = range(16, 625_000_001)
"""Values of the chunk gAMA that libpng takes; others are damaged."""

_LARGEST = 2**14
"""The largest number of a matrix; a profile holds up to twice as much."""

_D50 = np.array([0.9642, 1.0, 0.8249])
"""White of the profiles' colours."""

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
"""Responses of the eye's cones, by which colours are adapted to another white."""


def is_srgb(chunks: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether the chunk sRGB of a PNG, or those that stand for it, are among these."""
    found = dict(chunks)
    has_corners = found.get(b"cHRM", _CORNERS_OF_SRGB) == _CORNERS_OF_SRGB
    return b"sRGB" in found or (found.get(b"gAMA") == _GAMMA_OF_SRGB and has_corners)


def of_chunks(chunks: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """The profile for RGB of which a PNG has these chunks.

    Returns:
      None for chunks as of `is_srgb`, which need none, without any of these chunks, if
      a profile cannot say it, and for damaged ones.
    """
    found = dict(chunks)
    curve: tuple[float, ...] | None
    if b"cICP" in found:
        if len(found[b"cICP"]) != 4:
            return None
        primaries, transfer, _, is_full_range = found[b"cICP"]
        if not is_full_range:
            return None
        chromaticities, curve = _CHROMATICITIES.get(primaries), _CURVES.get(transfer)
    elif is_srgb(chunks) or len(found.get(b"gAMA", b"")) != 4:
        return None
    else:
        (gamma,) = struct.unpack(">I", found[b"gAMA"])
        curve = (0, 100_000 / gamma) if gamma in _GAMMAS else None
        chromaticities = _CHROMATICITIES[1]
        if len(stated := found.get(b"cHRM", b"")) == 32:
            numbers = np.array(struct.unpack(">8I", stated)) / 100_000
            chromaticities = tuple(map(tuple, numbers.reshape(4, 2)))
    if chromaticities is None or curve is None:
        return None
    return _profile(np.array(chromaticities), curve)


def is_of_other_colours(profile: bytes | None, channels: int) -> bool:
    """Whether a profile says that it is of other colours than 1 or 3 channels hold."""
    if profile is None or profile[36:40] != b"acsp":
        return False
    return profile[16:20] != {1: b"GRAY", 3: b"RGB "}[channels]


def without_colours(
    chunks: Sequence[tuple[bytes, bytes]],
) -> tuple[tuple[bytes, bytes], ...]:
    """The chunks without those that a profile stands for."""
    replaced = set(COLOUR_CHUNKS) - {b"mDCV", b"cLLI"}
    return tuple(chunk for chunk in chunks if chunk[0] not in replaced)


def _profile(chromaticities: np.ndarray, curve: tuple[float, ...]) -> bytes | None:
    """The profile for chromaticities of white and primaries, `4 x 2`, and a curve.

    None if they are not those of colours that can be seen.
    """
    x, y = chromaticities.T
    if min(y) <= 0 or max(x + y) > 1.001:
        return None
    white, *corners = np.stack([x / y, np.ones(4), (1 - x - y) / y], axis=1)
    matrix, cones = np.array(corners).T, _BRADFORD @ white
    if abs(np.linalg.det(matrix)) < 1e-6 or min(cones) <= 0:
        return None
    matrix = matrix * np.linalg.solve(matrix, white)
    gains = (_BRADFORD @ _D50) / cones
    adaptation = np.linalg.solve(_BRADFORD, gains[:, np.newaxis] * _BRADFORD)
    matrix = adaptation @ matrix
    if max(abs(matrix).max(), abs(adaptation).max()) > _LARGEST:
        return None
    kind, *parameters = curve
    tags = {
        b"desc": _text("RGB of the image file"),
        b"cprt": _text("Public domain"),
        b"wtpt": b"XYZ \0\0\0\0" + _numbers(_D50),
        b"chad": b"sf32\0\0\0\0" + _numbers(adaptation),
    }
    for name, column in zip(b"rgb", matrix.T, strict=True):
        tags[bytes([name]) + b"XYZ"] = b"XYZ \0\0\0\0" + _numbers(column)
        tags[bytes([name]) + b"TRC"] = (
            b"para\0\0\0\0" + struct.pack(">HH", int(kind), 0) + _numbers(parameters)
        )
    place = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag, place + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s", place + len(data), 0x04300000, b"mntr", b"RGB ",
                       b"XYZ ")  # fmt: skip
    head += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp")
    head = head.ljust(68, b"\0") + _numbers(_D50)
    return head.ljust(128, b"\0") + table + data


def _numbers(values: Sequence[float] | np.ndarray) -> bytes:
    """Numbers as a profile has them, in parts of 65536."""
    parts = np.rint(np.ravel(values) * 65536).astype(int).tolist()
    return struct.pack(f">{len(parts)}i", *parts)


def _text(words: str) -> bytes:
    """A text as a profile has it."""
    letters = words.encode("utf-16-be")
    head = struct.pack(">II4sII", 1, 12, b"enUS", len(letters), 28)
    return b"mluc\0\0\0\0" + head + letters
