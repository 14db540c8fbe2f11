"""The pixels of a picture that Pillow has opened, with all their bits.

imagecodecs reads those of which Pillow would lose bits, or takes much memory for.
"""

from typing import IO

import imagecodecs
import numpy as np
from PIL import ImageFile, ImageMode

from kernelgan_jax.app import memory
from kernelgan_jax.app.images import avif, inks, netpbm, png_rows
from kernelgan_jax.app.images.declared import Declared
from kernelgan_jax.app.images.image import UnusableError
from kernelgan_jax.app.images.tiff_decoding import Decoded

MODES = {
    "1": ("L", "1-bit expanded to 0 and 255"),
    "L": ("L", ""),
    "LA": ("L", ""),
    "La": ("L", "premultiplied alpha divided out"),
    "P": ("RGB", "palette expanded"),
    "PA": ("RGB", "palette expanded"),
    "RGB": ("RGB", ""),
    "RGBA": ("RGB", ""),
    "RGBX": ("RGB", ""),
    "RGBa": ("RGB", "premultiplied alpha divided out"),
    "CMYK": ("RGB", ""),  # `inks` says how.
    "YCbCr": ("RGB", "YCbCr converted to RGB without its colour profile"),
    "I;16": ("I;16", ""),
    "I;16B": ("I;16B", ""),
    "I;16L": ("I;16L", ""),
    "I": ("I", ""),
}
"""For each of Pillow's modes: the mode it is read as, apart from alpha, and a note on
what that changes."""

_BAND_PIXELS = 2**20
"""Pixels that are converted at a time."""


def check_memory(found: Declared, size: int) -> None:
    """Checks what was not in the first bytes of a file of this size."""
    if problem := memory.problem_of(found, size):
        raise UnusableError(problem)


def all_of(file: IO[bytes]) -> bytes:
    """The content of a file."""
    file.seek(0)
    return file.read()


def read(
    image: ImageFile.ImageFile,
    file: IO[bytes],
    frame: int,
    frames: int,
    notes: list[str],
) -> Decoded:
    """The pixels of a picture that Pillow has opened.

    Args:
      image: The picture, at its frame.
      file: Its file.
      frame: Which of its frames, counted from 0.
      frames: How many there are.
      notes: Get what is changed or left out.
    """
    decoded = _read_by_imagecodecs(image, file, frame, frames, notes)
    if decoded is None:
        decoded = Decoded(*_read_bands(image, notes))
        decoded.is_turned = image.format == "TIFF"
        if image.format == "WEBP":
            decoded = without_opaque(decoded)
    return decoded


def _read_by_imagecodecs(
    image: ImageFile.ImageFile,
    file: IO[bytes],
    frame: int,
    frames: int,
    notes: list[str],
) -> Decoded | None:
    """Reads what Pillow would cut, misses or needs much memory for; else None.

    These are PNG and AVIF of more than 8 bits, and single pictures of AVIF and WebP,
    for which Pillow takes 4 to 6 times the memory of the pixels.
    """
    if image.format == "PNG":
        file.seek(24)  # In the header chunk, always first.
        depth, _, _, _, is_interlaced = file.read(5)
        if depth < 16:
            png_rows.check(file)
            _scale_key(image, depth)
            return None
        stored = (
            png_rows.read(file)
            if is_interlaced
            else imagecodecs.png_decode(all_of(file))
        )
    elif image.format == "AVIF":
        data = all_of(file)
        place = data.find(b"av1C")
        depth = data[place + 6] if place > 0 else 0
        if frames > 1 and not depth & 0x40:
            return None
        if frames > 1:
            check_memory(Declared(*image.size, 64 * frames), len(data))
        # All frames at once: to decode one of them breaks the memory (2026.3.6).
        stored = imagecodecs.avif_decode(data)
        stored = stored[frame] if frames > 1 else stored
        if stored.dtype == np.uint16:
            stored = netpbm.whole_range(stored, 12 if depth & 0x20 else 10, notes)
        sides = stored.shape[1], stored.shape[0]
        if frames == 1 and (shown := avif.crop(file, *sides)) is not None:
            notes.append("cropped as the file says")
            stored = stored[shown]
    elif image.format == "WEBP" and not _is_animated_webp(file):
        stored = imagecodecs.webp_decode(all_of(file))
    else:
        return None
    stored = stored if stored.ndim == 3 else stored[:, :, np.newaxis]
    return Decoded(stored, stored.shape[2] in (2, 4))


def _scale_key(image: ImageFile.ImageFile, depth: int) -> None:
    """Makes the gray level of a PNG that is transparent one of Pillow's pixels.

    Pillow scales these to 8 bits, but not their key.
    """
    if image.mode == "L" and "transparency" in image.info:
        image.info["transparency"] *= 255 // (2**depth - 1)


def _read_bands(
    image: ImageFile.ImageFile, notes: list[str]
) -> tuple[np.ndarray, bool]:
    """Reads with Pillow, converting some rows at a time to bound the memory.

    Returns:
      `H x W x C` array, uint8 or uint16, and whether its last channel is alpha.
    """
    mode, change = MODES[image.mode]
    profile = None
    if image.mode == "CMYK":
        profile = inks.usable(image.info.get("icc_profile"))
        change = inks.note_of(profile)
    if change:
        notes.append(change)
    image.load()
    has_alpha = image.has_transparency_data and mode in ("L", "RGB")
    if has_alpha:
        mode += "A"
    layout = ImageMode.getmode(mode)
    width, height = image.size
    stored = np.empty((height, width, len(layout.bands)), layout.typestr)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        band = image.crop((0, top, width, bottom))
        if profile is None:
            band = band.convert(mode)
            stored[top:bottom] = np.asarray(band).reshape(bottom - top, width, -1)
        else:
            stored[top:bottom] = inks.converted(np.asarray(band), profile)
    if stored.dtype == np.uint8:
        return stored, has_alpha
    # Pillow gives the samples of a deep PGM as 32-bit integers.
    return stored.astype(np.uint16, copy=False), False


def without_opaque(decoded: Decoded) -> Decoded:
    """Pixels without an alpha that hides nothing.

    Animations that store only what changes have one, whatever is shown.
    """
    top = np.iinfo(decoded.stored.dtype).max
    if not decoded.has_alpha or decoded.stored[..., -1].min() < top:
        return decoded
    return Decoded(decoded.stored[..., :-1])


def _is_animated_webp(file: IO[bytes]) -> bool:
    """Whether a WebP is an animation, whose frames may be parts of the picture.

    Of that imagecodecs reads no alpha where there is nothing, even of a single frame.
    """
    file.seek(12)
    head = file.read(9)
    return head.startswith(b"VP8X") and bool(head[8] & 2)
