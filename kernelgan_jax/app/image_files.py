"""Image files: finding them, reading them, and writing PNG."""

import glob
import os
import pathlib
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import imagecodecs
import numpy as np
from PIL import Image as pillow
from PIL import UnidentifiedImageError

from kernelgan_jax.app import files, memory
from kernelgan_jax.app.folders import output_filter
from kernelgan_jax.app.image_decoding import (
    FORMATS,
    MAX_PIXELS,
    Image,
    UnusableError,
    decode,
    one_line,
)

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


def find(
    patterns: Sequence[str | os.PathLike[str]],
    *,
    leave_out: pathlib.Path | None = None,
) -> Found:
    """Finds image files.

    Args:
      patterns: Each is a file, whatever its suffix; a folder, for the images directly
        in it; or a glob, in which `**` stands for any folders. Folders and globs give
        the files with one of `IMAGE_SUFFIXES`, in upper or lower case, sorted by path,
        without hidden ones.
      leave_out: The output folder, whose files folders and globs do not give. If the
        search starts in it or below, only results are left out.

    Returns:
      The paths and the problems: a pattern that gives nothing is reported without
      losing the others, and so is each pipe, socket, folder or broken link that has an
      image's name. A file that is reached twice, also through a link, is returned once,
      at its first place. No file is opened.
    """
    paths: dict[pathlib.Path, pathlib.Path] = {}
    problems: list[ImageError] = []
    for given in patterns:
        pattern = os.fspath(given)
        try:
            for path in _expand(pattern, leave_out, problems):
                paths.setdefault(pathlib.Path(os.path.realpath(path)), path)
        except ImageError as error:
            problems.append(error)
        except OSError as error:
            reason = one_line(error.strerror or error)
            problems.append(_error(pattern, f"cannot be looked up: {reason}"))
    return Found(list(paths.values()), problems)


def read(path: str | os.PathLike[str]) -> Image:
    """Reads an image file: PNG, JPEG, TIFF, BMP, WebP, GIF or PPM/PGM/PBM.

    The EXIF orientation is applied. In an animation or a file with several pages, the
    first frame is read. An alpha channel, or a palette's transparency, is kept apart
    and the colour used as stored, not composited: a kernel is estimated from what was
    recorded. Samples of more than 8 bits give uint16, all others uint8; colour in CMYK
    or a palette becomes RGB.

    Peak memory is about 2.5 times that of the returned array. Calls from several
    threads take turns, because Pillow's limits are global to the process: they are
    changed during the call and put back after it.

    Args:
      path: The file.

    Raises:
      ImageError: If the file is missing, a folder, not permitted, empty, damaged,
        incomplete, not an image of a supported kind or larger than `MAX_PIXELS`, or
        has values that do not fit (floats outside [0, 1], integers outside 16 bits).
    """
    try:
        if os.path.isdir(path):
            raise _error(path, "is a folder, not an image; name a file in it")
        file = files.open_regular(path)
    except files.NotAFileError as error:
        raise _error(path, f"{error.strerror}; name an image file") from None
    except FileNotFoundError:
        raise _error(path, "no such file; check the path") from None
    except PermissionError:
        message = "may not be read; check the file's permissions"
        raise _error(path, message) from None
    except OSError as error:
        reason = one_line(error.strerror or error)
        raise _error(path, f"cannot be opened: {reason}") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise _error(path, "is empty (0 bytes); copy or export it again")
        if problem := memory.problem(file, size, max_pixels=MAX_PIXELS):
            raise _error(path, problem)
        file.seek(0)
        try:
            return decode(file)
        except UnusableError as error:
            raise _error(path, str(error)) from None
        except UnidentifiedImageError:
            message = (
                f"is not an image that can be read ({', '.join(FORMATS)}), or its "
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
    """Writes a PNG of 8 or 16 bits with alpha, ICC profile and EXIF.

    Args:
      path: The file; it is replaced if it exists.
      image: What is written, apart from its note.

    Raises:
      OSError: If the file cannot be written.
    """
    stored = image.pixels
    if image.alpha is not None:
        stored = np.concatenate([stored, image.alpha[..., np.newaxis]], axis=-1)
    if stored.shape[-1] == 1:
        stored = stored[..., 0]
    data = imagecodecs.png_encode(np.ascontiguousarray(stored))
    # imagecodecs writes pixels only. The other chunks are put after the header, which
    # is always 33 bytes with the signature.
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


def _error(path: str | os.PathLike[str], problem: str) -> ImageError:
    return ImageError(f"{one_line(os.fspath(path))}: {problem}")


def _expand(
    pattern: str, leave_out: pathlib.Path | None, problems: list[ImageError]
) -> list[pathlib.Path]:
    """The files that one pattern of `find` stands for, at least one."""
    if not pattern:
        # It would mean the current folder, mostly by accident.
        raise ImageError("empty path; name an image file, a folder or a glob")
    path = pathlib.Path(pattern)
    if pattern.startswith("~") and not os.path.lexists(path):
        pattern = os.path.expanduser(pattern)
        path = pathlib.Path(pattern)
    before = len(problems)
    if path.is_dir():
        is_result = output_filter(leave_out, start=path)
        paths = _images(path.iterdir(), is_result, problems)
        problem = "no images in this folder"
    elif os.path.lexists(path):
        # Tried before globbing, as names such as "photo[1].png" are common.
        return [path]
    elif glob.has_magic(pattern):
        is_result = output_filter(leave_out, start=_fixed_part(pattern))
        found = map(pathlib.Path, glob.iglob(pattern, recursive=True))
        paths = _images(found, is_result, problems)
        problem = "no image matches"
    else:
        raise _error(pattern, "no such file or folder; check the path")
    if not paths and len(problems) == before:
        suffixes = " ".join(sorted(IMAGE_SUFFIXES))
        raise _error(pattern, f"{problem}; looked for {suffixes}")
    return paths


def _fixed_part(pattern: str) -> pathlib.Path:
    """The folder in which a glob starts to search."""
    path = pathlib.Path(pattern)
    while glob.has_magic(str(path)):
        path = path.parent
    return path


def _images(
    paths: Iterator[pathlib.Path],
    is_result: Callable[[pathlib.Path], bool],
    problems: list[ImageError],
) -> list[pathlib.Path]:
    """The images among some paths, sorted; what has only the name is reported."""
    chosen = []
    for path in sorted(paths):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if is_result(path):
            continue
        try:
            problem = files.not_a_file(path)
        except OSError as error:
            problem = f"cannot be looked up: {error.strerror or error}"
        if problem is None:
            chosen.append(path)
        else:
            problems.append(_error(path, f"{one_line(problem)}; it is left out"))
    return chosen
