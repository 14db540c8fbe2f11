"""Inks (CMYK) as RGB: by their ICC profile, or else each takes its part of the light.

References:
  International Color Consortium, "ICC.1:2022, Image technology colour management".
"""

from typing import Any

import imagecodecs
import numpy as np

_BAND_PIXELS = 2**18
"""Pixels that are converted at a time by a profile."""


def usable(profile: object) -> bytes | None:
    """The ICC profile in a file if it is one of CMYK, and else None."""
    if not isinstance(profile, bytes):
        return None
    try:
        converted(np.zeros((1, 1, 4), np.uint8), profile)
    except imagecodecs.CmsError:  # Damaged, or of other colours.
        return None
    return profile


def note_of(profile: bytes | None) -> str:
    """How colours are converted by this profile, or without."""
    if profile is None:
        return "CMYK converted to RGB without its colour profile"
    return "CMYK converted to sRGB by its colour profile"


def converted(ink: np.ndarray, profile: bytes) -> np.ndarray:
    """CMYK as sRGB, relative to the paper's white and with black mapped to black.

    Args:
      ink: `H x W x 4`, unsigned integers or floats in [0, 1].
      profile: Its ICC profile.

    Returns:
      `H x W x 3`; uint8 and uint16 as such, other types as float32 in [0, 1].

    Raises:
      CmsError: If the profile cannot be used.
    """
    is_whole = ink.dtype in (np.uint8, np.uint16)
    if not is_whole:
        top = 1 if ink.dtype.kind == "f" else np.iinfo(ink.dtype).max
        ink = ink.astype(np.float32) * np.float32(100 / top)  # Per cent.
    rgb: np.ndarray = imagecodecs.cms_transform(
        np.ascontiguousarray(ink),
        profile,
        imagecodecs.cms_profile("srgb"),
        colorspace="cmyk",
        outcolorspace="rgb",
        outdtype=ink.dtype,
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION,
    )
    return rgb if is_whole else np.clip(rgb, 0, 1)


def to_rgb(stored: np.ndarray, profile: object, notes: list[str]) -> np.ndarray:
    """CMYK, and any alpha behind it, as RGB of the same type.

    Args:
      stored: `H x W x C`, C at least 4, unsigned integers or floats in [0, 1].
      profile: The ICC profile in the file, if there is one.
      notes: Gets how it was converted.
    """
    found = usable(profile)
    notes.append(note_of(found))
    is_float = stored.dtype.kind == "f"
    top: Any = 1 if is_float else np.iinfo(stored.dtype).max
    height, width, channels = stored.shape
    colour = np.empty((height, width, channels - 1), stored.dtype)
    rows = 1 if found is None else max(1, _BAND_PIXELS // width)
    for start in range(0, height, rows):
        ink = stored[start : start + rows, :, :4]
        rgb = _light(ink, top) if found is None else converted(ink, found)
        if rgb.dtype != stored.dtype:
            rgb = rgb * top if is_float else np.rint(rgb * np.float64(top))
        colour[start : start + rows, :, :3] = rgb
    colour[:, :, 3:] = stored[:, :, 4:]
    return colour


def _light(ink: np.ndarray, top: float) -> np.ndarray:
    """What ideal inks in [0, top] leave of white: `H x W x 3` in [0, 1]."""
    light = 1 - ink.astype(np.float64) / top
    product: np.ndarray = light[..., :3] * light[..., 3:]
    return product
