"""Image files in, plain pixel arrays out, and back.

The only module that knows image file formats. Pillow reads everything except PNG
and TIFF with 16 bits per sample, which Pillow would cut to 8 bits; imagecodecs
reads those with all their bits.
"""

import contextlib
import dataclasses
import glob
import os
import pathlib
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import imagecodecs
import numpy as np
from PIL import ExifTags, ImageFile, ImageMode, UnidentifiedImageError
from PIL import Image as pillow

from kernelgan_jax.pixels import UNIT_SLACK

MAX_PIXELS = 10**9
"""Largest image that is read, in pixels; a larger one is taken for a bomb."""


IMAGE_SUFFIXES = frozenset(
    ".png .jpg .jpeg .tif .tiff .bmp .webp .gif .ppm .pgm .pbm .pnm".split()
)
"""Suffixes, in lower case, by which `find` knows images in folders and globs."""


# A named file may have any suffix, but only these formats are tried: Pillow knows
# others that run outside programs (EPS) or carry no pixels.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")


# Pillow mode -> the mode it is read as, alpha aside, and what that changes.
_MODES = {
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
    "CMYK": ("RGB", "CMYK converted to RGB without its colour profile"),
    "YCbCr": ("RGB", "YCbCr converted to RGB without its colour profile"),
    "I;16": ("I;16", ""),
    "I;16B": ("I;16B", ""),
    "I;16L": ("I;16L", ""),
    "I": ("I", ""),
    "F": ("F", "floats in [0, 1] scaled to 16-bit"),
}


# What is kept of a TIFF's own tags as EXIF; the others describe the file's layout.
_TIFF_EXIF = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.Copyright,
        ExifTags.IFD.Exif,
        ExifTags.IFD.GPSInfo,
    }
)


_TIFF_BITS_PER_SAMPLE = 258


_TIFF_PLANAR_CONFIGURATION = 284


_TIFF_EXTRA_SAMPLES = 338


_PREMULTIPLIED_ALPHA = 1


_BAND_PIXELS = 2**20


_PILLOW_LOCK = threading.Lock()


class ImageError(ValueError):
    """A problem with an image; its message is one line to show to the user."""


class Found(NamedTuple):
    """What `find` found.

    Attributes:
        paths: the image files, each once, in the order of the patterns.
        problems: one error for each pattern that gave nothing.
    """

    paths: list[pathlib.Path]
    problems: list[ImageError]


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """An image file's contents, upright.

    Attributes:
        pixels: H x W x C array, C = 1 (gray) or 3 (RGB), uint8 in [0, 255] or
            uint16 in [0, 65535].
        alpha: H x W opacity of the same dtype, or None. Colour is not composited
            with it: `pixels` are as stored, also where nothing is visible.
        icc_profile: the ICC profile which describes `pixels`, or None.
        exif: the EXIF block without its orientation tag, or None.
        note: what was converted, kept apart or left out, parts joined by "; ";
            empty if nothing was.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    note: str = ""


def find(patterns: Sequence[str | os.PathLike[str]]) -> Found:
    """Finds image files.

    Args:
        patterns: each a file (taken whatever its suffix), a folder (the images
            directly in it) or a glob, in which `**` stands for any folders.
            Folders and globs give the files with one of `IMAGE_SUFFIXES` in
            either case, sorted by path, without hidden ones.

    Returns:
        The paths and the problems: a pattern that gives nothing is reported
        without losing the others. A file reached twice, also through a link, is
        returned once, at its first place. Nothing is opened.
    """
    paths: dict[pathlib.Path, pathlib.Path] = {}
    problems: list[ImageError] = []
    for given in patterns:
        pattern = os.fspath(given)
        try:
            for path in _expand(pattern):
                paths.setdefault(path.resolve(), path)
        except ImageError as error:
            problems.append(error)
        except OSError as error:
            reason = _one_line(error.strerror or error)
            problems.append(_error(pattern, f"cannot be looked up: {reason}"))
    return Found(list(paths.values()), problems)


def read(path: str | os.PathLike[str]) -> Image:
    """Reads an image file: PNG, JPEG, TIFF, BMP, WebP, GIF or PPM/PGM/PBM.

    The EXIF orientation is applied. Of an animation or a multi-page file the first
    frame is read. An alpha channel, or a palette's transparency, is kept apart and
    the colour used as stored, not composited: a kernel is estimated from what was
    recorded. Samples of more than 8 bits give uint16 and all others uint8; colour
    in CMYK or a palette becomes RGB.

    Peak memory is about 2.5 times that of the returned array. Calls from several
    threads take turns, because Pillow's limits, global to the process, are set for
    the duration of the call and put back after it.

    Args:
        path: the file.

    Returns:
        The image.

    Raises:
        ImageError: the file is missing, a folder, not permitted, empty, damaged,
            incomplete, not an image of a supported kind, larger than `MAX_PIXELS`,
            or has values which do not fit (floats outside [0, 1], integers outside
            16 bits).
    """
    try:
        if os.path.isdir(path):
            raise _error(path, "is a folder, not an image; name a file in it")
        file = open(path, "rb")
    except FileNotFoundError:
        raise _error(path, "no such file; check the path") from None
    except PermissionError:
        message = "may not be read; check the file's permissions"
        raise _error(path, message) from None
    except OSError as error:
        reason = _one_line(error.strerror or error)
        raise _error(path, f"cannot be opened: {reason}") from error
    with file:
        if os.fstat(file.fileno()).st_size == 0:
            raise _error(path, "is empty (0 bytes); copy or export it again")
        try:
            return _decode(file)
        except _Unusable as error:
            raise _error(path, str(error)) from None
        except UnidentifiedImageError:
            message = (
                f"is not an image that can be read ({', '.join(_FORMATS)}), or its "
                "start is damaged; if it opens elsewhere, export it as PNG"
            )
            raise _error(path, message) from None
        except (pillow.DecompressionBombError, pillow.DecompressionBombWarning):
            message = f"has more than {MAX_PIXELS:,} pixels; crop it or scale it down"
            raise _error(path, message) from None
        except MemoryError:
            message = "does not fit in memory; crop it or scale it down"
            raise _error(path, message) from None
        except Exception as error:
            # A damaged file makes the decoders raise nearly anything: OSError,
            # SyntaxError, struct.error, RuntimeError, ...
            reason = _one_line(error) or type(error).__name__
            message = f"is damaged or incomplete ({reason}); copy or export it again"
            raise _error(path, message) from error


def write_png(path: str | os.PathLike[str], image: Image) -> None:
    """Writes a PNG of 8 or 16 bits with alpha, ICC profile and EXIF.

    Args:
        path: the file, replaced if it exists.
        image: what to write; its note is left aside.

    Raises:
        OSError: the file cannot be written.
    """
    stored = image.pixels
    if image.alpha is not None:
        stored = np.concatenate([stored, image.alpha[..., np.newaxis]], axis=-1)
    if stored.shape[-1] == 1:
        stored = stored[..., 0]
    data = imagecodecs.png_encode(np.ascontiguousarray(stored))
    # imagecodecs writes pixels alone: the other chunks follow the header, which is
    # always 33 bytes with the signature.
    chunks = [data[:33]]
    if image.icc_profile is not None:
        profile = b"ICC profile\0\0" + zlib.compress(image.icc_profile)
        chunks.append(_png_chunk(b"iCCP", profile))
    if image.exif is not None:
        chunks.append(_png_chunk(b"eXIf", image.exif.removeprefix(b"Exif\0\0")))
    with open(path, "wb") as file:
        file.writelines([*chunks, memoryview(data)[33:]])


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    length = struct.pack(">I", len(data))
    return length + kind + data + struct.pack(">I", zlib.crc32(kind + data))


class _Unusable(Exception):
    """What is wrong with a decoded image, for `read` to put the name before."""


def _one_line(text: object) -> str:
    """Returns text without what would break a line or could not be printed."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def _error(path: str | os.PathLike[str], problem: str) -> ImageError:
    return ImageError(f"{_one_line(os.fspath(path))}: {problem}")


def _expand(pattern: str) -> list[pathlib.Path]:
    """Returns the files which one pattern of `find` stands for, at least one."""
    if not pattern:
        # It would mean the current folder, by accident more often than not.
        raise ImageError("empty path; name an image file, a folder or a glob")
    path = pathlib.Path(pattern)
    if path.is_dir():
        paths = _images(path.iterdir())
        problem = "no images in this folder"
    elif path.exists():
        # Tried before globbing, as names such as "photo[1].png" are common.
        return [path]
    elif glob.has_magic(pattern):
        paths = _images(map(pathlib.Path, glob.iglob(pattern, recursive=True)))
        problem = "no image matches"
    else:
        raise _error(pattern, "no such file or folder; check the path")
    if not paths:
        suffixes = " ".join(sorted(IMAGE_SUFFIXES))
        raise _error(pattern, f"{problem}; looked for {suffixes}")
    return paths


def _images(paths: Iterator[pathlib.Path]) -> list[pathlib.Path]:
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )


@contextlib.contextmanager
def _own_pillow_settings(notes: list[str]) -> Iterator[None]:
    """Sets Pillow's limits, and turns its warnings about odd metadata into notes.

    Pillow keeps its limits in globals, and the program that imports this library
    may need others (or may have chosen to fill truncated files), so they are put
    back.
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
    notes.extend(_one_line(warning.message).strip() for warning in caught)


def _decode(file: IO[bytes]) -> Image:
    """Decodes an open file; raises nearly anything if it is damaged."""
    notes: list[str] = []
    head = file.read(32)
    with _own_pillow_settings(notes):
        image = pillow.open(file, formats=_FORMATS)
        if image.mode not in _MODES:
            raise _Unusable(
                f"has colour mode {image.mode}, which is not supported; export it as "
                "RGB"
            )
        if getattr(image, "is_animated", False):
            notes.append("only the first of its frames used")
        # Before the pixels: Pillow turns a TIFF as it loads, and forgets the tag.
        orientation = _orientation(image, notes)
        if _has_16_bit_samples(image, head):
            stored = _read_16_bit(image, file)
            has_alpha = stored.shape[2] in (2, 4)
            is_turned = False
        else:
            stored, has_alpha = _read_bands(image, notes)
            is_turned = image.format == "TIFF"
        exif = _exif(image, notes)
        icc_profile = image.info.get("icc_profile") or None
        if image.mode in ("CMYK", "YCbCr"):
            icc_profile = None
        image.close()
    if orientation != 1:
        notes.append(f"turned upright (EXIF orientation {orientation})")
        if not is_turned:
            stored = _upright(stored, orientation)
    alpha = None
    if has_alpha:
        notes.append("alpha kept apart, colour used as stored (not composited)")
        alpha = np.ascontiguousarray(stored[:, :, -1])
        stored = stored[:, :, :-1]
    return Image(
        np.ascontiguousarray(stored), alpha, icc_profile, exif, "; ".join(notes)
    )


def _has_16_bit_samples(image: ImageFile.ImageFile, head: bytes) -> bool:
    """Whether this is a file of which Pillow would lose bits, and imagecodecs not."""
    if image.format == "PNG":
        return head[24] == 16  # The bit depth in the header chunk, always first.
    return (
        image.format == "TIFF"
        and image.mode in ("RGB", "RGBA")
        and 16 in _tiff_tag(image, _TIFF_BITS_PER_SAMPLE)
    )


def _tiff_tag(image: pillow.Image, tag: int) -> tuple[Any, ...]:
    value = image.tag_v2.get(tag, ())  # type: ignore[attr-defined]
    return value if isinstance(value, tuple) else (value,)


def _read_16_bit(image: ImageFile.ImageFile, file: IO[bytes]) -> np.ndarray:
    """Reads the first page of a 16-bit PNG or TIFF as H x W x C uint16, C = 1 to 4."""
    file.seek(0)
    if image.format == "PNG":
        stored = imagecodecs.png_decode(file.read())
        return stored if stored.ndim == 3 else stored[:, :, np.newaxis]
    stored = imagecodecs.tiff_decode(file.read(), 0)
    if _tiff_tag(image, _TIFF_PLANAR_CONFIGURATION) == (2,):
        stored = np.moveaxis(stored, 0, -1)  # One plane after the other.
    stored = stored[:, :, : len(image.getbands())]
    if _tiff_tag(image, _TIFF_EXTRA_SAMPLES) == (_PREMULTIPLIED_ALPHA,):
        # 65535 * 65535 + 32767 just fits in 32 bits.
        alpha = stored[:, :, 3:].astype(np.uint32)
        colour = stored[:, :, :3] * np.uint32(65535) + alpha // 2
        colour = np.minimum(colour // np.maximum(alpha, 1), 65535)
        stored = np.concatenate([colour, alpha], axis=-1).astype(np.uint16)
    return stored


def _read_bands(
    image: ImageFile.ImageFile, notes: list[str]
) -> tuple[np.ndarray, bool]:
    """Reads with Pillow, converting some rows at a time to bound the memory.

    Returns:
        H x W x C array, uint8 or uint16, and whether its last channel is alpha.
    """
    mode, change = _MODES[image.mode]
    if change:
        notes.append(change)
    if image.format == "PPM" and image.mode == "RGB":
        # The decoder's arguments are a raw mode and, if not 255, the white level.
        arguments = image.tile[0].args
        if isinstance(arguments, tuple) and arguments[1] > 255:
            notes.append("colour of more than 8 bits reduced to 8")
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
        band = image.crop((0, top, width, bottom)).convert(mode)
        stored[top:bottom] = np.asarray(band).reshape(bottom - top, width, -1)
    if stored.dtype == np.uint8:
        return stored, has_alpha
    limit = 1 if mode == "F" else 65535
    low, high = stored.min(), stored.max()
    if not (low >= -UNIT_SLACK and high <= limit + UNIT_SLACK):  # NaN is outside.
        raise _Unusable(
            f"has values from {low:g} to {high:g}, outside [0, {limit}]; scale them, "
            "or export it as 16-bit PNG"
        )
    if mode == "F":
        stored = np.rint(stored * np.float32(65535))
    return stored.astype(np.uint16, copy=False), False


def _orientation(image: ImageFile.ImageFile, notes: list[str]) -> int:
    """Returns the EXIF orientation, 1 to 8; 1 if it is absent or makes no sense."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, struct.error):
        # Editors write odd EXIF; the pixels are good all the same.
        notes.append("unreadable EXIF left out")
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def _exif(image: ImageFile.ImageFile, notes: list[str]) -> bytes | None:
    """Returns the EXIF block without orientation and TIFF layout, None if empty."""
    exif = image.getexif()
    for tag in list(exif):
        is_layout = image.format == "TIFF" and tag not in _TIFF_EXIF
        if is_layout or tag == ExifTags.Base.Orientation:
            del exif[tag]
    exif.bigtiff = False  # An EXIF block is a classic TIFF, whatever its source.
    if not exif:
        return None
    try:
        return exif.tobytes()
    except Exception:  # Whatever values of a wrong type make Pillow raise.
        notes.append("unreadable EXIF left out")
        return None


def _upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Returns a view of H x W x C pixels as EXIF orientation 1 to 8 shows them."""
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    return stored
