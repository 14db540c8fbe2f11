"""Inks (CMYK) as RGB: by their ICC profile, or else each takes its part of the light.

References:
  International Color Consortium, "ICC.1:2022, Image technology colour management".
"""

import io
from typing import Any

import numpy as np
import scipy.ndimage
from PIL import Image as pillow
from PIL import ImageCms

_AMOUNTS = np.arange(0, 256, 15).astype(np.uint8)
"""Amounts of each ink between which colours of more than 8 bits are interpolated."""


def transform_of(profile: object) -> ImageCms.ImageCmsTransform | None:
    """What makes sRGB of CMYK of 8 bits, as colorimetry and black ask for.

    Args:
      profile: The ICC profile in the file.

    Returns:
      None if there is none, or none that can be used.
    """
    if not isinstance(profile, bytes):
        return None
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            "CMYK",
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError):  # Damaged, or of other colours.
        return None


def note_of(transform: ImageCms.ImageCmsTransform | None) -> str:
    """What is said of colours that were converted by this transform, or without."""
    if transform is None:
        return "CMYK converted to RGB without its colour profile"
    return "CMYK converted to sRGB by its colour profile"


def converted(
    picture: pillow.Image, transform: ImageCms.ImageCmsTransform
) -> pillow.Image:
    """A picture of mode CMYK as RGB."""
    found = ImageCms.applyTransform(picture, transform)
    assert found is not None  # It is not in place.
    return found


def to_rgb(stored: np.ndarray, profile: object, notes: list[str]) -> np.ndarray:
    """CMYK, and any alpha behind it, as RGB of the same type.

    Args:
      stored: `H x W x C`, C at least 4, unsigned integers or floats in [0, 1].
      profile: The ICC profile in the file, if there is one.
      notes: Gets how it was converted.
    """
    transform = transform_of(profile)
    notes.append(note_of(transform))
    top: Any = 1 if stored.dtype.kind == "f" else np.iinfo(stored.dtype).max
    table = None if transform is None else _table(transform)
    shape = (*stored.shape[:2], stored.shape[2] - 1)
    colour = np.empty(shape, stored.dtype)
    for row in range(len(stored)):
        ink = stored[row, :, :4].astype(np.float64) / top
        rgb = _light(ink) if table is None else _interpolated(ink, table)
        rgb *= top
        colour[row, :, :3] = rgb if stored.dtype.kind == "f" else np.rint(rgb)
    colour[:, :, 3:] = stored[:, :, 4:]
    return colour


def _light(ink: np.ndarray) -> np.ndarray:
    """What ideal inks leave of white: `N x 3` in [0, 1]."""
    light = 1 - ink
    product: np.ndarray = light[:, :3] * light[:, 3:]
    return product


def _table(transform: ImageCms.ImageCmsTransform) -> np.ndarray:
    """Red, green and blue in [0, 1] for amounts of four inks: 3 and four more axes."""
    count = len(_AMOUNTS)
    grid = np.stack(np.meshgrid(*[_AMOUNTS] * 4, indexing="ij"), axis=-1)
    picture = pillow.frombytes("CMYK", (count**2, count**2), grid.tobytes())
    rgb = np.asarray(converted(picture, transform)).reshape(*[count] * 4, 3)
    return np.ascontiguousarray(np.moveaxis(rgb, -1, 0)) / 255


def _interpolated(ink: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Colours between those of a table, `N x 3` in [0, 1]."""
    places = np.clip(ink, 0, 1).T * (len(_AMOUNTS) - 1)
    parts = [scipy.ndimage.map_coordinates(values, places, order=1) for values in table]
    return np.stack(parts, axis=-1)
