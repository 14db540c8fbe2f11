"""Reading JPEG XL: samples of any depth, frames of animations, bands."""

from typing import IO

import imagecodecs
import numpy as np
from PIL import Image as pillow

from kernelgan_jax.app.images import declared
from kernelgan_jax.app.images.image import MAX_PIXELS
from kernelgan_jax.app.images.netpbm import whole_range
from kernelgan_jax.app.images.tiff_decoding import Decoded


def read(file: IO[bytes], frame: int, notes: list[str]) -> tuple[Decoded, int]:
    """Reads a JPEG XL, which imagecodecs turns upright.

    Args:
      file: The file.
      frame: Which of its frames, counted from 0.
      notes: Get what is changed or left out.

    Returns:
      The pixels, and the number of frames.

    Raises:
      DecompressionBombError: If it is too large.
      ValueError: If it has no codestream.
      JpegxlError: If the codestream is damaged.
    """
    found = declared.jpegxl_header(file)
    if found is None:
        raise ValueError("no codestream")
    if found.width * found.height > MAX_PIXELS:
        raise pillow.DecompressionBombError
    file.seek(0)
    stored = imagecodecs.jpegxl_decode(file.read())
    # Gray frames have no axis for channels.
    is_animation = stored.ndim == 4 or (stored.ndim == 3 and found.channels == 1)
    frames = len(stored) if is_animation else 1
    if is_animation:
        stored = stored[frame]
    if stored.ndim == 2:
        stored = stored[:, :, np.newaxis]
    # Gray with other samples than alpha comes as planes.
    bands = sorted(stored.shape[:2]) != sorted((found.height, found.width))
    if bands:
        stored = np.moveaxis(stored, 0, -1)
        notes.append(f"{stored.shape[2]} bands, all of them used")
    if stored.dtype.kind == "u":
        stored = whole_range(stored, found.depth, notes)
    notes.append("metadata of JPEG XL left out")
    return Decoded(stored, not bands and stored.shape[2] in (2, 4), bands), frames
