"""Files of weights of other networks, read as arrays: nothing in them is executed."""

from pathlib import Path

import numpy as np

from kernelgan_jax.super_resolution.weight_archives import read_arrays

MAX_BYTES = 2**29
"""Largest size of all weights of a file."""


class Layers:
    """The arrays of a file by name, taken one by one and checked."""

    def __init__(self, path: Path, arrays: dict[str, np.ndarray], network: str) -> None:
        """Holds the arrays of a file.

        Args:
          path: The file, for messages.
          arrays: Its arrays by name.
          network: What the file should hold, for messages.
        """
        self._path, self._network = path, network
        self._left = dict(arrays)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array that is still to be taken.

        Raises:
          ValueError: If there is none of this name.
        """
        if name not in self._left:
            raise ValueError(
                f"{self._path}: has no weights {name}; it must hold {self._network}"
            )
        return self._left[name].shape

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An array of a shape, as float32.

        Raises:
          ValueError: If there is none, or its shape or its values are wrong.
        """
        if self.shape(name) != shape:
            raise ValueError(
                f"{self._path}: weights {name} have shape {self.shape(name)}; it must "
                f"be {shape}"
            )
        array = self._left.pop(name)
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(
                f"{self._path}: weights {name} are not finite floating-point numbers"
            )
        return array.astype(np.float32)

    def finish(self) -> None:
        """Checks that all arrays have been taken.

        Raises:
          ValueError: If there are others.
        """
        if self._left:
            names = ", ".join(sorted(self._left)[:3])
            raise ValueError(
                f"{self._path}: has unknown weights {names}; it must hold "
                f"{self._network}"
            )


def read_bytes(path: Path) -> bytes:
    """Reads a file of at most `MAX_BYTES`.

    Raises:
      ValueError: If it is larger.
      OSError: If it cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path}: has {size} bytes; it must be at most {MAX_BYTES}")
    return path.read_bytes()


def read_npz(path: Path, *, network: str) -> Layers:
    """Reads a NumPy archive of weights.

    Args:
      network: What it should hold, for messages.

    Raises:
      ValueError: If it is no such archive.
      OSError: If it cannot be read.
    """
    try:
        return Layers(path, read_arrays(path, max_bytes=MAX_BYTES), network)
    except OSError:
        raise
    except Exception as error:  # A damaged file makes the reader raise anything.
        raise ValueError(
            f"{path}: is not a file of {network}; it must be an .npz of its weights"
        ) from error


def hwio(weight: np.ndarray) -> np.ndarray:
    """Weights of a convolution, from output x input x height x width."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
