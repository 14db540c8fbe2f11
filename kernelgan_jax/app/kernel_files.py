"""Kernel files: `.npy`, `.npz`, and `.mat` with the variable `Kernel`."""

import io
import os
import re
from pathlib import Path

import numpy as np

_DESCRIPTION = 116
"""Bytes of text at the start of a .mat file."""


_SUFFIXES = (".npy", ".npz", ".mat")

_HDF5 = b"\x89HDF\r\n\x1a\n"
"""First bytes of HDF5, which MATLAB puts behind 512 bytes of its own."""


class KernelFileError(ValueError):
    """A problem with a kernel file; its message is one line to show to the user."""


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a kernel from `.npy`, `.npz` or `.mat`.

    Args:
      path: The file; in `.mat` and `.npz` with several variables and no `Kernel`,
        `FILE:NAME`, and of a list of kernels (a cell array, or a stack of matrices)
        `FILE:NAME[3]`, counted from 0.

    Returns:
      The array, float64, not checked further (see `kernels.check`).

    Raises:
      KernelFileError: If the file is missing, damaged or of another kind, or if it
        does not hold exactly one real matrix and none is named.
    """
    path, name, number = _parts(os.fspath(path))
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise KernelFileError(f"{path}: a kernel must be a .npy or a .mat file")
    try:
        found = _variables(path)
    except KernelFileError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise KernelFileError(f"{path}: cannot be read: {reason}") from error
    except Exception as error:  # A damaged file makes the readers raise anything.
        raise KernelFileError(
            f"{path}: is damaged or not a kernel ({error})"
        ) from error
    name = _chosen(path, found, name)
    kernel = _single(path, name, found[name], number)
    if kernel.dtype.kind not in "fiub":
        raise KernelFileError(f"{path}: holds {kernel.dtype}, not real numbers")
    return kernel.astype(np.float64)


def _parts(text: str) -> tuple[Path, str, int | None]:
    """The file, the name of a variable, and a place in it, of `FILE:NAME[3]`."""
    pattern = r"(.*\.(?:npy|npz|mat))(?::(\w*))?(?:\[([0-9]{1,9})\])?"
    found = None if os.path.exists(text) else re.fullmatch(pattern, text, re.IGNORECASE)
    if found is None:
        return Path(text), "", None
    number = None if found[3] is None else int(found[3])
    return Path(found[1]), found[2] or "", number


def _variables(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a file by their names; the only one of a .npy has none."""
    with path.open("rb") as file:  # A missing file then raises OSError.
        start = file.read(520)
        file.seek(0)
        if start.startswith(b"MATLAB 7.3") or _HDF5 in (start[:8], start[512:]):
            raise KernelFileError(
                f"{path}: is a MATLAB file of version 7.3 (HDF5); save it with "
                "save(..., '-v7') in MATLAB"
            )
        if path.suffix.lower() == ".mat":
            import scipy.io  # Slow to import.

            found = scipy.io.loadmat(file)
            return {
                name: np.asarray(value)
                for name, value in found.items()
                if not name.startswith("__")
            }
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        return {name: loaded[name] for name in loaded.files}


def _chosen(path: Path, found: dict[str, np.ndarray], name: str) -> str:
    """The variable that is read: the named one, `Kernel`, or the only one."""
    names = ", ".join(found) or "none"
    if name and name not in found:
        raise KernelFileError(f"{path}: has no variable {name}; its variables: {names}")
    if name or "" in found:
        return name
    if "Kernel" in found:
        return "Kernel"
    if len(found) != 1:
        hint = f"; name one, as {path}:{next(iter(found))}" if found else ""
        raise KernelFileError(
            f"{path}: has no variable Kernel, and {len(found)} others ({names}){hint}"
        )
    return next(iter(found))


def _single(path: Path, name: str, value: np.ndarray, number: int | None) -> np.ndarray:
    """One matrix of a variable, which may hold several."""
    if value.dtype == object and value.ndim == 0:
        raise KernelFileError(f"{path}: {name} is sparse; save full({name})")
    if value.dtype == object:
        several = [np.asarray(kernel) for kernel in value.ravel(order="F")]
        kind = "a cell array"
    elif value.ndim == 3:
        # Stacks have equal kernels, mostly square ones; MATLAB's have them last.
        last = value.shape[0] == value.shape[1] or path.suffix.lower() == ".mat"
        several = list(np.moveaxis(value, -1, 0) if last else value)
        kind = "a stack"
    else:
        if number is not None:
            raise KernelFileError(
                f"{path}: {name or 'it'} is one matrix; leave out [{number}]"
            )
        return value
    variable = f"{path}:{name}" if name else f"{path}"
    if number is None and len(several) == 1:
        number = 0
    if number is None or number >= len(several):
        raise KernelFileError(
            f"{path}: {name or 'it'} is {kind} of {len(several)} kernels; name one, "
            f"from {variable}[0] to {variable}[{len(several) - 1}]"
        )
    return several[number]


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
