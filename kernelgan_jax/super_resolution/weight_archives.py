"""Files of networks' weights, read once; archives (.npz) as arrays: nothing in them is
executed."""

import functools
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def read_once(load: Callable[[Path], Any], file: str, *, setting: str) -> Any:
    """What a file holds, read again only if it was changed.

    Args:
      setting: The setting that names it, for messages.

    Raises:
      ValueError: If it cannot be read, or as `load`.
    """
    try:
        return read_if_changed(load, Path(file))
    except OSError as error:
        raise ValueError(
            f"{setting} is {file!r}: {error.strerror or error}; it must be a file of "
            "weights"
        ) from error


def read_if_changed(load: Callable[[Path], Any], path: Path) -> Any:
    """What a function makes of a file, made again only if the file was changed.

    Raises:
      OSError: If it cannot be read. Other errors are those of the function.
    """
    return _cached(load, path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _cached(load: Callable[[Path], Any], path: Path, changed: int) -> Any:
    """What a file holds that was changed at this time."""
    del changed
    return load(path)


def read_arrays(path: Path, *, max_bytes: int) -> dict[str, np.ndarray]:
    """Reads all arrays of a NumPy archive by name.

    Args:
      path: The file.
      max_bytes: Largest size of all arrays together; it is looked at before any of them
        is read.

    Raises:
      OSError: If the file cannot be read.
      Exception: Of any other kind, if it is damaged, too large, or no such archive.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > max_bytes:
        raise ValueError(f"it has {size} bytes")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except zlib.error as error:  # It is no kind of what readers of files expect.
        raise ValueError(str(error)) from error
