"""One image's results in memory, and `report.json` made of them."""

import dataclasses
import functools
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from kernelgan_jax import equivalent_gaussian, kernels
from kernelgan_jax.app.files import Content
from kernelgan_jax.app.images.image_files import Image
from kernelgan_jax.app.images.sequences import Timing
from kernelgan_jax.app.job import Job, Task
from kernelgan_jax.estimate import KernelEstimate, KernelMap
from kernelgan_jax.provenance import provenance
from kernelgan_jax.version import __version__

MIN_WIDTH = 0.01
"""Smallest width, pixels, that is shown: a kernel of a single value has none."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class SuperResolved:
    """One image's super-resolution."""

    image: Image
    """The result, as it is written."""
    kernel: np.ndarray | None
    """The kernel of the last stage; None if the method uses none."""
    source: str
    """Where the kernel comes from: `estimated`, `bicubic` or the name of a file; empty
    if the method uses none."""
    seconds: float
    """Time that it took."""
    refitted: bool = False
    """Whether the kernel is no longer the estimate, but refitted to the picture."""
    note: str = ""
    """What was not done as usual; may be empty."""
    method: str = ""
    """Name of the method, if it is not the one of the config."""
    format: str = "png"
    """Format of the file, a suffix."""
    frames: Sequence[Callable[[], Image]] = ()
    """If the file has several frames, a function for each that super-resolves it."""
    frame_notes: list[str] = dataclasses.field(default_factory=list)
    """What was not done as usual for single frames; these functions add to it."""

    timing: Timing | None = None
    """When the frames are shown, if one file holds them all; else None."""

    def names(self, scale: int) -> list[str]:
        """Names of the files with the results: one, or one for each frame."""
        if not self.frames or self.timing is not None:
            return [f"sr_x{scale}.{self.format}"]
        digits = max(4, len(str(len(self.frames))))
        return [
            f"sr_x{scale}_{number:0{digits}}.{self.format}"
            for number in range(1, len(self.frames) + 1)
        ]

    @property
    def notes(self) -> str:
        """All that was not done as usual."""
        return "; ".join(filter(None, [self.note, *self.frame_notes]))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """Everything about one image: what was asked for, and what came out."""

    task: Task
    """The image file and the folder for its results."""
    image: Image
    """The contents of the file."""
    job: Job
    """What was asked for."""
    estimate: KernelEstimate | None
    """The estimated kernel; None if it was known."""
    seconds: float
    """Time of the estimation."""
    fingerprint: str
    """Text that differs where the results would; see `results.fingerprint`."""
    content: Content
    """Size and digest of the image file."""
    sr: SuperResolved | None = None
    """The super-resolution; None without one."""
    kernel_figure: bytes | None = None
    """kernel.png, if it is drawn already."""

    @property
    def scale(self) -> int:
        """The scale of the kernel and of the super-resolution."""
        return self.job.config.scale

    @property
    def kernels(self) -> tuple[tuple[int, np.ndarray], ...]:
        """(scale, kernel) of all estimated kernels; the scale asked for comes last."""
        if self.estimate is None:
            return ()
        return (*self.estimate.intermediate, (self.scale, self.estimate.kernel))

    @property
    def family(self) -> str:
        """Family of the estimated kernel; empty if it is of none.

        Only the spectral estimator's kernels are of a family; beside others' kernels
        the evidence has what the spectrum alone would say.
        """
        evidence = self.estimate and self.estimate.evidence
        spectral = self.job.config.estimator == "spectral"
        return evidence.family if evidence and spectral else ""


def to_dict(result: Result, files: dict[str, Any]) -> dict[str, Any]:
    """The contents of `report.json`.

    Args:
      result: The results.
      files: Names of the files that are written, with their sizes and digests.
    """
    height, width, channels = result.image.pixels.shape
    device = jax.devices()[0]
    found = {
        "owner": {
            "path": os.path.abspath(result.task.path),
            **result.content._asdict(),
        },
        "image": {
            "path": str(result.task.path),
            "width": width,
            "height": height,
            "channels": channels,
            "dtype": str(result.image.pixels.dtype),
            "note": result.image.note,
        },
        **_estimate(result),
        "super_resolution": _super_resolution(result),
        "seconds": round(result.seconds, 3),
        **settings(result.job),
        "device": {"platform": device.platform, "kind": device.device_kind},
        "versions": versions(),
        "provenance": provenance(),
        "exports": sorted(result.job.exports),
        "files": files,
        "fingerprint": result.fingerprint,
    }
    return finite(found)


def settings(job: Job) -> dict[str, Any]:
    """The settings of a run, as `report.json` has them: all that changes results."""
    found = job.settings()
    # The values of a known kernel are in the file that `source` names.
    found["config"].get("given", {}).pop("kernel", None)
    plain: dict[str, Any] = json.loads(json.dumps(finite(found)))
    return plain


def _estimate(result: Result) -> dict[str, Any]:
    estimate = result.estimate
    if estimate is None:
        return {}
    confidence, diagnostics = estimate.confidence, estimate.diagnostics
    losses = {} if diagnostics is None else diagnostics.losses
    return {
        "converged": not estimate.failure,
        "reason": estimate.failure,
        "confidence": None if confidence is None else confidence.to_dict(),
        "family": result.family,
        "spectral_family": estimate.evidence.family if estimate.evidence else "",
        "noise": estimate.noise_std,
        "left_out": estimate.evidence.left_out if estimate.evidence else "",
        "text_share": estimate.evidence.text_share if estimate.evidence else 0.0,
        **{f"kernel_x{s}": measures(kernel, scale=s) for s, kernel in result.kernels},
        **_kernel_map(estimate.kernel_map),
        "steps": max(map(len, losses.values()), default=0),
        "final_losses": {name: float(values[-1]) for name, values in losses.items()},
    }


def _kernel_map(kernel_map: KernelMap | None) -> dict[str, Any]:
    """The widths of each kernel of a map, row by row, and how uncertain they are."""
    if kernel_map is None:
        return {}
    scale = kernel_map.scale
    parts = [
        [
            equivalent_gaussian.widths(kernel, scale=scale)._asdict()
            | {"relative_std": float(std), "level": level}
            for kernel, std, level in zip(*row, strict=True)
        ]
        for row in zip(
            kernel_map.kernels, kernel_map.width_std, kernel_map.levels, strict=True
        )
    ]
    return {f"kernel_map_x{scale}": parts}


def _super_resolution(result: Result) -> dict[str, Any] | None:
    sr = result.sr
    if sr is None:
        return None
    height, width = sr.image.pixels.shape[:2]
    return {
        "file": sr.names(result.scale)[0],
        "method": sr.method or result.job.config.sr,
        "kernel": sr.source,
        "kernel_measures": None
        if sr.kernel is None
        else measures(sr.kernel, scale=result.scale),
        "frames": max(len(sr.frames), 1),
        "width": width,
        "height": height,
        "dtype": str(sr.image.pixels.dtype),
        "seconds": round(sr.seconds, 3),
        "note": sr.notes,
    }


def measures(kernel: np.ndarray, *, scale: int) -> dict[str, Any]:
    """Shape, sum, centre of mass and widths of a kernel, as far as it has them.

    The widths of a kernel with negative lobes are those of the equivalent Gaussian.
    """
    total = float(kernel.sum())
    found: dict[str, Any] = {"shape": kernel.shape, "sum": total}
    if not (math.isfinite(total) and total > 0):  # It has no centre and no width.
        return found | {"centre_of_mass": None, "widths": None}
    widths = equivalent_gaussian.widths(kernel, scale=scale)
    return found | {
        "centre_of_mass": [float(x) for x in kernels.centre_of_mass(kernel)],
        "widths": widths._asdict() if widths.longer > MIN_WIDTH else None,
    }


@functools.cache  # To look them up takes longer than to enlarge a small image.
def versions() -> dict[str, str]:
    """Versions of this program, of Python and of the packages that compute."""
    names = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy")
    versions = {name: importlib.metadata.version(name) for name in names}
    own = {"kernelgan_jax": __version__, "python": platform.python_version()}
    return own | versions


def finite(value: Any) -> Any:
    """The value with None in place of NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {name: finite(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
