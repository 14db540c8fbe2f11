"""Pillow as this package reads with it: formats, and limits and warnings, which are
global.
"""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import IO

from PIL import Image as pillow
from PIL import ImageFile

from kernelgan_jax.app.images.image import MAX_PIXELS, UnusableError
from kernelgan_jax.app.terminal import printable

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "AVIF")
"""The formats that are tried, whatever a file's suffix. Pillow knows others that run
outside programs (EPS) or have no pixels."""

_ODD_BMP = "Unsupported BMP"
"""Start of what Pillow says of a BMP such as one of 10 bits per colour."""

_PILLOW_LOCK = threading.Lock()
"""Held while Pillow's global limits are changed."""


@contextlib.contextmanager
def own_pillow_settings(notes: list[str]) -> Iterator[None]:
    """Sets Pillow's limits, and turns its warnings about odd metadata into notes.

    Pillow keeps its limits in globals, and the program that imports this library may
    need others (or may have chosen to fill truncated files), so they are put back.
    """
    with _PILLOW_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        saved = pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = MAX_PIXELS, False
        try:
            yield
        finally:
            pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = saved
    notes.extend(printable(warning.message).strip() for warning in caught)


def open_pillow(file: IO[bytes]) -> ImageFile.ImageFile:
    """An image file as Pillow opens it.

    Raises:
      UnusableError: If it is a BMP of a layout that Pillow does not know.
    """
    file.seek(0)
    try:
        return pillow.open(file, formats=_FORMATS)
    except OSError as error:
        if str(error).startswith(_ODD_BMP):
            raise UnusableError(
                f"is a BMP of a layout that is not supported ({error}); export it as "
                "PNG"
            ) from None
        raise
