"""What a run leaves behind: kernels, a figure and a report per image, and a summary.

The files of an image appear together: they are written into a hidden folder next to
their own and then renamed into place, `report.json` last. So a folder with a
`report.json` is complete, whenever the run was killed.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kernelgan_jax.app import image_files, kernel_files
from kernelgan_jax.app.figures import save_comparison, save_kernel_figure
from kernelgan_jax.app.report import Run, scaled_kernels, to_dict
from kernelgan_jax.config import LARGEST_SCALE, Config

_SCALES = range(1, LARGEST_SCALE + 1)


FILES = (
    *(f"kernel_x{scale}.{kind}" for scale in _SCALES for kind in ("npy", "mat")),
    "kernel.png",
    *(f"sr_x{scale}.png" for scale in _SCALES),
    "comparison.png",
    "report.json",
)
"""All that `write` may leave in a folder, in the order in which it appears."""


_TEMPORARY = ".kernelgan-"


_STALE = 3600
"""Age in seconds of a temporary folder whose run is surely dead; they live seconds."""


class OutputError(OSError):
    """Results cannot be written; the message is one line that names the folder."""


def folders(paths: Sequence[Path], output_dir: Path) -> list[Path]:
    """Chooses a folder in `output_dir` for the results of each image.

    It bears the name of the image without suffix. Of several images of one name the
    later ones get `_2`, `_3`, ..., and never the name of another image of the list.
    Names that some file system takes for the same (case, composed accents) count as
    such.
    """
    stems = {_same(path.stem) for path in paths}
    taken: set[str] = set()
    chosen = []
    for path in paths:
        name, number = path.stem, 1
        while _same(name) in taken or (number > 1 and _same(name) in stems):
            number += 1
            name = f"{path.stem}_{number}"
        taken.add(_same(name))
        chosen.append(output_dir / name)
    return chosen


def _same(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def prepare(output_dir: Path) -> None:
    """Creates the output folder, and clears what killed runs left in it.

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
            # By age, not by process: the run may be on another machine. If it lives,
            # its folder may be gone by now.
            with contextlib.suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > _STALE:
                    shutil.rmtree(folder, ignore_errors=True)
    check_writable(output_dir)


def check_writable(folder: Path) -> None:
    """Checks that files can be made in a folder, if it exists.

    Raises:
      OutputError: If they cannot, or this is no folder.
    """
    with _naming(folder):
        if isinstance(folder, Path) and folder.exists():
            tempfile.TemporaryFile(dir=folder).close()


@contextlib.contextmanager
def _naming(folder: Path) -> Iterator[None]:
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


def fingerprint(
    config: Config, seed: int, kernel: np.ndarray | None, file: tuple[int, int]
) -> str:
    """A short text that differs where results would; `file` is what tells the image."""
    settings = json.dumps([config.asdict(), seed, file], sort_keys=True)
    digest = hashlib.sha256(settings.encode())
    if kernel is not None:
        digest.update(np.ascontiguousarray(kernel).tobytes())
    return digest.hexdigest()[:32]


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Whether a folder has all results of a run with this fingerprint."""
    try:
        found = json.loads((folder / "report.json").read_text())
        same = found["fingerprint"] == fingerprint
        return same and all((folder / name).exists() for name in found["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write(folder: Path, run: Run) -> None:
    """Writes the results of an image, in place of those of an earlier run.

    Args:
      folder: Where to; its parent exists. Other files in it are left alone.
      run: The results.

    Raises:
      OutputError: If that is impossible (full disk, no permission).
    """
    with _naming(folder), _temporary(folder.parent) as temporary:
        if run.estimate is not None:
            for scale, kernel in scaled_kernels(run.estimate):
                kernel_files.write(temporary / f"kernel_x{scale}", kernel)
            if run.figures:
                save_kernel_figure(temporary / "kernel.png", run, run.estimate)
        if run.sr is not None:
            name = f"sr_x{run.config.scale}.png"
            image_files.write_png(temporary / name, run.sr.image)
            if run.figures:
                save_comparison(temporary / "comparison.png", run, run.sr)
        files = [name for name in FILES if (temporary / name).exists()]
        (temporary / "report.json").write_text(
            json.dumps(to_dict(run, files), indent=2, allow_nan=False) + "\n"
        )
        folder.mkdir(parents=True, exist_ok=True)
        # The earlier report goes first: from here on the folder is incomplete.
        for name in reversed(FILES):
            (folder / name).unlink(missing_ok=True)
        for name in FILES:
            if not (temporary / name).exists():
                continue
            if isinstance(folder, Path):
                os.replace(temporary / name, folder / name)
            else:
                (folder / name).write_bytes((temporary / name).read_bytes())


@contextlib.contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    place = parent if isinstance(parent, Path) else None
    temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=place))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
