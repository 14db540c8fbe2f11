"""Writing images as PNG, JPEG, WebP, AVIF, GIF or TIFF, with their metadata."""

import dataclasses
import io
import math
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from PIL import ExifTags, TiffImagePlugin
from PIL import Image as pillow

from kernelgan_jax.app.images import avif, colour_profiles, gif
from kernelgan_jax.app.images.exif import (
    OTHER_TEXTS,
    RATINGS,
    TEXTS_OF_WINDOWS,
    AsRead,
    folders_below,
)
from kernelgan_jax.app.images.image import Image
from kernelgan_jax.app.images.metadata import (
    COLOUR_CHUNKS,
    GEO_TAGS,
    png_chunks,
)
from kernelgan_jax.app.job import QUALITY, SAME

_NAMES = {
    "png": "PNG",
    "jpg": "JPEG",
    "webp": "WebP",
    "avif": "AVIF",
    "gif": "GIF",
    "tif": "TIFF",
}

_OF_PILLOW = {name.upper(): suffix for suffix, name in _NAMES.items()}
"""The suffix for each format, as Pillow names it, that is written again."""

_OF_FRAMES = ("png", "webp", "gif")
"""Formats that hold frames of one size; pages may differ."""

_LONGEST_SIDE = {
    "jpg": 65500, "webp": 16383, "avif": 65535, "gif": 65535, "png": 1_000_000,
}  # fmt: skip
"""Pixels of the longest side that a format can have. Programs read no longer PNG."""

_HIGHEST_DENSITY = 65535
"""Most pixels per inch that a JPEG can state."""

_OF_SCREENS = (72, 96)
"""Pixels per inch that programs state where nobody has chosen any."""

_LONGEST_BLOCK = 65500
"""Bytes of the longest EXIF or XMP block in a JPEG."""

_EXIF_TEXTS = (270, 271, 272, 305, 306, 315, 33432, *OTHER_TEXTS)
"""Tags of EXIF that are texts among the first tags of a TIFF."""


class Fitted(NamedTuple):
    """An image in the form in which a format can hold it."""

    image: Image
    """What is written."""
    format: str
    """One of `FORMATS`."""
    notes: tuple[str, ...]
    """What is not as it was asked for, or is lost; these continue "super-resolved"."""


def fit(image: Image, wanted: str) -> Fitted:
    """Makes an image fit for a format, or chooses another that can hold it.

    Args:
      image: The image; `Image.format` is that of the file that it comes from.
      wanted: One of `FORMATS`, or `SAME`; PNG takes the place of formats that cannot be
        written.
    """
    kind = _OF_PILLOW.get(image.format, "png") if wanted == SAME else wanted
    height, width, channels = image.pixels.shape
    notes = []
    held = ""
    if image.bands:
        held = f"{channels} bands"
    elif image.pixels.dtype not in (np.uint8, np.uint16):
        held = f"{image.pixels.dtype}"
    elif image.frames > 1 and image.format == "TIFF" and kind in _OF_FRAMES:
        held = "pages"
    if held and kind != "tif":
        notes.append(f"to a TIFF, as {_NAMES[kind]} cannot hold {held}")
        kind = "tif"
    longest = max(height, width)
    if longest > _LONGEST_SIDE.get(kind, longest):
        other = "png" if longest <= _LONGEST_SIDE["png"] else "tif"
        notes.append(f"to a {_NAMES[other]}, as it is too large for {_NAMES[kind]}")
        kind = other
    if image.frames > 1 and kind in ("jpg", "avif"):
        notes.append(f"each in a file of its own, as {_NAMES[kind]} holds one")
    if image.frames > 1 and kind == "tif" and image.format != "TIFF":
        notes.append("without the time for which each is shown")
    image = _with_profile(image, kind)
    notes += _lost(image, kind)
    if kind == "png" and colour_profiles.is_of_other_colours(
        image.icc_profile, channels
    ):
        own = "gray" if channels == 1 else "RGB"
        notes.append(f"without its profile, which is not of {own}")
        image = dataclasses.replace(image, icc_profile=None)
    if kind in ("png", "tif"):
        return Fitted(image, kind, tuple(notes))
    pixels, alpha = image.pixels, image.alpha
    if pixels.dtype == np.uint16:
        notes.append(f"with 16 bits rounded to 8 for {_NAMES[kind]}")
        pixels = _to_8_bits(pixels)
        alpha = None if alpha is None else _to_8_bits(alpha)
    if kind == "gif":
        notes.append("with at most 256 colours" + " each" * (image.frames > 1))
        if alpha is not None and not np.isin(alpha, (0, 255)).all():
            notes.append("without half-transparent pixels")
    if kind == "jpg" and alpha is not None:
        notes.append("on white, as JPEG has no alpha")
        pixels, alpha = _on_white(pixels, alpha), None
    exif, xmp, profile, dpi = image.exif, image.xmp, image.icc_profile, image.dpi
    if kind in ("webp", "avif") and profile is not None and profile[16:20] == b"GRAY":
        notes.append(f"without its profile, as {_NAMES[kind]} is never gray")
        profile = None
    if kind == "jpg" and exif is not None and len(exif) > _LONGEST_BLOCK:
        notes.append("without EXIF, which is too long for JPEG")
        exif = None
    if kind == "jpg" and xmp is not None and len(xmp) > _LONGEST_BLOCK:
        notes.append("without XMP, which is too long for JPEG")
        xmp = None
    if kind == "jpg" and dpi is not None and max(dpi) > _HIGHEST_DENSITY:
        notes.append("without pixels per inch, of which there are too many for JPEG")
        dpi = None
    fitted = dataclasses.replace(
        image,
        pixels=pixels,
        alpha=alpha,
        icc_profile=profile,
        exif=exif,
        xmp=xmp,
        dpi=dpi,
    )
    return Fitted(fitted, kind, tuple(notes))


def encode_pixels(image: Image, format: str, *, quality: int = QUALITY) -> bytes:
    """The same as `encode` without any metadata."""
    return encode(Image(image.pixels, image.alpha), format, quality=quality)


def encode(image: Image, format: str, *, quality: int = QUALITY) -> bytes:
    """The file of an image.

    Args:
      image: An image that `fit` has returned.
      format: The format that `fit` has returned.
      quality: Of JPEG, WebP and AVIF, from 1 to 100; 100 stands for lossless WebP.
    """
    if format == "gif":
        return gif.still(image.pixels, image.alpha)
    if format == "tif":
        return _tiff(image)
    stored = _stored(image)
    if format == "png":
        return _png(stored, image)
    options: dict[str, Any] = {"quality": quality}
    if image.icc_profile is not None:
        options["icc_profile"] = image.icc_profile
    if image.exif is not None:
        options["exif"] = image.exif
    if image.xmp is not None:
        options["xmp"] = image.xmp
    if format == "jpg":
        options |= {"subsampling": 0}
        if image.dpi is not None:
            options["dpi"] = tuple(round(x) for x in image.dpi)
    if format == "webp":
        options |= {"lossless": quality == 100, "exact": True}
    if format == "avif":
        options |= {"subsampling": "4:4:4"}
    file = io.BytesIO()
    picture = pillow.fromarray(stored)
    if picture.mode == "LA":
        picture = picture.convert("RGBA")
    picture.save(file, _NAMES[format].upper(), **options)
    if format == "jpg" and image.dpi is None and image.aspect is not None:
        _write_aspect(file, image.aspect)
    data = file.getvalue()
    return avif.with_colours(data, image) if format == "avif" else data


def _write_aspect(file: BinaryIO, aspect: tuple[int, int]) -> None:
    """Says in the header of a JPEG (JFIF) what shape a pixel has."""
    x, y = aspect
    while max(x, y) > 65535:
        x, y = max(x // 2, 1), max(y // 2, 1)
    file.seek(13)  # Unit 0 stands for none.
    file.write(struct.pack(">BHH", 0, x, y))


def write(
    path: str | os.PathLike[str],
    image: Image,
    format: str,
    *,
    quality: int = QUALITY,
) -> None:
    """Writes the file of an image; see `encode`.

    Raises:
      OSError: If the file cannot be written.
    """
    data = encode(image, format, quality=quality)
    with open(path, "wb") as file:
        file.write(data)


def _with_profile(image: Image, kind: str) -> Image:
    """The image with an ICC profile for what chunks of a PNG say of its colours."""
    names = [name for name, _ in image.chunks]
    is_held = kind in ("png", "gif") or (kind == "avif" and b"cICP" in names)
    if is_held or image.icc_profile is not None or not image.is_colour:
        return image
    profile = colour_profiles.of_chunks(image.chunks)
    if profile is None:
        return image
    chunks = colour_profiles.without_colours(image.chunks)
    return dataclasses.replace(image, icc_profile=profile, chunks=chunks)


def _lost(image: Image, kind: str) -> list[str]:
    """A note on metadata that the format does not hold."""
    names = [] if kind == "png" else [name for name, _ in image.chunks]
    # sRGB is what is assumed without it; other chunks beside it only say the same.
    is_srgb = colour_profiles.is_srgb(image.chunks)
    held = {b"sRGB", b"gAMA", b"cHRM"} if is_srgb else set()
    if kind == "avif":
        held.add(b"cICP")
    lost = [n.decode() for n in names if n in COLOUR_CHUNKS and n not in held]
    if not set(names) <= set(COLOUR_CHUNKS):
        lost.append("texts")
    dpi = image.dpi or (1, 1)
    is_square = image.aspect is None and math.isclose(*dpi, rel_tol=0.01)
    if kind not in ("png", "jpg", "tif"):
        if not is_square:
            lost.append("the shape of a pixel")
        elif image.dpi and round(dpi[0]) not in _OF_SCREENS and not _has_density(image):
            lost.append("pixels per inch")
    if kind != "tif" and not image.geo.keys() <= {42112, 42113}:
        lost.append("the georeference")
    if kind == "gif":
        found = (image.icc_profile, image.exif, image.xmp)
        kinds = ("ICC profile", "EXIF", "XMP")
        lost += [name for name, value in zip(kinds, found, strict=True) if value]
    if not lost:
        return []
    return [f"without {', '.join(lost)}, which {_NAMES[kind]} cannot hold"]


def _has_density(image: Image) -> bool:
    """Whether EXIF has the pixels per inch, too."""
    exif = pillow.Exif()
    exif.load(image.exif or b"")
    return ExifTags.Base.XResolution in exif


def _to_8_bits(stored: np.ndarray) -> np.ndarray:
    # (x + 128) // 257 is x / 257 rounded; no larger type is needed but at the top.
    return ((stored.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., np.newaxis].astype(np.float32) / np.float32(255)
    return np.rint(255 - (255 - pixels.astype(np.float32)) * share).astype(np.uint8)


def _stored(image: Image) -> np.ndarray:
    """The samples with alpha as the last channel, without axes of length 1."""
    stored = image.pixels
    if image.alpha is not None:
        stored = np.concatenate([stored, image.alpha[..., np.newaxis]], axis=-1)
    if stored.shape[-1] == 1:
        stored = stored[..., 0]
    return np.ascontiguousarray(stored)


# --- PNG ---


def _png(stored: np.ndarray, image: Image) -> bytes:
    data = imagecodecs.png_encode(stored)
    # imagecodecs writes pixels only. The other chunks are put after the header, which
    # is always 33 bytes with the signature.
    chunks = [png_chunk(kind, body) for kind, body in png_chunks(image)]
    return b"".join([data[:33], *chunks, memoryview(data)[33:]])


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG with its length and its check."""
    length = struct.pack(">I", len(data))
    return length + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# --- TIFF ---


class TiffPage(NamedTuple):
    """A page of a TIFF, as tifffile writes it."""

    stored: np.ndarray
    """The samples."""
    options: dict[str, Any]
    """How they are written: with lossless compression, in the type that they have."""
    below: dict[int, dict[int, Any]]
    """Tags of EXIF that `append_exif` writes behind the pages."""


def _tiff(image: Image) -> bytes:
    page = tiff_page(image)
    file = io.BytesIO()
    tifffile.imwrite(file, page.stored, **page.options)
    append_exif(file, [page.below])
    return file.getvalue()


def tiff_page(image: Image) -> TiffPage:
    """An image as a page of a TIFF."""
    stored = _stored(image)
    channels = image.pixels.shape[2]
    colours = 3 if image.is_colour or image.rgb_first else 1
    extras = ["unspecified"] * (channels - colours)
    extras += ["unassalpha"] * (image.alpha is not None)
    exif = pillow.Exif()
    if image.exif is not None:
        exif.load(image.exif)
    tags = list(_exif_tags(exif))
    if image.xmp is not None:
        tags.append((700, "B", len(image.xmp), image.xmp, True))
    for tag, value in image.geo.items():
        count = 0 if GEO_TAGS[tag] == "s" else np.size(value)
        if isinstance(value, str):
            value = value.encode()
        tags.append((tag, GEO_TAGS[tag], count, value, True))
    below = folders_below(exif)
    # tifffile writes no pointers: neighbours of theirs are changed into them below.
    tags += [(tag + 1, "I", 1, 0, True) for tag in below]
    options = _resolution(image, exif)
    predicted = stored.dtype in (np.uint8, np.uint16, np.float32, np.float64)
    options |= {
        "photometric": "rgb" if colours == 3 else "minisblack",
        "planarconfig": "contig" if stored.ndim == 3 else None,
        "extrasamples": extras or None,
        "compression": "adobe_deflate",
        "predictor": predicted,
        "iccprofile": image.icc_profile,
        "software": False,
        "metadata": None,
        "extratags": tags,
    }
    return TiffPage(stored, options, below)


def _exif_tags(exif: pillow.Exif) -> Iterator[tuple[Any, ...]]:
    """What is written of EXIF among the first tags of a TIFF, for tifffile."""
    for tag in _EXIF_TEXTS:
        if tag in exif:
            yield tag, "s", 0, AsRead(exif[tag]).encode(), True
    for tag in RATINGS:
        if exif.get(tag) in range(2**16):
            yield tag, "H", 1, int(exif[tag]), True
    for tag in TEXTS_OF_WINDOWS:
        if isinstance(exif.get(tag), bytes):
            yield tag, "B", len(exif[tag]), exif[tag], True


def _resolution(image: Image, exif: pillow.Exif) -> dict[str, Any]:
    """The options of tifffile for the pixels per inch, or the shape of a pixel."""
    if image.dpi is not None:
        return {"resolution": image.dpi, "resolutionunit": "INCH"}
    if image.aspect is not None:
        return {"resolution": image.aspect, "resolutionunit": "NONE"}
    Base = ExifTags.Base
    try:
        x, y = float(exif[Base.XResolution]), float(exif[Base.YResolution])
        unit = int(exif.get(Base.ResolutionUnit, 2))
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return {}  # There is none, or of another type.
    if unit not in (2, 3) or not all(1 < value < 1e6 for value in (x, y)):
        return {}
    return {"resolution": (x, y), "resolutionunit": unit}


def append_exif(file: BinaryIO, below: Sequence[dict[int, dict[int, Any]]]) -> None:
    """Writes tags of EXIF behind a TIFF, and lets those of its pages point to them.

    Args:
      file: The file, open for reading and writing.
      below: `TiffPage.below` of each page.
    """
    for page, tags in enumerate(below):
        for tag, ifd in tags.items():
            _append_ifd(file, page, tag, ifd)


def _append_ifd(file: BinaryIO, page: int, tag: int, ifd: dict[int, Any]) -> None:
    """Writes tags behind a TIFF and lets a tag of one of its pages point to them."""
    end = file.seek(0, os.SEEK_END)
    file.write(b"\0" * (end % 2))
    end += end % 2
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        if tiff.is_bigtiff:
            return  # The appended tags have the classic form.
        found = tiff.pages[page]
        assert isinstance(found, tifffile.TiffPage)
        pointer, order = found.tags[tag + 1], tiff.byteorder
    directory = TiffImagePlugin.ImageFileDirectory_v2(
        b"II*\0\0\0\0\0" if order == "<" else b"MM\0*\0\0\0\0", group=tag
    )
    for number, value in ifd.items():
        directory[number] = value
    try:
        data = directory.tobytes(end)
    except Exception:  # Values of a wrong type make Pillow raise anything.
        return
    file.seek(end)
    file.write(data)
    file.seek(pointer.offset)
    file.write(struct.pack(order + "H", tag))
    file.seek(pointer.valueoffset)
    file.write(struct.pack(order + "I", end))
