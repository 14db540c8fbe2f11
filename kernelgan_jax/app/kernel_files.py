"""Kernel files: `.npy`, `.npz`, `.mat` with the variable `Kernel`, `.csv`, `.txt`.

All are read within bounds: whatever a file says about itself, at most `MAX_SIDE` x
`MAX_SIDE` values of a kernel and `MAX_VALUES` of a list of kernels are allocated,
nothing is executed, and damage is an error.
"""

import io
import math
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from kernelgan_jax import kernel_export
from kernelgan_jax.app import files, mat_files
from kernelgan_jax.app.result_names import export_name
from kernelgan_jax.kernel_formats import TOOLS

MAX_SIDE = 256
"""Longest side of a kernel that is read, pixels."""

MAX_VALUES = 2**21
"""Most values of a list of kernels in one variable."""

_LONGEST_HEADER = 2**12
"""Bytes of the longest header of a .npy file; those of kernels have some 120."""

_DESCRIPTION = 116
"""Bytes of text at the start of a .mat file."""

_SUFFIXES = (".npy", ".npz", ".mat", ".csv", ".txt")

_LONGEST_NUMBER = 32
"""Characters of the longest number in a text, with what separates it."""

_LISTED = 8
"""Most names of variables in a message."""


class KernelFileError(ValueError):
    """A problem with a kernel file; its message is one line to show to the user."""


class _Value(NamedTuple):
    """What a variable holds, of which nothing but the description has been read."""

    kernels: int
    """Number of its kernels."""
    read: Callable[[int], np.ndarray]
    """Reads one of them."""
    kind: str = ""
    """What it is if it may hold several kernels, such as `a stack`."""


_Variables = dict[str, Callable[[], _Value]]
"""The variables of an open file by their names; the only one of a .npy has none."""


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a kernel from `.npy`, `.npz`, `.mat`, or a text with a line for each row.

    Args:
      path: The file; in `.mat` and `.npz` with several variables and no `Kernel`,
        `FILE:NAME`, and of a list of kernels (a cell array, or a stack of matrices)
        `FILE:NAME[3]`, counted from 0.

    Returns:
      The array, float64, not checked further (see `kernels.check`).

    Raises:
      KernelFileError: If the file is missing, damaged or of another kind, if it does
        not hold exactly one real matrix and none is named, or if that is larger than
        `MAX_SIDE`.
    """
    path, name, number = _parts(os.fspath(path))
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise _error(
            path, f"a kernel must be a file of numbers: {', '.join(_SUFFIXES)}"
        )
    try:
        with files.open_regular(path) as file:
            kinds = {".mat": _mat, ".csv": _text, ".txt": _text}
            found = kinds.get(suffix, _numpy)(path, file)
            name = _chosen(path, found, name)
            value = found[name]()
            number = _number(path, name, value, number)
            return value.read(number).astype(np.float64)
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


def read_own(path: Path) -> np.ndarray:
    """Reads a kernel that this program has written, also at a URL.

    Raises:
      ValueError: If it is damaged.
      OSError: If it cannot be read.
    """
    if isinstance(path, Path):
        return read(path)
    data = io.BytesIO(path.read_bytes())
    return np.asarray(np.load(data, allow_pickle=False), np.float64)


def _error(path: Path, problem: str) -> KernelFileError:
    return KernelFileError(" ".join(f"{path}: {problem}".split()))


# --- Which kernel of a file ---


def _parts(text: str) -> tuple[Path, str, int | None]:
    """The file, the name of a variable, and a place in it, of `FILE:NAME[3]`."""
    pattern = r"(.*\.(?:npy|npz|mat))(?::(\w*))?(?:\[(-?[0-9]{1,9})\])?"
    found = None if os.path.exists(text) else re.fullmatch(pattern, text, re.IGNORECASE)
    if found is None:
        return Path(text), "", None
    number = None if found[3] is None else int(found[3])
    return Path(found[1]), found[2] or "", number


def _chosen(path: Path, found: _Variables, name: str) -> str:
    """The variable that is read: the named one, `Kernel`, or the only one."""
    names = ", ".join(list(found)[:_LISTED]) or "none"
    if len(found) > _LISTED:
        names += ", ..."
    if name and name not in found:
        raise _error(path, f"has no variable {name}; its variables: {names}")
    if name or "" in found:
        return name
    if "Kernel" in found:
        return "Kernel"
    if len(found) != 1:
        hint = f"; name one, as {path}:{next(iter(found))}" if found else ""
        raise _error(
            path, f"has no variable Kernel, and {len(found)} others ({names}){hint}"
        )
    return next(iter(found))


def _number(path: Path, name: str, value: _Value, number: int | None) -> int:
    """The place of the kernel that is read, in a variable that may hold several."""
    word = name or "it"
    if not value.kind:
        if number is not None:
            raise _error(path, f"{word} is one matrix; leave out [{number}]")
        return 0
    if value.kernels == 0:
        raise _error(path, f"{word} is {value.kind} without kernels")
    if number is None and value.kernels == 1:
        return 0
    if number is None or not 0 <= number < value.kernels:
        variable = f"{path}:{name}" if name else f"{path}"
        raise _error(
            path,
            f"{word} is {value.kind} of {value.kernels} kernels; name one, from "
            f"{variable}[0] to {variable}[{value.kernels - 1}]",
        )
    return number


def _value(
    path: Path, shape: tuple[int, ...], load: Callable[[], np.ndarray]
) -> _Value:
    """A matrix, or a stack of them, whose size is checked before it is loaded."""
    if len(shape) != 3:
        _check_size(path, shape)
        return _Value(1, lambda _: load())
    # Stacks have equal kernels, mostly square ones; MATLAB's have them last.
    axis = 2 if shape[0] == shape[1] or path.suffix.lower() == ".mat" else 0
    _check_size(path, shape[:axis] + shape[axis + 1 :])
    if math.prod(shape) > MAX_VALUES:
        raise _error(
            path,
            f"holds {shape[axis]} kernels, {math.prod(shape):,} values; at most "
            f"{MAX_VALUES:,} are read: save fewer kernels",
        )
    return _Value(shape[axis], lambda n: load().take(n, axis), "a stack")


def _check_size(path: Path, shape: tuple[int, ...]) -> None:
    """Refuses what is too large for a kernel before it is read."""
    if (
        len(shape) > 4
        or max(shape, default=0) > MAX_SIDE
        or min(shape, default=0) < 0
        or math.prod(shape) > MAX_SIDE**2
    ):
        raise _error(
            path,
            f"is {' x '.join(map(str, shape))}; a kernel has two sides of at most "
            f"{MAX_SIDE} pixels",
        )


# --- NumPy's files ---


def _numpy(path: Path, file: IO[bytes]) -> _Variables:
    """The array of a .npy file, or those of a .npz, whatever its suffix."""
    if file.read(2) != b"PK":
        file.seek(0)
        return {"": lambda: _npy(path, file)}
    archive = zipfile.ZipFile(file)
    members = {entry.filename: entry for entry in archive.infolist()}

    def value(entry: zipfile.ZipInfo) -> _Value:
        # Others are unpacked by the block, which may be large. NumPy writes none.
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _error(path, "is compressed in an unknown way; save it with NumPy")
        return _npy(path, archive.open(entry))

    return {
        name.removesuffix(".npy"): lambda entry=entry: value(entry)  # type: ignore[misc]
        for name, entry in members.items()
    }


def _npy(path: Path, file: IO[bytes]) -> _Value:
    """The array of a .npy file, which is read from its start."""
    start = file.read(12)
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

    def load() -> np.ndarray:
        data = np.frombuffer(file.read(dtype.itemsize * math.prod(shape)), dtype)
        return data.reshape(shape, order="F" if is_fortran else "C")

    return _value(path, shape, load)


# --- Texts ---


def _text(path: Path, file: IO[bytes]) -> _Variables:
    """The matrix of a text: a line for each row, with commas, semicolons or blanks.

    A comma beside semicolons or tabs is a decimal mark, as many spreadsheets write it.
    """
    most = _LONGEST_NUMBER * MAX_SIDE**2
    data = file.read(most + 1)
    if len(data) > most:
        raise _error(path, f"is larger than {most:,} bytes, too large for a kernel")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise _error(path, "is damaged or not a kernel (no text in UTF-8)") from None
    if not text:
        raise _error(path, "is empty")
    separator = next((mark for mark in ";\t," if mark in text), None)
    if separator != ",":
        text = text.replace(",", ".")
    try:
        values = np.loadtxt(io.StringIO(text), delimiter=separator, ndmin=2)
    except ValueError as error:  # What NumPy advises of an argument is cut off.
        reason = str(error).partition(";")[0]
        raise _error(path, f"is damaged or not a kernel ({reason})") from error
    return {"": lambda: _value(path, values.shape, lambda: values)}


# --- MATLAB's files ---


def _mat(path: Path, file: IO[bytes]) -> _Variables:
    """The variables of a .mat file, without those of MATLAB itself."""

    def value(variable: mat_files.Variable) -> _Value:
        if variable.kind == "cell array":
            inside, cells = mat_files.cells(file, variable, 8 * MAX_VALUES)

            def cell(number: int) -> np.ndarray:
                if cells[number].kind == "matrix":
                    _check_size(path, cells[number].shape)
                return mat_files.read(inside, cells[number], MAX_SIDE**2)

            return _Value(len(cells), cell, "a cell array")

        def load() -> np.ndarray:
            most = MAX_VALUES if len(variable.shape) == 3 else MAX_SIDE**2
            return mat_files.read(file, variable, most)

        if variable.kind != "matrix":
            return _Value(1, lambda _: load())  # It says what is wrong.
        return _value(path, variable.shape, load)

    return {
        variable.name: lambda variable=variable: value(variable)  # type: ignore[misc]
        for variable in mat_files.variables(file)
        if variable.name and not variable.name.startswith("_")
    }


def write(path: Path, kernel: np.ndarray) -> None:
    """Writes a kernel as `path`.npy and as `path`.mat, variable `Kernel`."""
    np.save(f"{path}.npy", kernel)
    write_mat(Path(f"{path}.mat"), kernel)


def write_mat(path: Path, kernel: np.ndarray) -> None:
    """Writes a kernel as a .mat file, variable `Kernel`.

    The same kernel gives the same file, byte for byte.
    """
    _write_variables(path, {"Kernel": kernel})


def write_export(folder: Path, kernel: np.ndarray, *, tool: str, scale: int) -> None:
    """Writes a kernel as another tool reads it, see `kernel_export`.

    Raises:
      ValueError: If the kernel cannot be used at this scale.
    """
    path = folder / export_name(tool, scale)
    found = kernel_export.export(kernel, to=tool, scale=scale)
    suffix, variable = TOOLS[tool].suffix, TOOLS[tool].variable
    if suffix == "npy":
        np.save(path, found)
    elif suffix == "yml":
        path.write_text(_opencv_yaml(variable, found))
    elif variable == "kernels":  # a cell array with one cell
        cells = np.empty((1, 1), object)
        cells[0, 0] = found
        _write_variables(path, {variable: cells})
    else:
        variables: dict[str, Any] = {variable: found}
        if tool == "matlab":
            variables |= {"psf": kernel_export.flip(found), "scale": float(scale)}
        _write_variables(path, variables)


def _opencv_yaml(name: str, matrix: np.ndarray) -> str:
    """A float32 matrix as `cv2.FileStorage` reads it from YAML."""
    rows = (", ".join(f"{value:.9g}" for value in row) for row in matrix.tolist())
    data = ",\n      ".join(rows)
    height, width = matrix.shape
    return (
        f"%YAML:1.0\n---\n{name}: !!opencv-matrix\n   rows: {height}\n"
        f"   cols: {width}\n   dt: f\n   data: [ {data} ]\n"
    )


def _write_variables(path: Path, variables: dict[str, Any]) -> None:
    """Writes a .mat file."""
    import scipy.io

    data = io.BytesIO()
    scipy.io.savemat(data, variables)
    stored = bytearray(data.getvalue())
    # The description of the file would otherwise have the date in it.
    stored[:_DESCRIPTION] = b"MATLAB 5.0 MAT-file".ljust(_DESCRIPTION)
    path.write_bytes(stored)
