"""What the benchmark keeps on disk: rows, kernels and images.

`OUTPUT/runs.jsonl` has one line for each row, appended as it is measured. A row's files
lie beside it: `OUTPUT/x2/kernels/SYSTEM/seed0/NAME_x2.npy` and
`OUTPUT/x2/sr/SYSTEM/seed0/NAME.png`.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark.rows import (
    FORMAT,
    Key,
    Row,
    from_json,
    kernel_file,
    to_json,
)
from kernelgan_jax.pixels import from_unit
from kernelgan_jax.provenance import provenance

IMAGE = "image"
"""The name, in `Row.files`, of a super-resolved image."""


def file_digest(path: Path) -> str:
    """Digest of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def fingerprint(**depends_on: Any) -> str:
    """Digest of all that a measurement depends on.

    The code of the package and the form of the rows are always part of it.

    Args:
      **depends_on: Values that JSON has: digests of files, settings, names.

    Example:
      >>> fingerprint(scale=2) == fingerprint(scale=2), len(fingerprint(scale=2))
      (True, 16)
      >>> fingerprint(scale=2) == fingerprint(scale=3)
      False
    """
    text = json.dumps([provenance(), FORMAT, depends_on], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_rows(file: Path) -> list[Row]:
    """The rows of a `runs.jsonl`; of those with the same key the last one.

    Lines that are cut off or have another form are left out.
    """
    text = file.read_text(errors="replace") if file.exists() else ""
    rows: dict[Key, Row] = {}
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            row = from_json(line)
            rows[row.key] = row
    return list(rows.values())


class Store:
    """The rows and files of one output folder, for one scale."""

    def __init__(self, output: Path, scale: int):
        self.folder = output / f"x{scale}"
        self.scale = scale
        self._file = output / "runs.jsonl"
        output.mkdir(parents=True, exist_ok=True)
        self._rows = {row.key: row for row in read_rows(self._file)}
        _end_last_line(self._file)

    def get(self, key: Key, fingerprint: str) -> Row | None:
        """The row of a key; None if it is missing, has another fingerprint, or its
        files are not as they were."""
        row = self._rows.get(key)
        if row is None or row.fingerprint != fingerprint:
            return None
        files = {self.file(key, what): digest for what, digest in row.files.items()}
        intact = all(
            path.exists() and file_digest(path) == digest
            for path, digest in files.items()
        )
        return row if intact else None

    def add(self, row: Row) -> None:
        """Keeps a row."""
        self._rows[row.key] = row
        with self._file.open("a") as file:
            file.write(to_json(row) + "\n")

    def file(self, key: Key, what: str) -> Path:
        """Path of one of a row's files, as `Row.files` names them."""
        seed = f"seed{key.seed}"
        if what == IMAGE:
            return self.folder / "sr" / key.system / seed / f"{key.image}.png"
        name = what.replace("kernel", key.image, 1)
        return self.folder / "kernels" / key.system / seed / f"{name}.npy"

    def write_kernels(
        self, key: Key, kernels: Iterable[tuple[int, np.ndarray]]
    ) -> dict[str, str]:
        """Writes the kernels, (scale, kernel), of a row; returns their `Row.files`."""
        files = {}
        for scale, kernel in kernels:
            path = self.file(key, kernel_file(scale))
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, kernel)
            files[kernel_file(scale)] = file_digest(path)
        return files

    def write_image(
        self, key: Key, pixels: np.ndarray, *, dtype: np.dtype
    ) -> dict[str, str]:
        """Writes the image of a row; returns its `Row.files`.

        Args:
          key: The row's key.
          pixels: `H x W x C`, uint8, uint16 or floating point in [0, 1].
          dtype: Integer type that floating point is converted to.
        """
        path = self.file(key, IMAGE)
        path.parent.mkdir(parents=True, exist_ok=True)
        if np.issubdtype(pixels.dtype, np.floating):
            pixels = from_unit(pixels, dtype)
        image_files.write_png(path, image_files.Image(pixels))
        return {IMAGE: file_digest(path)}

    def read_kernel(self, row: Row, scale: int) -> np.ndarray:
        """The kernel of a row for a scale; it must be among the row's files."""
        kernel: np.ndarray = np.load(self.file(row.key, kernel_file(scale)))
        return kernel

    def read_image(self, row: Row) -> np.ndarray:
        """The image of a row, `H x W x C`, uint8 or uint16."""
        return image_files.read(self.file(row.key, IMAGE)).pixels


def _end_last_line(file: Path) -> None:
    """Ends the last line of a file if writing was interrupted in its middle."""
    if file.exists() and (text := file.read_bytes()) and not text.endswith(b"\n"):
        with file.open("ab") as appended:
            appended.write(b"\n")
