"""Archives of networks' weights (.npz), read as arrays: nothing in them is executed."""

import zipfile
import zlib
from pathlib import Path

import numpy as np


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
