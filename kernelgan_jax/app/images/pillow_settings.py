"""Pillow's limits and warnings, which are global, while this package reads."""

import contextlib
import threading
import warnings
from collections.abc import Iterator

from PIL import Image as pillow
from PIL import ImageFile

from kernelgan_jax.app.images.image import MAX_PIXELS
from kernelgan_jax.app.terminal import printable

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
