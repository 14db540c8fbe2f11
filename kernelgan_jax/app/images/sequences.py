"""Animations and pages: when which frame is shown, and files that hold all of them.

Frames are written one after the other, as they are made, each as a whole picture.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import tifffile

from kernelgan_jax.app import files
from kernelgan_jax.app.files import Clipped
from kernelgan_jax.app.images import animations, gif, image_encoding, image_files
from kernelgan_jax.app.images.animation_frames import Frames
from kernelgan_jax.app.images.image import Image
from kernelgan_jax.app.images.image_encoding import png_chunk
from kernelgan_jax.app.images.image_kinds import PNG_START
from kernelgan_jax.app.images.metadata import png_chunks, split_png
from kernelgan_jax.app.images.pillow_settings import open_pillow, own_pillow_settings

HELD_BY = frozenset(("png", "webp", "gif", "tif"))
"""Formats that hold all frames in one file."""

UNKNOWN = 100.0
"""Milliseconds of a frame where they cannot be read."""

_LARGE = 2**31
"""Bytes from which a TIFF is a BigTIFF."""


class Timing(NamedTuple):
    """When the frames of an animation are shown."""

    milliseconds: tuple[float, ...]
    """For how long each frame is shown."""
    plays: int = 0
    """How often; 0 stands for ever."""
    has_alpha: bool = False
    """Whether there is alpha in any frame."""
    starts_still: bool = False
    """Whether the first frame is no part of the animation, but what programs show that
    know none."""


def read_timing(path: Path, image: Image) -> Timing:
    """When the frames of an image file are shown.

    Args:
      path: The file.
      image: Its first frame.

    Raises:
      ImageError: If a frame is damaged.
      OSError: If the file cannot be opened.
    """
    alpha = image.alpha is not None
    unknown = Timing((UNKNOWN,) * image.frames, 0, alpha)
    if image.format not in ("GIF", "PNG", "WEBP", "AVIF"):
        return unknown
    with files.open_regular(path) as file, own_pillow_settings([]):
        try:
            return _timing(file, image, alpha)
        except MemoryError:
            raise
        except Exception as error:  # Frames that are damaged raise anything.
            raise image_files.damaged(path, error) from error


def _timing(file: IO[bytes], image: Image, alpha: bool) -> Timing:
    """When the frames of an open animation are shown, which are decoded."""
    source = Clipped(split_png(file, [])[0]) if image.format == "PNG" else file
    found = animations.of_file(source, image.format)
    if found is not None:
        frames = Frames(found)
        places = range(len(found.parts))
        alpha = any([frames.read(source, place, []).has_alpha for place in places])
        shown = tuple(part.milliseconds for part in found.parts)
        return Timing(shown, found.plays, alpha, found.starts_still)
    with open_pillow(source) as opened:
        times = []
        for frame in range(image.frames):
            opened.seek(frame)
            opened.load()  # It is known afterwards.
            if image.format == "WEBP" and opened.mode == "RGBA":
                alpha |= bool(np.asarray(opened)[..., 3].min() < 255)
            times.append(float(opened.info.get("duration", 0)))
        plays = int(opened.info.get("loop", 0))
    return Timing(tuple(times), plays, alpha)


def write(
    path: Path,
    frames: Iterable[Image],
    format: str,
    *,
    count: int,
    timing: Timing,
    quality: int,
) -> None:
    """Writes one file with all frames.

    Args:
      path: The file.
      frames: The frames, as `image_encoding.fit` has returned them.
      format: One of `HELD_BY`.
      count: Number of the frames.
      timing: When they are shown; a TIFF has no place for it.
      quality: Of WebP.
    """
    if format == "tif":
        _write_pages(path, frames, count)
        return
    images = _alike(frames, timing.has_alpha)
    with open(path, "wb") as file:
        if format == "png":
            _write_apng(file, images, count, timing)
            return
        if timing.starts_still:
            next(images)
            timing = timing._replace(milliseconds=timing.milliseconds[1:])
        if format == "gif":
            _write_gif(file, images, timing)
        else:
            _write_webp(file, images, timing, quality)


def _alike(frames: Iterable[Image], has_alpha: bool) -> Iterator[Image]:
    """Frames of one size that have alpha all or none; ValueError if a size differs."""
    size = None
    for place, image in enumerate(frames):
        pixels = image.pixels
        size = size or pixels.shape[:2]
        if pixels.shape[:2] != size:
            raise ValueError(f"frame {place + 1} is of another size")
        if has_alpha and image.alpha is None:
            opaque = np.full(pixels.shape[:2], np.iinfo(pixels.dtype).max, pixels.dtype)
            yield image.with_alpha(opaque)
        else:
            yield image


def _write_pages(path: Path, frames: Iterable[Image], count: int) -> None:
    """A TIFF of all pages; they may differ in size and type."""
    pages = []
    writer: tifffile.TiffWriter | None = None
    try:
        for image in frames:
            page = image_encoding.tiff_page(image)
            is_large = count * page.stored.nbytes > _LARGE
            writer = writer or tifffile.TiffWriter(path, bigtiff=is_large)
            writer.write(page.stored, **page.options)
            pages.append(page.below)
    finally:
        if writer is not None:
            writer.close()
    with open(path, "r+b") as file:
        image_encoding.append_exif(file, pages)


# --- APNG ---


def _write_apng(
    file: IO[bytes], images: Iterable[Image], count: int, timing: Timing
) -> None:
    number = 0
    header = b""
    for place, image in enumerate(images):
        chunks = list(_chunks(image_encoding.encode_pixels(image, "png")))
        body = b"".join(data for kind, data in chunks if kind == b"IDAT")
        if not place:
            header = chunks[0][1]
            file.write(PNG_START + png_chunk(b"IHDR", header))
            for kind, data in png_chunks(image):
                file.write(png_chunk(kind, data))
            moving = count - timing.starts_still
            file.write(png_chunk(b"acTL", struct.pack(">II", moving, timing.plays)))
        if chunks[0][1] != header:
            raise ValueError(f"frame {place + 1} is of another kind")
        if place or not timing.starts_still:
            sides = header[:8]
            times = _fraction(timing.milliseconds[place])
            control = struct.pack(">I8sIIHHBB", number, sides, 0, 0, *times, 0, 0)
            file.write(png_chunk(b"fcTL", control))
            number += 1
        if place:
            file.write(png_chunk(b"fdAT", struct.pack(">I", number) + body))
            number += 1
        else:
            file.write(png_chunk(b"IDAT", body))
    file.write(png_chunk(b"IEND", b""))


def _fraction(milliseconds: float) -> tuple[int, int]:
    """A time in seconds as a fraction of two numbers of 16 bits."""
    for below in (1000, 100, 1):
        above = round(milliseconds * below / 1000)
        if above < 65536:
            return above, below
    return 65535, 1


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_START)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


# --- GIF ---


def _write_gif(file: IO[bytes], images: Iterable[Image], timing: Timing) -> None:
    shown = written = 0.0
    for place, image in enumerate(images):
        if not place:
            height, width = image.pixels.shape[:2]
            file.write(gif.header(width, height, timing.plays))
        lasts = timing.milliseconds[place]
        shown += lasts
        hundredths = round((shown - written) / 10)  # What was rounded is made up for.
        if lasts > 10:  # Less than two are shown slowly.
            hundredths = max(hundredths, 2)
        hundredths = min(hundredths, 65535)
        written += 10 * hundredths
        found = gif.indexed(image.pixels, image.alpha)
        file.write(gif.frame(found, hundredths, clears=timing.has_alpha))
    file.write(gif.END)


# --- WebP ---


def _write_webp(
    file: IO[bytes], images: Iterable[Image], timing: Timing, quality: int
) -> None:
    file.write(b"RIFF\0\0\0\0WEBP")
    behind = b""
    for place, image in enumerate(images):
        height, width = image.pixels.shape[:2]
        sides = _three(width - 1) + _three(height - 1)
        if not place:
            found = image.icc_profile, timing.has_alpha, image.exif, image.xmp
            flags = 2 + sum(b for b, f in zip((32, 16, 8, 4), found, strict=True) if f)
            file.write(_riff(b"VP8X", bytes([flags, 0, 0, 0]) + sides))
            if image.icc_profile:
                file.write(_riff(b"ICCP", image.icc_profile))
            plays = min(timing.plays, 65535)
            file.write(_riff(b"ANIM", struct.pack("<IH", 0, plays)))
            if image.exif:
                behind += _riff(b"EXIF", image.exif.removeprefix(b"Exif\0\0"))
            if image.xmp:
                behind += _riff(b"XMP ", image.xmp)
        lasts = min(round(timing.milliseconds[place]), 2**24 - 1)
        # The last bits: not blended with the frame before, and not removed.
        control = bytes(6) + sides + _three(lasts) + b"\x02"
        still = image_encoding.encode_pixels(image, "webp", quality=quality)
        data = b"".join(
            _riff(kind, body)
            for kind, body in _riff_chunks(still)
            if kind in (b"ALPH", b"VP8 ", b"VP8L")
        )
        file.write(_riff(b"ANMF", control + data))
    file.write(behind)
    size = file.tell() - 8
    if size >= 2**32:
        raise ValueError("the animation is too large for WebP; choose --format=png")
    file.seek(4)
    file.write(struct.pack("<I", size))


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _riff_chunks(webp: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(webp):
        kind, size = struct.unpack_from("<4sI", webp, at)
        yield kind, webp[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
