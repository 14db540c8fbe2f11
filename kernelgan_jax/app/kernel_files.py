"""Kernel files: `.npy`, and `.mat` with the variable `Kernel`."""

import io
import os
from pathlib import Path

import numpy as np

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
      KernelFileError: If the file is missing, damaged or of another kind, or if it
        does not hold exactly one real matrix.
    """
    path = Path(path)
    if path.suffix.lower() not in (".npy", ".mat"):
        raise KernelFileError(f"{path}: a kernel must be a .npy or a .mat file")
    try:
        if path.suffix.lower() == ".npy":
            kernel = np.load(path, allow_pickle=False)
        else:
            kernel = _matrix(path)
    except KernelFileError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise KernelFileError(f"{path}: cannot be read: {reason}") from error
    except Exception as error:  # A damaged file makes the readers raise anything.
        raise KernelFileError(
            f"{path}: is damaged or not a kernel ({error})"
        ) from error
    if kernel.dtype.kind not in "fiub":
        raise KernelFileError(f"{path}: holds {kernel.dtype}, not real numbers")
    return kernel.astype(np.float64)


def _matrix(path: Path) -> np.ndarray:
    """The variable `Kernel` of a .mat file, or its only variable."""
    import scipy.io  # Slow to import.

    with path.open("rb") as file:  # A missing file then raises OSError.
        found = scipy.io.loadmat(file)
    if "Kernel" in found:
        return np.asarray(found["Kernel"])
    matrices = [v for name, v in found.items() if not name.startswith("__")]
    if len(matrices) != 1:
        raise KernelFileError(
            f"{path}: has no variable Kernel, and {len(matrices)} others"
        )
    return np.asarray(matrices[0])


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
