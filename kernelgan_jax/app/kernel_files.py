"""Kernel files: `.npy`, and `.mat` with the variable `Kernel`.

Both are read within bounds: whatever a file says about itself, at most `MAX_SIDE` x
`MAX_SIDE` values are allocated, nothing is executed, and damage is an error.
"""

import io
import os
from pathlib import Path
from typing import IO

import numpy as np

from kernelgan_jax.app import files, mat_files

MAX_SIDE = 256
"""Longest side of a kernel that is read, pixels."""

_LONGEST_HEADER = 2**12
"""Bytes of the longest header of a .npy file; those of kernels have some 120."""

_DESCRIPTION = 116
"""Bytes of text at the start of a .mat file."""


class KernelFileError(ValueError):
    """A problem with a kernel file; its message is one line to show to the user."""


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a kernel from `.npy`, or from `.mat` with `Kernel` or a single matrix.

    Args:
      path: The file.

    Returns:
      The array, float64, not checked further (see `kernels.check`).

    Raises:
      KernelFileError: If the file is missing, damaged or of another kind, if it does
        not hold exactly one real matrix, or if that is larger than `MAX_SIDE`.
    """
    path = Path(path)
    if path.suffix.lower() not in (".npy", ".mat"):
        raise _error(path, "a kernel must be a .npy or a .mat file")
    try:
        with files.open_regular(path) as file:
            reader = _npy if path.suffix.lower() == ".npy" else _mat
            return reader(path, file).astype(np.float64)
    except KernelFileError:
        raise
    except mat_files.MatFileError as error:
        raise _error(path, str(error)) from error
    except files.NotAFileError as error:
        raise _error(path, f"{error.strerror}; name a file") from None
    except OSError as error:
        raise _error(path, f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # A damaged file makes the readers raise anything.
        raise _error(path, f"is damaged or not a kernel ({error})") from error


def _error(path: Path, problem: str) -> KernelFileError:
    return KernelFileError(" ".join(f"{path}: {problem}".split()))


def _npy(path: Path, file: IO[bytes]) -> np.ndarray:
    """The array of a .npy file."""
    start = file.read(12)
    if start.startswith(b"PK"):
        raise _error(path, "is an archive (.npz); save its kernel alone as .npy")
    if len(start) < 12 or not start.startswith(b"\x93NUMPY"):
        raise _error(path, "is damaged or not a kernel (no .npy file)")
    # NumPy would allocate as much as a damaged header says.
    width = 2 if start[6] == 1 else 4
    if int.from_bytes(start[8 : 8 + width], "little") > _LONGEST_HEADER:
        raise _error(path, "is damaged or not a kernel (a long header)")
    file.seek(0)
    version = np.lib.format.read_magic(file)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if header is None:
        raise _error(path, f"is damaged or not a kernel (.npy of version {version})")
    shape, is_fortran, dtype = header(file, max_header_size=_LONGEST_HEADER)
    if dtype.hasobject:
        raise _error(path, "is damaged or not a kernel (it holds Python objects)")
    if dtype.kind not in "fiub":
        raise _error(path, f"holds {dtype}, not real numbers")
    _check_size(path, shape)
    data = np.frombuffer(file.read(dtype.itemsize * _count(shape)), dtype)
    return data.reshape(shape, order="F" if is_fortran else "C")


def _mat(path: Path, file: IO[bytes]) -> np.ndarray:
    """The variable `Kernel` of a .mat file, or its only variable."""
    listed = mat_files.variables(file)
    found = {v.name: v for v in listed if v.name and not v.name.startswith("_")}
    variable = found.get("Kernel")
    if variable is None:
        if len(found) != 1:
            names = f" ({', '.join(list(found)[:5])})" if found else ""
            raise _error(
                path, f"has no variable Kernel, and {len(found)} others{names}"
            )
        (variable,) = found.values()
    if variable.kind == "matrix":
        _check_size(path, variable.shape)
    return mat_files.read(file, variable, MAX_SIDE**2)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


def _check_size(path: Path, shape: tuple[int, ...]) -> None:
    """Refuses what is too large for a kernel before it is read."""
    if (
        len(shape) > 4
        or max(shape, default=0) > MAX_SIDE
        or _count(shape) > MAX_SIDE**2
    ):
        raise _error(
            path,
            f"is {' x '.join(map(str, shape))}; a kernel has two sides of at most "
            f"{MAX_SIDE} pixels",
        )


def write(path: Path, kernel: np.ndarray) -> None:
    """Writes a kernel as `path`.npy and as `path`.mat, variable `Kernel`."""
    np.save(f"{path}.npy", kernel)
    write_mat(Path(f"{path}.mat"), kernel)


def write_mat(path: Path, kernel: np.ndarray) -> None:
    """Writes a kernel as a .mat file, variable `Kernel`.

    The same kernel gives the same file, byte for byte.
    """
    import scipy.io

    data = io.BytesIO()
    scipy.io.savemat(data, {"Kernel": kernel})
    stored = bytearray(data.getvalue())
    # The description of the file would otherwise have the date in it.
    stored[:_DESCRIPTION] = b"MATLAB 5.0 MAT-file".ljust(_DESCRIPTION)
    path.write_bytes(stored)
