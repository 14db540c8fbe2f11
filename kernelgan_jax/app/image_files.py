"""Image files: finding them, reading them, and writing PNG."""

import glob
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image as pillow
from PIL import UnidentifiedImageError

from kernelgan_jax.app import image_encoding
from kernelgan_jax.app.image import Image, UnusableError, one_line
from kernelgan_jax.app.image_decoding import MAX_PIXELS, decode
from kernelgan_jax.app.image_kinds import RAW, RAW_SUFFIXES, kind_of

IMAGE_SUFFIXES = frozenset(
    ".png .jpg .jpeg .tif .tiff .bmp .webp .gif .ppm .pgm .pbm .pnm".split()
)
"""Suffixes, in lower case, by which `find` knows images in folders and globs."""


class ImageError(ValueError):
    """A problem with an image; its message is one line to show to the user."""


class Found(NamedTuple):
    """The result of `find`."""

    paths: list[pathlib.Path]
    """The image files, each once, in the order of the patterns."""
    problems: list[ImageError]
    """One error for each pattern that gave nothing."""


def find(patterns: Sequence[str | os.PathLike[str]]) -> Found:
    """Finds image files.

    Args:
      patterns: Each is a file, whatever its suffix; a folder, for the images directly
        in it; or a glob, in which `**` stands for any folders. Folders and globs give
        the files with one of `IMAGE_SUFFIXES`, in upper or lower case, sorted by path,
        without hidden ones.

    Returns:
      The paths and the problems: a pattern that gives nothing is reported without
      losing the others. A file that is reached twice, also through a link, is returned
      once, at its first place. No file is opened.
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
            reason = one_line(error.strerror or error)
            problems.append(_error(pattern, f"cannot be looked up: {reason}"))
    return Found(list(paths.values()), problems)


def read(path: str | os.PathLike[str], frame: int = 0) -> Image:
    """Reads an image file.

    PNG, JPEG, TIFF, BMP, WebP, AVIF, JPEG XL, GIF, PPM/PGM/PBM and PFM are read, and
    HEIC where pillow-heif is installed. A TIFF may have any number of bands, of
    integers or floating point.

    The EXIF orientation is applied, and white is the largest value, also where the file
    has it the other way. An alpha channel, or a palette's transparency, is kept apart
    and the colour used as stored, not composited: a kernel is estimated from what was
    recorded. Integer samples of 9 to 16 bits give uint16 with white at 65535, those of
    fewer bits uint8; other types stay as they are. Colour in CMYK or a palette becomes
    RGB. `Image.note` says all that was changed or left out.

    Peak memory is about 2.5 times that of the returned array. Calls from several
    threads take turns, because Pillow's limits are global to the process: they are
    changed during the call and put back after it.

    Args:
      path: The file.
      frame: Which frame of an animation or which page, counted from 0.

    Raises:
      ImageError: If the file is missing, a folder, not permitted, empty, damaged,
        incomplete, not an image of a supported kind, a camera's raw file, larger than
        `MAX_PIXELS`, or has no data at all.
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
        reason = one_line(error.strerror or error)
        raise _error(path, f"cannot be opened: {reason}") from error
    with file:
        if os.fstat(file.fileno()).st_size == 0:
            raise _error(path, "is empty (0 bytes); copy or export it again")
        try:
            if pathlib.Path(path).suffix.lower() in RAW_SUFFIXES:
                if kind_of(file.read(32)) in ("raw", "tiff", "other"):
                    raise UnusableError(RAW)
            return decode(file, frame)
        except UnusableError as error:
            raise _error(path, str(error)) from None
        except UnidentifiedImageError:
            message = (
                "is not an image that can be read (PNG, JPEG, TIFF, WebP, "
                "AVIF, JPEG XL, GIF, BMP, PPM, PFM), or its "
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
            reason = one_line(error) or type(error).__name__
            message = f"is damaged or incomplete ({reason}); copy or export it again"
            raise _error(path, message) from error


def write_png(path: str | os.PathLike[str], image: Image) -> None:
    """Writes a PNG of 8 or 16 bits with alpha and metadata.

    Args:
      path: The file; it is replaced if it exists.
      image: What is written, apart from its note.

    Raises:
      OSError: If the file cannot be written.
    """
    image_encoding.write(path, image, "png")


def _error(path: str | os.PathLike[str], problem: str) -> ImageError:
    return ImageError(f"{one_line(os.fspath(path))}: {problem}")


def _expand(pattern: str) -> list[pathlib.Path]:
    """The files that one pattern of `find` stands for, at least one."""
    if not pattern:
        # It would mean the current folder, mostly by accident.
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
