"""The frames of an animation as they are shown.

A frame is a part of the picture, which is put onto what the frames before have left.
Each is decoded as a file of its own and put there as browsers do it; Pillow makes other
colours of half-transparent pixels, and shows some colour where there is nothing.
"""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
from PIL import ImageFile, UnidentifiedImageError

from kernelgan_jax.app.images import pillow_pixels
from kernelgan_jax.app.images.animations import (
    CLEAR,
    RESTORE,
    Animation,
    Part,
    own_file,
)
from kernelgan_jax.app.images.pillow_settings import open_pillow
from kernelgan_jax.app.images.tiff_decoding import Decoded, Tiff

_BAND = 64
"""Rows that are blended at a time."""


class Frames:
    """The frames of an animated GIF or PNG.

    Args:
      animation: The animation.
      are_many: Whether other frames follow the one that is read first. They are then
        made from what the one before has left, which is kept.
    """

    def __init__(self, animation: Animation, *, are_many: bool = True):
        self.animation = animation
        self._are_many = are_many
        self._first = self._next = -1
        self._shown: Iterator[Decoded]
        self._file: IO[bytes]
        self._notes: list[str]

    def read(self, file: IO[bytes], frame: int, notes: list[str]) -> Decoded:
        """A frame as it is shown; it counts until the next one is read.

        Args:
          file: The file; it may have been closed and opened again.
          frame: Which frame, counted from 0.
          notes: Get what is changed or left out.
        """
        self._file, self._notes = file, notes
        first = frame + 1 - len(self.animation.parts_of(frame))
        if not self._first <= first <= self._next <= frame:
            end = None if self._are_many else frame + 1
            self._first = self._next = first
            self._shown = self._composed(self.animation.parts[first:end])
        skipped, self._next = frame - self._next, -1  # After an error all is made anew.
        decoded = next(itertools.islice(self._shown, skipped, None))
        self._next = frame + 1
        return decoded

    def _composed(self, parts: Sequence[Part]) -> Iterator[Decoded]:
        """What is shown when each of some parts is put onto an empty picture.

        Alpha that hides nothing is left out.
        """
        size = self.animation.height, self.animation.width, self.animation.channels + 1
        canvas: np.ndarray | None = None
        # What a part is put onto, and what follows there.
        below, left = np.empty(0), None
        for part in parts:
            if left is not None:
                below[...], left = left, None
            found = _decoded(self._file, part, self._notes)
            picture = _in_channels(found, self.animation.channels)
            del found
            is_whole = canvas is None and self.animation.is_filled_by(part)
            if is_whole:  # Before more memory is taken.
                yield pillow_pixels.without_opaque(picture)
            if canvas is None:
                canvas = np.zeros(size, picture.stored.dtype)
            place = part.place
            below = canvas[place.top : place.bottom, place.left : place.right]
            if part is not parts[-1]:
                left = _left(below, part.disposal)
            _put(below, picture, is_blended=part.is_blended)
            del picture  # Before the next one is decoded.
            if not is_whole:
                yield pillow_pixels.without_opaque(Decoded(canvas, has_alpha=True))


@dataclasses.dataclass
class Kept:
    """What is kept of a file from one frame to the next.

    With it, the time for all frames in order grows with their number, and not with its
    square.
    """

    frames: Frames | None = None
    """Of an animated GIF or PNG."""
    opened: ImageFile.ImageFile | None = None
    """An animated WebP or AVIF as Pillow has opened it, with the file's content."""
    tiff: Tiff | None = None
    """A TIFF, with the tags of all its pages."""
    count: int = 0
    """Number of frames of a JPEG XL, or 0 if it is not known."""
    state: tuple[int, ...] = ()
    """Of which file, by its number, size and time."""

    def check(self, file: IO[bytes]) -> None:
        """Drops what is kept if it is of another file, or if that was changed."""
        found = os.fstat(file.fileno())
        state = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
        if state != self.state:
            self.frames, self.opened, self.tiff = None, None, None
            self.count, self.state = 0, state


def _left(below: np.ndarray, disposal: int) -> np.ndarray | None:
    """What replaces a part before the next one; None for nothing."""
    if disposal == RESTORE:
        return below.copy()
    return np.zeros_like(below[:1]) if disposal == CLEAR else None


def _decoded(file: IO[bytes], part: Part, notes: list[str]) -> Decoded:
    """The picture of a part, decoded as a file of its own."""
    own, found = own_file(file, part), list[str]()
    try:
        image = open_pillow(own)
    except UnidentifiedImageError:  # It would be said of the whole file.
        raise ValueError("the start of a frame") from None
    with image:
        decoded = pillow_pixels.read(image, own, 0, 1, found)
    notes.extend(note for note in found if note not in notes)
    return decoded


def _in_channels(picture: Decoded, channels: int) -> Decoded:
    """A picture with so many channels beside alpha: a gray one may become RGB."""
    stored = picture.stored
    if stored.shape[2] - picture.has_alpha == channels:
        return picture
    places = [0] * channels + [1] * picture.has_alpha
    return Decoded(np.take(stored, places, axis=2), picture.has_alpha)


def _put(below: np.ndarray, picture: Decoded, *, is_blended: bool) -> None:
    """Puts a picture onto a part of the canvas, in place.

    Args:
      below: `H x W x C`, with alpha.
      picture: At least as large.
      is_blended: Whether what is below is seen through it.
    """
    top = np.iinfo(below.dtype).max
    above = picture.stored[: below.shape[0], : below.shape[1]]
    if not picture.has_alpha:
        below[..., :-1] = above
        below[..., -1] = top
        return
    if not is_blended:
        below[...] = above
        return
    pixel = f"u{below.itemsize * below.shape[-1]}"
    for row in range(0, len(below), _BAND):
        under, over = below[row : row + _BAND], above[row : row + _BAND]
        alpha = over[..., -1]
        # Pixels are copied as one number each, which is faster.
        np.copyto(
            under.view(pixel)[..., 0], over.view(pixel)[..., 0], where=alpha == top
        )
        half = (alpha > 0) & (alpha < top)
        if half.any():
            under[half] = _blended(under[half] / top, over[half] / top, top)


def _blended(under: np.ndarray, over: np.ndarray, top: int) -> np.ndarray:
    """Pixels in [0, 1] with alpha seen through others, which are not transparent.

    The result is in [0, top], in whole numbers.
    """
    alpha, rest = over[:, -1:], under[:, -1:] * (1 - over[:, -1:])
    both = alpha + rest
    colour = (over[:, :-1] * alpha + under[:, :-1] * rest) / both
    return np.rint(np.concatenate([colour, both], axis=1) * top)
