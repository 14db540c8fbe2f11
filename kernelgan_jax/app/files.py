"""Files as they really are: links, pipes, other runs, power cuts. Needs no JAX.

What a user names is opened only if it is a regular file, so that nothing waits for a
pipe. What a run writes lies in a hidden folder first, which is locked while the run
lives: a later run sees whether it may remove it.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked.
    fcntl = None  # type: ignore[assignment]

TEMPORARY = ".kernelgan-"
"""Start of the name of a hidden folder, which lives for seconds."""

STALE = 3600
"""Age in seconds of a hidden folder whose run is dead, where locks do not show it."""

LARGEST_JSON = 2**24
"""Bytes of the largest report that is read; those of this program have some 4000."""

_LOCK = "lock"
"""Name of the file in a hidden folder that its run keeps locked."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class OutputError(OSError):
    """Results cannot be written; the message is one line that names the path."""


class NotAFileError(OSError):
    """A path leads to something else than a regular file; the message says to what."""


class Content(NamedTuple):
    """What a file holds, as far as two files can be told apart by it."""

    bytes: int
    """Its size."""
    sha256: str
    """Its digest, hexadecimal."""


# --- Reading ---


def not_a_file(path: str | os.PathLike[str]) -> str | None:
    """What is wrong with a path that should be a file, such as `is a socket`.

    Returns:
      None for a regular file, or a link to one.

    Raises:
      OSError: If it cannot be looked at. A path that is not there at all raises
        `FileNotFoundError`; a link that leads nowhere is described instead.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if os.path.islink(path) and error.errno in (errno.ENOENT, errno.ENOTDIR):
            return f"is a link to {os.readlink(path)}, which is not there"
        if error.errno == errno.ELOOP:
            return "is a link that leads back to itself"
        raise
    return None if stat.S_ISREG(mode) else _kind(mode)


def _kind(mode: int) -> str:
    return f"is {next((name for test, name in _KINDS if test(mode)), 'special')}"


def open_regular(path: str | os.PathLike[str]) -> IO[bytes]:
    """Opens a regular file for reading; waits for nothing and starts no device.

    Raises:
      NotAFileError: If the path leads to a folder, a pipe, a socket, a device or
        nowhere.
      OSError: If it cannot be opened.
    """
    problem = not_a_file(path)
    if problem is not None:
        raise NotAFileError(errno.EINVAL, problem, os.fspath(path))
    # It may have been replaced meanwhile; without O_NONBLOCK a pipe would then wait.
    descriptor = os.open(path, os.O_RDONLY | _flag("O_NONBLOCK") | _flag("O_BINARY"))
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise NotAFileError(errno.EINVAL, _kind(mode), os.fspath(path))
        # With the path, and not the number, as its name, which readers look at.
        return Clipped(io.FileIO(os.fspath(path), opener=lambda *_: descriptor))
    except BaseException:
        os.close(descriptor)
        raise


class Clipped(io.BufferedReader):
    """A file that reserves no more memory for a read than it has bytes left.

    Readers ask for as many bytes as a file's headers say, which may be billions.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads up to so many bytes."""
        if size is not None and size > 2**16:
            here = self.tell()
            size = min(size, max(0, self.seek(0, io.SEEK_END) - here))
            self.seek(here)
        return super().read(size)


class Reopened(io.RawIOBase):
    """A file for readers that outlive it: it may be closed and opened again.

    Args:
      file: The file that is open now; another one may be put in its place.
    """

    def __init__(self, file: IO[bytes]):
        self.file: Any = file

    def readable(self) -> bool:
        """It is read only."""
        return True

    def seekable(self) -> bool:
        """As all regular files."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Goes to a place and returns it."""
        return int(self.file.seek(offset, whence))

    def tell(self) -> int:
        """The place in the file."""
        return int(self.file.tell())

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads up to so many bytes."""
        return bytes(self.file.read(size))

    def readinto(self, buffer: Any, /) -> int:
        """Reads into memory that is there; the number of bytes."""
        return int(self.file.readinto(buffer))


def _flag(name: str) -> int:
    return getattr(os, name, 0)


def content(path: str | os.PathLike[str]) -> Content:
    """Size and digest of a regular file.

    Raises:
      OSError: As `open_regular`.
    """
    with open_regular(path) as file:
        return content_of(file)


def content_of(file: IO[bytes]) -> Content:
    """Size and digest of an open file, from its start to its end."""
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    # hashlib.file_digest does not end where a file makes it wait, as /proc/kmsg does.
    while block := file.read(2**16):
        digest.update(block)
        size += len(block)
    return Content(size, digest.hexdigest())


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, empty if the file has another value.

    Returns:
      None if there is no such file, or if it is damaged.
    """
    try:
        if not isinstance(path, Path):
            found = json.loads(path.read_bytes())
        else:
            with open_regular(path) as file:
                if os.fstat(file.fileno()).st_size > LARGEST_JSON:
                    return None
                found = json.loads(file.read(LARGEST_JSON))
    except (OSError, ValueError, RecursionError, MemoryError):
        return None
    return found if isinstance(found, dict) else {}


# --- Locks ---


@contextlib.contextmanager
def locked(descriptor: int) -> Iterator[bool]:
    """Locks an open file or folder against other processes, waiting for them.

    Yields:
      Whether it is locked; some file systems know no locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        got = fcntl is not None
    except OSError:
        got = False
    try:
        yield got
    finally:
        if got:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a folder, where its file system can.

    Raises:
      OSError: If the folder cannot be opened.
    """
    if not isinstance(folder, Path) or fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | _flag("O_DIRECTORY"))
    try:
        with locked(descriptor):
            yield
    finally:
        os.close(descriptor)


def _try_lock(file: IO[bytes]) -> bool | None:
    """Locks a file if nobody else does; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


# --- Writing ---


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk.

    Raises:
      OSError: If a file cannot be written. Folders cannot be synchronised everywhere,
        which is no error.
    """
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    except OSError:
        if is_folder:
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        # EINVAL and the like: this file system, or this kind of object, has no fsync.
        if not is_folder and error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(parent: Path | None) -> Iterator[Path]:
    """A hidden folder, which `clean_up` removes if this process is killed.

    Args:
      parent: The folder that it lies in; None for the system's temporary folder.

    Raises:
      OSError: If it cannot be made.
    """
    folder, lock = _make_locked(parent)
    try:
        yield folder
    finally:
        lock.close()
        _remove(folder)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file, or an object of a store, in one step: the old contents or the new.

    Raises:
      OutputError: If it cannot be written.
    """
    try:
        if not isinstance(path, Path):  # An object of a store is written in one step.
            path.write_bytes(data)
            return
        with temporary_folder(path.parent) as temporary:
            new = temporary / path.name
            new.write_bytes(data)
            new.replace(path)
    except Exception as error:  # A store of objects has errors of its own.
        if isinstance(path, Path) and not isinstance(error, OSError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{path}: cannot be written: {reason}") from error


def _make_locked(parent: Path | None) -> tuple[Path, IO[bytes]]:
    """A new hidden folder with a locked file in it."""
    for _ in range(100):
        folder = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{_host()}-", dir=parent))
        try:
            lock = open(folder / _LOCK, "xb")
        except FileNotFoundError:  # `clean_up` of another run was faster.
            if parent is not None and not parent.is_dir():
                raise
            continue
        if _try_lock(lock) is not False and (folder / _LOCK).exists():
            return folder, lock
        lock.close()
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(parent))


def clean_up(parent: Path) -> None:
    """Removes the hidden folders of killed runs.

    A folder whose lock is free, or which is empty, belongs to nobody. Where locks do
    not reach (another machine, a file system without them), age decides.
    """
    for folder in parent.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if folder.is_dir() and not folder.is_symlink():
                _remove_if_dead(folder)


def _remove_if_dead(folder: Path) -> None:
    try:
        file = open(folder / _LOCK, "r+b")
    except FileNotFoundError:
        if _age(folder) > STALE:
            _remove(folder)
        else:
            folder.rmdir()  # Fails if anything is in it.
        return
    with file:  # Locked until all is gone, so that nobody else takes the folder.
        got = _try_lock(file)
        here = folder.name.startswith(f"{TEMPORARY}{_host()}-")
        if (got and here) or (got is not False and _age(folder) > STALE):
            _remove(folder)


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _remove(folder: Path) -> None:
    """Removes a hidden folder as far as possible, its lock last."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink(missing_ok=True)
        (folder / _LOCK).unlink(missing_ok=True)
        folder.rmdir()


def _host() -> str:
    """This machine's name, as far as it can be part of a file's name."""
    return re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:40] or "host"
