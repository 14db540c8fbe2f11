"""`kernel_pool_x2.npz`: the kernels of an output folder, to train one's own network.

It is what `--export=pool` asks for; one kernel for all images (`--pool`) is made in
`pooled_kernel.py`. It is written when a run ends, as `summary.csv` is, from all images
of the scale that the folder holds, also those that earlier runs or other machines have
finished.
"""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from kernelgan_jax import kernel_export, kernels
from kernelgan_jax.app import files, kernel_files, manifest
from kernelgan_jax.app.job import REPORT
from kernelgan_jax.confidence_levels import LEVELS


def write(folder: Path, *, scale: int, least: str) -> tuple[Path, int]:
    """Writes the pool of an output folder, in one step.

    The file has `kernels` (N x h x w float32, aligned correlation kernels of sum 1 on
    one grid), `names` (of the image files), `confidence` (levels), `noise_std` (a
    fraction of the range) and `scale`.

    Args:
      folder: The output folder.
      scale: The scale of the kernels.
      least: Least level of their confidence; `low` takes all that were found.

    Returns:
      The path of the file and the number of its kernels.

    Raises:
      OutputError: If it cannot be written, or no manifest read.
    """
    found = []
    for record in manifest.by_folder(folder):
        if record.get("status") == "done":
            entry = _entry(folder / manifest.folder_of(record), scale, least)
            if entry is not None:
                found.append((record["image"], *entry))
    names, stack, levels, noise = zip(*found, strict=True) if found else ((),) * 4
    data = io.BytesIO()
    np.savez_compressed(
        data,
        kernels=kernels.stack(stack).astype(np.float32) if found else _NOTHING,
        names=np.array(names, str),
        confidence=np.array(levels, str),
        noise_std=np.array(noise, np.float32),
        scale=scale,
    )
    path = folder / f"kernel_pool_x{scale}.npz"
    files.write_whole(path, data.getvalue())
    return path, len(found)


_NOTHING = np.zeros((0, 1, 1), np.float32)
"""The kernels of an empty pool."""


def _entry(
    results: Path, scale: int, least: str
) -> tuple[np.ndarray, str, float] | None:
    """Kernel, confidence and noise of an image; None if it does not belong there."""
    report: dict[str, Any] = files.read_json(results / REPORT) or {}
    try:
        confidence = report["confidence"]
        level = "" if confidence is None else confidence["level"]
        known = LEVELS.index(level) if level else 0
        if report["config"]["scale"] != scale or not report["converged"]:
            return None
        if known < LEVELS.index(least):
            return None
        kernel = kernel_files.read_own(results / f"kernel_x{scale}.npy")
        kernels.check(kernel, scale=scale)
    except (KeyError, TypeError, ValueError, OSError):
        return None  # No kernel was found, or the folder is damaged.
    noise = report.get("noise")
    return kernel_export.odd(kernel), level, math.nan if noise is None else noise
