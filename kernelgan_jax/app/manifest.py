"""The list of what became of every image: `manifest.jsonl`, one line per image.

Results are known by the name of their folder, which lies in that of the manifest: two
images may well be called the same by those who name them. A failure is known by the
image's absolute path, as its folder may get the results of another one. The last line
of an image counts, and the last one of a folder's results.

Any number of runs may write to it at once: a line is appended under a lock, after what
others have appended was read. `tidy` removes lines that do not count any more, also
under the lock, and only where locks work. A store of objects has neither locks nor
files that grow, so there each run has a file of its own; `read_folder` merges them all.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import IO, Any, NamedTuple, Self

from kernelgan_jax.app import files
from kernelgan_jax.app.files import OutputError
from kernelgan_jax.app.job import Outcome

UPLOAD_EVERY = 60
"""Seconds between two uploads of a manifest to a URL."""

LONGEST_LINE = 2**20
"""Bytes of the longest line that is read."""

_START = b'{"image": '
"""Start of each line, by which one that was cut off is known."""

Record = dict[str, Any]
"""One line: an image and what became of it."""

Records = dict[tuple[str, str], Record]
"""The lines that count: by the name of the folder and nothing, those of failures by
nothing and the image's path."""


class Manifest:
    """Adds a line when an image ends, so that nothing is lost if the run is killed.

    A line that cannot be written is kept, and written with the next one; `problem` says
    why. A file that holds something else as well is kept beside the tidied one; `note`
    says so.

    Raises:
      OutputError: If there is something else of this name, or it may not be written.
    """

    def __init__(self, path: Path):
        self.problem = ""
        """Why lines could not be written; empty if all were."""
        self.note = ""
        """What was unusual, in one line; empty if nothing was."""
        self._records: Records = {}
        self._waiting: list[Record] = []
        self._seen = (0, 0)  # Number of the file and bytes of it that were read.
        self._own: Records = {}
        self._uploaded = 0.0
        if not isinstance(path, Path):
            self._records = read_folder(path.parent)
            run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
            path = path.with_name(f"{path.stem}-{run}-{secrets.token_hex(4)}.jsonl")
        self.path = path
        if isinstance(path, Path) and os.path.lexists(path):
            _check(path)
            self.tidy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self.path, Path):
            self._append()
            self.tidy()
        else:
            self._upload()

    def add(self, outcome: Outcome) -> None:
        """Adds a line for an image, unless it would say nothing new."""
        summary = outcome.summary
        record = {
            "image": str(outcome.task.path),
            "path": os.path.abspath(outcome.task.path),
            "results": outcome.task.folder.name,
            "status": "failed" if outcome.status == "failed" else "done",
            "seconds": 0.0 if summary is None else round(summary.seconds, 3),
            "error": outcome.error,
        }
        if summary is not None:
            if summary.failure is not None:
                record["converged"] = not summary.failure
            record |= summary.values or {}
        is_kept = outcome.status == "kept"
        if isinstance(self.path, Path):
            self._append(record, is_kept=is_kept)
        elif self._is_new(record, is_kept=is_kept):
            _add(self._records, record)
            _add(self._own, record)
            if time.monotonic() > self._uploaded + UPLOAD_EVERY:
                self._upload()

    def tidy(self) -> None:
        """Leaves the lines that count, in one step."""
        if self._waiting or not (isinstance(self.path, Path) and self.path.is_file()):
            return
        with self._keeping_problem(), _opened(self.path) as (file, is_locked):
            if not is_locked:
                return
            found = _parse(file)
            self._records = found.records
            if len(found.records) == found.lines:
                return
            if found.has_others:
                copy = _unused(f"{self.path}.damaged")
                shutil.copyfile(self.path, copy)
                self.note = (
                    f"{self.path}: held more than lines of a manifest; they were left "
                    f"out, and {copy} is the file as it was"
                )
            with files.temporary_folder(self.path.parent) as temporary:
                new = temporary / self.path.name
                new.write_text("".join(map(_line, found.records.values())))
                new.chmod(stat.S_IMODE(os.fstat(file.fileno()).st_mode))
                files.sync(new)
                os.replace(new, self.path)

    def _append(self, record: Record | None = None, *, is_kept: bool = False) -> None:
        """Adds a line, and those that could not be written before."""
        if record is None and not self._waiting:
            return
        written = False
        with self._keeping_problem(), _opened(self.path, create=True) as (file, _):
            self._catch_up(file)
            new = list(self._waiting)
            if record is not None and self._is_new(record, is_kept=is_kept):
                new.append(record)
            if new:
                append_lines(file, "".join(map(_line, new)).encode())
            _add(self._records, *new)
            self._seen = (os.fstat(file.fileno()).st_ino, file.tell())
            self._waiting = []
            written = True
        if not written and record is not None:
            if self._is_new(record, is_kept=is_kept):
                self._waiting.append(record)

    def _catch_up(self, file: IO[bytes]) -> None:
        """Reads what others have appended since the last time."""
        status = os.fstat(file.fileno())
        number, end = self._seen
        if number != status.st_ino or end > status.st_size:
            self._records, end = {}, 0
        _add(self._records, *_parse(file, start=end).records.values())

    def _is_new(self, record: Record, *, is_kept: bool) -> bool:
        """Whether a line says something that the manifest does not say yet."""
        before = self._records.get(_key(record), {})
        if is_kept:  # Earlier versions left out `report_values`.
            lacks = not before.keys() >= record.keys()
            return lacks or bool(_failures(record) & self._records.keys())
        return record["status"] != "failed" or before.get("error") != record["error"]

    def _upload(self) -> None:
        """Writes this run's lines, all of them, to its own object."""
        if self._own:
            with self._keeping_problem():
                self.path.write_text("".join(map(_line, self._own.values())))
        self._uploaded = time.monotonic()

    @contextlib.contextmanager
    def _keeping_problem(self) -> Iterator[None]:
        """Keeps an error in `problem`: the images go on without the manifest."""
        try:
            yield
        except Exception as error:  # A store of objects has errors of its own.
            if isinstance(self.path, Path) and not isinstance(error, OSError):
                raise
            reason = getattr(error, "strerror", None) or error
            self.problem = f"{self.path}: cannot be written: {reason}"
        else:
            self.problem = ""


class _Found(NamedTuple):
    """What a manifest holds."""

    records: Records
    """Those that count."""
    lines: int
    """Number of all lines."""
    has_others: bool
    """Whether some are no lines of a manifest, not even cut off."""


def read(path: Path) -> Records:
    """The lines of one file that count.

    What is no line is skipped.

    Raises:
      OSError: If there is such a path, and it cannot be read.
    """
    if not isinstance(path, Path):
        if not path.exists():
            return {}
        return _parse_lines(iter(path.read_bytes().splitlines())).records
    if not os.path.lexists(path):
        return {}
    with files.open_regular(path) as file:
        return _parse(file).records


def read_folder(folder: Path) -> Records:
    """The lines that count of all manifests of an output folder, merged.

    Later runs come after earlier ones.

    Raises:
      OutputError: If one of them, or the folder, cannot be read.
    """
    records: Records = {}
    try:
        if folder.exists():
            names = sorted(p.name for p in folder.iterdir() if is_manifest(p.name))
            for name in sorted(names, key=lambda name: name != "manifest.jsonl"):
                _add(records, *read(folder / name).values())
    except OSError as error:
        path, reason = error.filename or folder, error.strerror or error
        raise OutputError(f"{path}: cannot be read: {reason}") from error
    return records


def by_folder(folder: Path) -> list[Record]:
    """The lines of `read_folder`, sorted by the names of the images' folders.

    Raises:
      OutputError: As `read_folder`.
    """
    lines = read_folder(folder).values()
    return sorted(lines, key=lambda record: (folder_of(record), record["image"]))


def is_manifest(name: str) -> bool:
    """Whether a file's name is that of a manifest."""
    return name.startswith("manifest") and name.endswith(".jsonl")


def _check(path: Path) -> None:
    """Checks that a path is a file that can be written; else raises an OutputError."""
    advice = "move it away, or choose another output folder"
    try:
        problem = files.not_a_file(path)
        if problem is None and path.is_symlink():
            problem = "is a link"  # Nothing is written outside of the output folder.
        if problem is not None:
            raise OutputError(f"{path}: {problem}, not a list of images; {advice}")
        os.close(os.open(path, os.O_RDWR | os.O_APPEND))
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{path}: cannot be written: {reason}; {advice}") from error


@contextlib.contextmanager
def _opened(path: Path, *, create: bool = False) -> Iterator[tuple[IO[bytes], bool]]:
    """The file, to read and append to, and whether it is locked."""
    flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0)
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    while True:
        with os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0) as file:
            with files.locked(file.fileno()) as is_locked:
                # Another run may have put a tidied file in its place meanwhile.
                if is_locked and not _is_at(file, path):
                    continue
                yield file, is_locked
                return


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def append_lines(file: IO[bytes], data: bytes) -> None:
    """Adds whole lines to a file, or nothing."""
    end = file.seek(0, os.SEEK_END)
    if end:
        file.seek(end - 1)
        if file.read(1) != b"\n":  # A line before was cut off.
            data = b"\n" + data
    if file.write(data) < len(data):
        file.truncate(end)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _unused(path: str) -> str:
    """The path, with a number behind it if there is such a file."""
    number, chosen = 1, path
    while os.path.lexists(chosen):
        number += 1
        chosen = f"{path}-{number}"
    return chosen


def _add(records: Records, *new: Record) -> None:
    """Adds lines in their order, and removes those that do not count any more."""
    for record in new:
        of_folder = records.get(_of_results(record))
        if not _has_failed(record):
            for key in _failures(record):
                records.pop(key, None)
        elif of_folder and _path(of_folder) == _path(record):
            del records[_of_results(record)]
        records[_key(record)] = record


def folder_of(record: Record) -> str:
    """The name of the folder of a line's image."""
    # Up to 2026-11 there was a path before it.
    return PurePath(record["results"]).name


def _key(record: Record) -> tuple[str, str]:
    if _has_failed(record):
        return "", _path(record)
    return _of_results(record)


def _of_results(record: Record) -> tuple[str, str]:
    return folder_of(record), ""


def _failures(record: Record) -> set[tuple[str, str]]:
    """The keys that a failure of a line's image may have."""
    return {("", _path(record)), ("", record["image"])}


def _path(record: Record) -> str:
    """The absolute path of a line's image; up to 2026-11, as it was typed."""
    return str(record.get("path", record["image"]))


def _has_failed(record: Record) -> bool:
    return record.get("status") == "failed"


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"


def _parse(file: IO[bytes], *, start: int = 0) -> _Found:
    """What the lines of an open file say, from a position on."""
    file.seek(start)
    with open(os.dup(file.fileno()), "rb") as buffered:
        return _parse_lines(iter(lambda: buffered.readline(LONGEST_LINE), b""))


def _parse_lines(lines: Iterator[bytes]) -> _Found:
    records: Records = {}
    count, has_others = 0, False
    for line in lines:
        count += 1
        try:
            record = json.loads(line)
            texts = record["image"], record["results"], record.get("path", "")
            if not all(isinstance(text, str) for text in texts):
                raise TypeError
            _add(records, record)
        except (ValueError, KeyError, TypeError, RecursionError, MemoryError):
            was_cut_off = line.startswith(_START) or _START.startswith(line.rstrip())
            has_others |= not was_cut_off
    return _Found(records, count, has_others)
