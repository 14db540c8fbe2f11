"""The files that a run leaves: their folders, how they are written, what is finished.

The files of an image appear together: they are written into a hidden folder next to
their own and then renamed into place, `report.json` last. So a folder that has a
`report.json` is complete, whenever the run was killed.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from kernelgan_jax.app import figures, image_encoding, kernel_files
from kernelgan_jax.app.job import FORMATS, Job
from kernelgan_jax.app.provenance import provenance
from kernelgan_jax.app.report import Result, SuperResolved, to_dict
from kernelgan_jax.kernels import MAX_SCALE

_SCALES = range(1, MAX_SCALE + 1)

FILES = (
    *(f"kernel_x{scale}.{kind}" for scale in _SCALES for kind in ("npy", "mat")),
    "kernel.png",
    *(f"sr_x{s}.{kind}" for s in _SCALES for kind in FORMATS),
    "comparison.png",
    "report.json",
)
"""All files that `write` may leave in a folder, in the order in which they appear,
apart from those of single frames."""

_FRAME = re.compile(rf"sr_x[1-9]_[0-9]{{4,}}\.({'|'.join(FORMATS)})")
"""Name of the file of a single frame."""

_TEMPORARY = ".kernelgan-"
"""Start of the name of a hidden folder, which lives for seconds."""

_STALE = 3600
"""Age in seconds of a hidden folder whose run is certainly dead."""


class OutputError(OSError):
    """Results cannot be written; the message is one line that names the folder."""


def folders(paths: Sequence[Path], output_dir: Path) -> list[Path]:
    """Chooses a folder in `output_dir` for the results of each image.

    It has the name of the image without suffix. If several images have the same name,
    the later ones get `_2`, `_3`, ..., and never the name of another image in the list.
    Names that some file system takes for the same (case, composed accents) count as
    the same.
    """
    stems = {_normalised(path.stem) for path in paths}
    taken: set[str] = set()
    chosen = []
    for path in paths:
        name, number = path.stem, 1
        while _normalised(name) in taken or (number > 1 and _normalised(name) in stems):
            number += 1
            name = f"{path.stem}_{number}"
        taken.add(_normalised(name))
        chosen.append(output_dir / name)
    return chosen


def _normalised(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def prepare(output_dir: Path) -> None:
    """Creates the output folder and removes what killed runs left in it.

    Raises:
      OutputError: If it cannot be created or written to.
    """
    with _naming(output_dir):
        output_dir.mkdir(parents=True, exist_ok=True)
        if not isinstance(output_dir, Path):  # A URL, where nothing is temporary.
            probe = output_dir / f"{_TEMPORARY}probe"
            probe.write_bytes(b"")
            probe.unlink()
            return
        for folder in output_dir.glob(f"{_TEMPORARY}*"):
            # By age, not by process, as the run may be on another machine. If it is
            # alive, its folder may be gone by now.
            with contextlib.suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > _STALE:
                    shutil.rmtree(folder, ignore_errors=True)
    check_writable(output_dir)


def check_writable(folder: Path) -> None:
    """Checks that files can be made in a folder, if it exists.

    Raises:
      OutputError: If they cannot, or if something else has the folder's name.
    """
    with _naming(folder):
        if isinstance(folder, Path) and folder.exists():
            tempfile.TemporaryFile(dir=folder).close()


@contextlib.contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Turns errors into an `OutputError` that names the folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{folder}: cannot be written: {reason}") from error
    except Exception as error:
        if isinstance(folder, Path):
            raise
        # A store of objects has errors of its own.
        raise OutputError(f"{folder}: cannot be written: {error}") from error


def fingerprint(job: Job, file: tuple[int, int]) -> str:
    """Text that differs wherever an image's results would.

    Args:
      job: What is asked for: the settings, with a known kernel, and the seed count.
      file: Size and time of the image file.
    """
    text = json.dumps(
        [provenance(), job.config.to_dict(), job.seed, file, job.format, job.quality],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Whether a folder has all results of a run with this fingerprint."""
    try:
        found = json.loads((folder / "report.json").read_text())
        same = found["fingerprint"] == fingerprint
        return same and all((folder / name).exists() for name in found["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write(result: Result) -> None:
    """Writes the results of an image in place of those of an earlier run.

    The parent of the task's folder exists. Other files in the folder stay as they are.

    Raises:
      OutputError: If that is impossible (full disk, no permission).
    """
    folder = result.task.folder
    with _naming(folder), _temporary(folder.parent) as temporary:
        _write_files(temporary, result)
        folder.mkdir(parents=True, exist_ok=True)
        # The earlier report goes first: from here on the folder is incomplete.
        for name in reversed(_own_files(folder)):
            (folder / name).unlink(missing_ok=True)
        for name in _own_files(temporary):
            if isinstance(folder, Path):
                os.replace(temporary / name, folder / name)
            else:
                (folder / name).write_bytes((temporary / name).read_bytes())


def _write_files(folder: Path, result: Result) -> None:
    for scale, kernel in result.kernels:
        kernel_files.write(folder / f"kernel_x{scale}", kernel)
    if result.sr is not None:
        _write_images(folder, result.sr, result)
    if result.job.figures:
        figures.write(folder, result)
    files = _own_files(folder)
    (folder / "report.json").write_text(
        json.dumps(to_dict(result, files), indent=2, allow_nan=False) + "\n"
    )


def _write_images(folder: Path, sr: SuperResolved, result: Result) -> None:
    """Writes the super-resolved image, or all frames of a file, one after the other."""
    names, quality = sr.names(result.scale), result.job.quality
    frames = sr.frames or [lambda: sr.image]
    for name, frame in zip(names, frames, strict=True):
        image_encoding.write(folder / name, frame(), sr.format, quality=quality)


def _own_files(folder: Path) -> list[str]:
    """Names of the results in a folder, in the order in which they appear."""
    names = set()
    with contextlib.suppress(FileNotFoundError):  # A store has no empty folders.
        names = {path.name for path in folder.iterdir()}
    frames = sorted(name for name in names if _FRAME.fullmatch(name))
    order = [*FILES[:-1], *frames, FILES[-1]]  # The report comes last.
    return [name for name in order if name in names]


@contextlib.contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    """A hidden folder beside the results; for a URL, on this machine."""
    place = parent if isinstance(parent, Path) else None
    temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=place))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
