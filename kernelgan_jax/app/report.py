"""TODO docstring."""

import dataclasses
import importlib.metadata
import math
import platform
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.app import image_files
from kernelgan_jax.config import Config
from kernelgan_jax.estimate import Confidence, KernelEstimate
from kernelgan_jax.version import __version__


@dataclasses.dataclass(frozen=True, eq=False)
class SuperResolved:
    """One image's super-resolution."""

    image: image_files.Image
    """The result, as it is written."""
    kernel: np.ndarray | None
    """The kernel of the last jump; None if the method uses none."""
    source: str
    """Where the kernel is from: `estimated`, `bicubic` or a file; may be empty."""
    seconds: float
    note: str
    """What the user should know of it; may be empty."""


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One image: what was asked, and what came out."""

    path: Path
    image: image_files.Image
    config: Config
    seed: int
    estimate: KernelEstimate | None
    """None if the kernel was given."""
    seconds: float
    """Of the estimation."""
    sr: SuperResolved | None = None
    fingerprint: str = ""
    """Of all that the results depend on, see `fingerprint`."""
    figures: bool = True


def scaled_kernels(estimate: KernelEstimate) -> list[tuple[int, np.ndarray]]:
    """All kernels of an estimate, with their scales; the one asked for comes last."""
    found = [(estimate.scale, estimate.kernel)]
    if estimate.kernel_x4 is not None:
        found.append((4, estimate.kernel_x4))
    return found


def to_dict(run: Run, files: list[str]) -> dict[str, Any]:
    height, width, channels = run.image.pixels.shape
    device = jax.devices()[0]
    return _strict(
        {
            "image": {
                "path": str(run.path),
                "width": width,
                "height": height,
                "channels": channels,
                "dtype": str(run.image.pixels.dtype),
                "note": run.image.note,
            },
            **({} if run.estimate is None else _estimate_report(run.estimate)),
            "super_resolution": None if run.sr is None else _sr_report(run, run.sr),
            "seconds": round(run.seconds, 3),
            "seed": run.seed,
            "config": run.config.asdict(),
            "device": {"platform": device.platform, "kind": device.device_kind},
            "versions": _versions(),
            "files": files,
            "fingerprint": run.fingerprint,
        }
    )


def _estimate_report(estimate: KernelEstimate) -> dict[str, Any]:
    history = estimate.history
    return {
        "converged": estimate.converged,
        "reason": estimate.reason,
        "confidence": _confidence_report(estimate.confidence),
        "noise": estimate.noise,
        **{f"kernel_x{scale}": measures(k) for scale, k in scaled_kernels(estimate)},
        "steps": len(history["generator_loss"]) if history else 0,
        "final_losses": {k: float(v[-1]) for k, v in history.items()},
    }


def _confidence_report(confidence: Confidence | None) -> dict[str, Any] | None:
    if confidence is None:
        return None
    return {
        "level": confidence.level,
        "reason": confidence.reason,
        "expected_kernel_psnr": confidence.kernel_psnr,
        "expected_covariance_error": confidence.covariance_error,
        "expected_sr_loss": confidence.sr_loss,
        "standard_deviations": {
            "longer": confidence.longer,
            "shorter": confidence.shorter,
            "angle": confidence.angle,
        },
    }


def _sr_report(run: Run, sr: SuperResolved) -> dict[str, Any]:
    height, width = sr.image.pixels.shape[:2]
    return {
        "file": f"sr_x{run.config.scale}.png",
        "method": run.config.sr.method,
        "kernel": sr.source,
        "kernel_measures": None if sr.kernel is None else measures(sr.kernel),
        "width": width,
        "height": height,
        "dtype": str(sr.image.pixels.dtype),
        "seconds": round(sr.seconds, 3),
        "note": sr.note,
    }


def measures(kernel: np.ndarray) -> dict[str, Any]:
    total = float(kernel.sum())
    measures = {"shape": kernel.shape, "sum": total}
    if not (math.isfinite(total) and total > 0):  # It has no centre and no width.
        return measures | {"centre_of_mass": None, "widths": None}
    longer, shorter, angle = kernels.widths(kernel)
    widths = {"longer": longer, "shorter": shorter, "angle": angle}
    return measures | {
        "centre_of_mass": [float(x) for x in kernels.centre_of_mass(kernel)],
        # The second moments of the bicubic kernel are 0: they say nothing of its width.
        "widths": widths if longer > 0.01 else None,
    }


def _versions() -> dict[str, str]:
    names = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy")
    versions = {name: importlib.metadata.version(name) for name in names}
    own = {"kernelgan_jax": __version__, "python": platform.python_version()}
    return own | versions


def _strict(value: Any) -> Any:
    """The value with null for what JSON cannot say: NaN and infinities."""
    if isinstance(value, dict):
        return {name: _strict(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
