"""Image files: finding them, reading them, and writing PNG."""

import collections
import contextlib
import glob
import importlib.util
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image as pillow
from PIL import UnidentifiedImageError

from kernelgan_jax.app import files, memory
from kernelgan_jax.app.folders import is_of_a_run, is_of_the_program, output_filter
from kernelgan_jax.app.images import image_encoding
from kernelgan_jax.app.images.animation_frames import Kept
from kernelgan_jax.app.images.image import MAX_PIXELS, Image, UnusableError
from kernelgan_jax.app.images.image_decoding import decode
from kernelgan_jax.app.images.image_kinds import RAW, RAW_SUFFIXES, kind_of, other_kind
from kernelgan_jax.app.job import REPORT
from kernelgan_jax.app.terminal import printable
from kernelgan_jax.pixels import from_unit

HEIC_SUFFIXES = frozenset((".heic", ".heif", ".hif"))
"""Suffixes of files that need pillow-heif."""


IMAGE_SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .tif .tiff .bmp .dib .webp .avif .jxl .gif "
    ".ppm .pgm .pbm .pnm .pam .pfm .jp2 .j2k .j2c .jpx .jls".split()
) | (HEIC_SUFFIXES if importlib.util.find_spec("pillow_heif") else frozenset())
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
        without hidden ones. `**` with a name that begins with `*`, as in `**/*.png`,
        leaves out the results of all runs, wherever they are.
      leave_out: The output folder, whose files folders and globs do not give. If the
        search starts in it or below, only results are left out.

    Returns:
      The paths and the problems: a pattern that gives nothing is reported without
      losing the others, and so is each pipe, socket, folder or broken link that has an
      image's name. A file that is reached twice, also through a link, is returned once,
      at its first place; in each folder `**` takes folders before links, both sorted
      by name. No file is opened.
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
            reason = printable(error.strerror or error)
            problems.append(_error(pattern, f"cannot be looked up: {reason}"))
    return Found(list(paths.values()), problems)


def passed_over(
    patterns: Sequence[str | os.PathLike[str]],
    *,
    leave_out: pathlib.Path | None = None,
) -> list[str]:
    """What `find` leaves out of folders: a line for each that has more than images.

    Hidden files and folders, the output folder, and what runs write are not counted.
    """
    output = ""
    if isinstance(leave_out, pathlib.Path):
        output = os.path.realpath(leave_out)
    lines = []
    for given in dict.fromkeys(os.fspath(pattern) for pattern in patterns):
        folder = pathlib.Path(given)
        if not given or not _is_folder(folder):
            continue
        try:
            inside = list(folder.iterdir())
        except OSError:  # `find` says why.
            continue
        kinds: collections.Counter[str] = collections.Counter()
        subfolders = 0
        for path in inside:
            if path.name.startswith(".") or is_of_the_program(path.name):
                continue
            if _is_folder(path):
                is_output = os.path.realpath(path) == output
                subfolders += not (is_output or os.path.exists(path / REPORT))
            elif path.suffix.lower() not in IMAGE_SUFFIXES:
                kinds[path.suffix.lower() or "without suffix"] += 1
        parts = []
        if kinds:
            number = sum(kinds.values())
            listed = ", ".join(kind for kind, _ in kinds.most_common(8))
            parts.append(f"{number} file{'s' * (number > 1)} ({printable(listed)})")
        if subfolders:
            parts.append(
                f"{subfolders} subfolder{'s' * (subfolders > 1)} ('{folder}/**')"
            )
        if parts:
            hint = ""
            if not HEIC_SUFFIXES.isdisjoint(kinds):
                hint = '; HEIC needs pip install "kernelgan-jax[heic]"'
            lines.append(f"{folder}: left out {' and '.join(parts)}{hint}")
    return lines


def _is_folder(path: pathlib.Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # Such as a name that is too long.
        return False


def read_pixels(path: str | os.PathLike[str]) -> np.ndarray:
    """The pixels of a gray or RGB image in 8 or 16 bits, without alpha.

    Args:
      path: The file, of any kind that `read` takes. Floats in [0, 1] are rounded to
        uint16.

    Raises:
      ImageError: As `read`, and if the image has other bands or values.
    """
    image = read(path)
    pixels = image.pixels
    if image.bands or image.missing is not None:
        bands = pixels.shape[2]
        raise _error(path, f"has {bands} bands or lacks data; export it as RGB")
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    low, high = pixels.min(), pixels.max()
    if pixels.dtype.kind != "f" or low < 0 or high > 1:
        raise _error(
            path,
            f"has {pixels.dtype} from {low:g} to {high:g}; scale floats to [0, 1], or "
            "export it as 16-bit PNG",
        )
    return from_unit(pixels, np.uint16)


def read(
    path: str | os.PathLike[str], *, frame: int = 0, kept: Kept | None = None
) -> Image:
    """Reads an image file.

    PNG, JPEG, TIFF, BMP, WebP, AVIF, JPEG XL, JPEG 2000, GIF, PPM/PGM/PBM, PAM and PFM
    are read, and HEIC where pillow-heif is installed. A TIFF may have any number of
    bands, of integers or floating point.

    The orientation in EXIF, or else in XMP, is applied, and white is the largest value,
    also where the file has it the other way. An alpha channel, or a palette's
    transparency, is kept apart and the colour used as stored, not composited: a kernel
    is estimated from what was recorded. Integer samples of 9 to 16 bits give uint16
    with white at 65535, those of fewer bits uint8; other types stay as they are. Colour
    in CMYK or a palette becomes RGB. `Image.note` says all that was changed or left
    out.

    Peak memory is up to 2.7 times that of the returned array (3.3 times for interlaced
    PNG of 16 bits, 4.3 times for animated WebP, 4.8 times for animated PNG, 5.1 times
    for JPEG XL of 8 bits and gray, 5.7 times for JPEG 2000 of 8 bits without tiles, 3.1
    times for that of 16).
    Calls from several threads take turns, because Pillow's limits are global to the
    process: they are changed during the call and put back after it.

    Args:
      path: The file.
      frame: Which frame of an animation or which page, counted from 0.
      kept: One for all frames of a file that are read in order, which makes this fast.

    Raises:
      ImageError: If the file is missing, a folder, not permitted, empty, damaged,
        incomplete, not an image of a supported kind, a camera's raw file, larger than
        `MAX_PIXELS`, or has no data at all.
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
        reason = printable(error.strerror or error)
        raise _error(path, f"cannot be opened: {reason}") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise _error(path, "is empty (0 bytes); copy or export it again")
        if problem := memory.problem(file, size, max_pixels=MAX_PIXELS):
            raise _error(path, problem)
        file.seek(0)
        try:
            if pathlib.Path(path).suffix.lower() in RAW_SUFFIXES:
                if kind_of(file.read(32)) in ("raw", "tiff", "other"):
                    raise UnusableError(RAW)
            if kept is not None:
                kept.check(file)
            return decode(file, frame=frame, kept=kept)
        except UnusableError as error:
            raise _error(path, str(error)) from None
        except UnidentifiedImageError:
            file.seek(0)
            if found := other_kind(file.read(512)):
                message = f"is not an image that can be read, but {found}"
                raise _error(path, message) from None
            message = (
                "is not an image that can be read (PNG, JPEG, TIFF, WebP, "
                "AVIF, JPEG XL, JPEG 2000, GIF, BMP, PPM, PAM, PFM), or its "
                "start is damaged; if it opens elsewhere, export it as PNG"
            )
            raise _error(path, message) from None
        except (pillow.DecompressionBombError, pillow.DecompressionBombWarning):
            message = f"has more than {MAX_PIXELS:,} pixels; crop it or scale it down"
            raise _error(path, message) from None
        except MemoryError:
            message = "does not fit in memory; crop it or scale it down"
            raise _error(path, message) from None
        except NotImplementedError as error:  # Whole, but of a kind nobody decodes.
            raise _error(path, f"cannot be read: {error}; export it anew") from None
        except Exception as error:
            # A damaged file makes the decoders raise nearly anything: OSError,
            # SyntaxError, struct.error, RuntimeError, ...
            raise damaged(path, error) from error


def write_png(path: str | os.PathLike[str], image: Image) -> None:
    """Writes a PNG of 8 or 16 bits with alpha and metadata.

    Args:
      path: The file; it is replaced if it exists.
      image: What is written, apart from its note.

    Raises:
      OSError: If the file cannot be written.
    """
    image_encoding.write(path, image, "png")


def damaged(path: str | os.PathLike[str], error: Exception) -> ImageError:
    """What to say of a file in which a decoder has found something wrong."""
    reason = printable(error) or type(error).__name__
    return _error(path, f"is damaged or incomplete ({reason}); copy or export it again")


def _error(path: str | os.PathLike[str], problem: str) -> ImageError:
    return ImageError(f"{printable(os.fspath(path))}: {problem}")


def _expand(
    pattern: str, leave_out: pathlib.Path | None, problems: list[ImageError]
) -> list[pathlib.Path]:
    """The files that one pattern of `find` stands for, at least one or a problem."""
    if not pattern:
        # It would mean the current folder, mostly by accident.
        raise ImageError("empty path; name an image file, a folder or a glob")
    path = pathlib.Path(pattern)
    if pattern.startswith("~") and not os.path.lexists(path):
        pattern = os.path.expanduser(pattern)
        path = pathlib.Path(pattern)
    before = len(problems)
    results: set[pathlib.Path] = set()
    if path.is_dir():
        is_result = output_filter(leave_out, start=path)
        paths = _images(path.iterdir(), is_result, problems, results)
        problem = "no images in this folder"
    elif os.path.lexists(path):
        # Tried before globbing, as names such as "photo[1].png" are common.
        return [path]
    elif glob.has_magic(pattern):
        paths = _matches(pattern, leave_out, problems, results)
        problem = "no image matches"
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(path)  # From Python 3.14 on, nothing before says what else it is.
        raise _error(pattern, "no such file or folder; check the path")
    if paths or len(problems) > before:
        return paths
    if results:
        is_own = any(output_filter(leave_out, start=p.parent)(p) for p in results)
        raise _error(
            pattern,
            f"only results of runs ({len(results)}), which are left out; name "
            f"{'the files' if is_own else 'their folder'} to take them",
        )
    suffixes = " ".join(sorted(IMAGE_SUFFIXES))
    raise _error(pattern, f"{problem}; looked for {suffixes}")


def _matches(
    pattern: str,
    leave_out: pathlib.Path | None,
    problems: list[ImageError],
    results: set[pathlib.Path],
) -> list[pathlib.Path]:
    """The images that a glob stands for.

    Brackets are common in the names of folders: those that exist are not patterns, and
    if nothing matches, no bracket is.
    """
    start, *parts = pathlib.Path(pattern).parts
    known = pathlib.Path(start)
    if not known.exists():
        known, parts = pathlib.Path(), [start, *parts]
    while parts and (known / parts[0]).exists():
        known /= parts.pop(0)
    is_own = output_filter(leave_out, start=known)
    is_open = "**" in parts and parts[-1].startswith("*")

    def is_result(path: pathlib.Path) -> bool:
        return is_own(path) or (is_open and is_of_a_run(path))

    before = len(problems)
    tries = [parts]
    if any("[" in part for part in parts):
        tries.append([part.replace("[", "[[]") for part in parts])
    for names in tries:
        matches = _globbed(known, names, problems)
        found = _images(matches, is_result, problems, results)
        if found or len(problems) > before:
            return found
    return []


def _globbed(
    folder: pathlib.Path, parts: Sequence[str], problems: list[ImageError]
) -> Iterator[pathlib.Path]:
    """What the parts of a glob stand for, in a folder.

    A folder that may not be searched is added to the problems.
    """
    first, *rest = parts
    folders = iter((folder,))
    if first == "**":
        folders = _folders_below(folder, problems)
        while first == "**":  # Twice is as once.
            first, *rest = rest or ["*"]
    for place in folders:
        if glob.has_magic(first) and not _is_listed(place, problems):
            continue
        for name in glob.iglob(first, root_dir=place):
            if not rest:
                yield place / name
            elif _is_folder(place / name):
                yield from _globbed(place / name, rest, problems)


def _is_listed(folder: pathlib.Path, problems: list[ImageError]) -> bool:
    """Whether the names in a folder can be seen; globs would pass over it."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        problems.append(_unlisted(error))
        return False
    return True


def _unlisted(error: OSError) -> ImageError:
    reason = printable(error.strerror or error)
    path = pathlib.Path(error.filename)
    return _error(path, f"cannot be looked up: {reason}; it is left out")


def _folders_below(
    folder: pathlib.Path, problems: list[ImageError]
) -> Iterator[pathlib.Path]:
    """A folder and those below it, without hidden ones; each once, as links may lead
    back.

    In each folder those that lie in it come first, then links, both sorted by name: of
    several links to one folder, the first in this order is taken.
    """
    seen = {os.path.realpath(folder)}

    def note(error: OSError) -> None:
        problems.append(_unlisted(error))

    for place, names, _ in os.walk(folder, followlinks=True, onerror=note):
        yield pathlib.Path(place)
        inside = [os.path.join(place, n) for n in names if not n.startswith(".")]
        names.clear()
        for path in sorted(inside, key=lambda path: (os.path.islink(path), path)):
            if (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                names.append(os.path.basename(path))


def _images(
    paths: Iterator[pathlib.Path],
    is_result: Callable[[pathlib.Path], bool],
    problems: list[ImageError],
    results: set[pathlib.Path],
) -> list[pathlib.Path]:
    """The images among some paths, sorted.

    What has only the name is added to the problems, what is left out to the results.
    """
    chosen = []
    for path in sorted(paths):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if is_result(path):
            results.add(path)
            continue
        try:
            problem = files.not_a_file(path)
        except OSError as error:
            problem = f"cannot be looked up: {error.strerror or error}"
        if problem is None:
            chosen.append(path)
        else:
            problems.append(_error(path, f"{printable(problem)}; it is left out"))
    return chosen
