"""The files that a run leaves: how they are written, and what is finished.

The files of an image appear together: they are written into a hidden folder next to
their own, brought to the disk, and then renamed into place, `report.json` last. So a
folder that has a `report.json` is complete, whenever the run was killed; the report has
the size and the digest of each file, for whatever happens later.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernelgan_jax import parallel
from kernelgan_jax.app import figures, files, kernel_files
from kernelgan_jax.app.files import OutputError
from kernelgan_jax.app.folders import owner_of
from kernelgan_jax.app.images import image_encoding, sequences
from kernelgan_jax.app.job import REPORT, WITHOUT_QUALITY, Job
from kernelgan_jax.app.report import Result, to_dict
from kernelgan_jax.app.result_names import is_result_name, results_among
from kernelgan_jax.kernels import MAX_SCALE
from kernelgan_jax.provenance import provenance


def prepare(output_dir: Path) -> None:
    """Creates the output folder and removes what killed runs left in it.

    Raises:
      OutputError: If it cannot be created or written to.
    """
    with _naming(output_dir):
        _check_is_folder(output_dir)
        output_dir.mkdir(parents=True, exist_ok=True)
        if not isinstance(output_dir, Path):  # A URL, where nothing is temporary.
            probe = output_dir / f"{files.TEMPORARY}probe"
            probe.write_bytes(b"")
            probe.unlink()
            files.clean_up(Path(tempfile.gettempdir()))
            return
        files.clean_up(output_dir)
    with _naming(output_dir):
        if isinstance(output_dir, Path):
            tempfile.TemporaryFile(dir=output_dir).close()


def _check_is_folder(path: Path) -> None:
    """Checks that nothing but a folder has a folder's name."""
    if isinstance(path, Path) and os.path.lexists(path) and not path.is_dir():
        problem = files.not_a_file(path) or "is a file"
        raise OutputError(f"{path}: {problem}, not a folder; choose another one")


def check_writable(folder: Path) -> None:
    """Checks that results can be written to a folder, if it exists.

    Raises:
      OutputError: If they cannot, or if something else has the name of the folder or
        of one of its files.
    """
    if isinstance(folder, Path) and folder.is_symlink():
        raise OutputError(
            f"{folder}: is a link; results are only written below the output folder: "
            "remove it"
        )
    with _naming(folder):
        _check_is_folder(folder)
        if isinstance(folder, Path) and folder.exists():
            tempfile.TemporaryFile(dir=folder).close()
            for name in _own_files(folder):
                if (folder / name).is_dir() and not (folder / name).is_symlink():
                    raise OutputError(
                        f"{folder / name}: is a folder, where a result belongs; move "
                        "it away"
                    )


@contextlib.contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Turns errors into an `OutputError` that names the folder."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{folder}: cannot be written: {reason}") from error
    except Exception as error:
        if isinstance(folder, Path):
            raise
        # A store of objects has errors of its own.
        raise OutputError(f"{folder}: cannot be written: {error}") from error


def check_owner(folder: Path, path: Path) -> None:
    """Checks that a folder does not hold the results of another image.

    `folders.py` chooses no such folder; but another run may have filled it meanwhile.

    Raises:
      OutputError: If it does.
    """
    owner = owner_of(folder)
    if owner is not None and not owner.is_image(path):
        whose = owner.path or "another program"
        raise OutputError(
            f"{folder}: meanwhile holds the results of {whose}; run the same "
            f"command again for {path}"
        )


def fingerprint(job: Job, content: Any) -> str:
    """Text that differs wherever an image's results would.

    Args:
      job: What is asked for: the settings, with a known kernel, and the seed count.
      content: Size and digest of the image file: not its name and time, which other
        images have as well.
    """
    asked = job.settings()
    if job.format in WITHOUT_QUALITY:
        del asked["quality"]
    known = [provenance(), asked, content]
    text = json.dumps(known, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Whether a folder has all results of a run with this fingerprint, undamaged.

    Files are compared with the sizes and the digests in the report; at a URL, where an
    object appears whole or not at all, with the sizes alone.
    """
    report = files.read_json(folder / REPORT)
    try:
        if report is None or report["fingerprint"] != fingerprint:
            return False
        return all(
            _is_whole(folder / name, found["bytes"], found["sha256"])
            for name, found in report["files"].items()
            if is_result_name(name)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def add_exports(folder: Path, exports: Sequence[str]) -> None:
    """Writes the kernel files for other tools that a finished folder lacks.

    Raises:
      OutputError: If that is impossible.
    """
    place = folder.parent if isinstance(folder, Path) else None
    with _naming(folder), files.temporary_folder(place) as temporary:
        report = files.read_json(folder / REPORT) or {}
        missing = set(exports) - set(report.get("exports", ()))
        if not missing:
            return
        for scale in range(1, MAX_SCALE + 1) if report.get("converged") else ():
            if f"kernel_x{scale}" in report:
                kernel = kernel_files.read_own(folder / f"kernel_x{scale}.npy")
                for tool in missing:
                    kernel_files.write_export(temporary, kernel, tool=tool, scale=scale)
        names = _own_files(temporary)
        found = {name: files.content(temporary / name)._asdict() for name in names}
        report["files"] |= found
        report["exports"] = sorted(missing | set(report.get("exports", ())))
        (temporary / REPORT).write_text(_json(report))
        with files.locked_folder(folder):
            for name in (*names, REPORT):  # A killed run does it again.
                files.sync(temporary / name)
                _move(temporary / name, folder / name)


def _move(file: Path, target: Path) -> None:
    """Puts a file in its place, which may be an object of a store."""
    if isinstance(target, Path):
        os.replace(file, target)
    else:
        target.write_bytes(file.read_bytes())


def _json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2, allow_nan=False) + "\n"


def _is_whole(path: Path, size: int, sha256: str) -> bool:
    if not isinstance(path, Path):
        return bool(path.stat().st_size == size)
    return path.lstat().st_size == size and files.content(path).sha256 == sha256


def write(result: Result) -> dict[str, Any]:
    """Writes the results of an image in place of those of an earlier run.

    The parent of the task's folder exists. Other files in the folder stay as they are.

    Returns:
      The contents of `report.json`.

    Raises:
      OutputError: If that is impossible (full disk, no permission, the folder of
        another image).
    """
    folder = result.task.folder
    place = folder.parent if isinstance(folder, Path) else None
    with _naming(folder), files.temporary_folder(place) as temporary:
        report = _write_files(temporary, result)
        check_writable(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with files.locked_folder(folder):
            check_owner(folder, result.task.path)
            # The earlier report goes first: from here on the folder is incomplete.
            for name in reversed(_own_files(folder)):
                (folder / name).unlink(missing_ok=True)
            for name in _own_files(temporary):
                if name == REPORT and isinstance(folder, Path):
                    files.sync(folder)
                _move(temporary / name, folder / name)
            if isinstance(folder, Path):
                files.sync(folder)
    return report


def _write_files(folder: Path, result: Result) -> dict[str, Any]:
    for scale, kernel in result.kernels:
        kernel_files.write(folder / f"kernel_x{scale}", kernel)
        if result.estimate is None or result.estimate.failure:
            continue  # There is no kernel to give to others.
        for tool in result.job.exports:
            kernel_files.write_export(folder, kernel, tool=tool, scale=scale)
    if result.estimate is not None and result.estimate.kernel_map is not None:
        made = result.estimate.kernel_map
        np.save(folder / f"kernel_map_x{made.scale}.npy", made.kernels)
    if result.sr is not None:
        if result.sr.kernel is not None and result.sr.refitted:
            np.save(folder / f"refitted_kernel_x{result.scale}.npy", result.sr.kernel)
    parallel.side_by_side(
        lambda: _write_images(folder, result),
        lambda: figures.write(folder, result) if result.job.figures else None,
    )
    found = {
        name: files.content(folder / name)._asdict() for name in _own_files(folder)
    }
    report = to_dict(result, found)
    (folder / REPORT).write_text(_json(report))
    for name in (*found, REPORT):
        files.sync(folder / name)
    return report


def _write_images(folder: Path, result: Result) -> None:
    """Writes the super-resolved image, or all frames of a file, one after the other."""
    sr = result.sr
    if sr is None:
        return
    names, quality = sr.names(result.scale), result.job.quality
    frames = sr.frames or [lambda: sr.image]
    if sr.timing is not None:
        sequences.write(
            folder / names[0],
            (frame() for frame in frames),
            sr.format,
            count=len(frames),
            timing=sr.timing,
            quality=quality,
        )
        return
    for name, frame in zip(names, frames, strict=True):
        image_encoding.write(folder / name, frame(), sr.format, quality=quality)


def _own_files(folder: Path) -> list[str]:
    """Names of the results in a folder, in the order in which they appear."""
    names = set()
    with contextlib.suppress(FileNotFoundError):  # A store has no empty folders.
        names = {path.name for path in folder.iterdir()}
    return results_among(names)
