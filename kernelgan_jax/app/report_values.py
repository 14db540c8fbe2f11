"""What lists of many images show of each, taken from its report. Needs no JAX."""

from collections.abc import Mapping
from typing import Any

from kernelgan_jax.app.job import Summary
from kernelgan_jax.width_texts import direction, size

VALUES = {
    "scale": "config.scale",
    "longer": "widths.longer",
    "shorter": "widths.shorter",
    "angle": "widths.angle",
    "family": "family",
    "confidence": "confidence.level",
    "reason": "confidence.reason",
    "expected_sr_loss": "confidence.expected_sr_loss",
    "noise_std": "noise",
    "sr_method": "super_resolution.method",
    "sr_kernel": "super_resolution.kernel",
    "sr_note": "super_resolution.note",
    "sr_file": "super_resolution.file",
}
"""What lists of many images have of each, and where its report has it. Widths are
standard deviations in HR pixels, angles in degrees, noise a fraction of the range."""


def values(report: Mapping[str, Any]) -> dict[str, Any]:
    """`VALUES` of a report and the names of its files; None for what it lacks."""
    report = {**report, "widths": _widths(report)}
    found = {column: _value(report, place) for column, place in VALUES.items()}
    found |= {n: float(f"{v:.6g}") for n, v in found.items() if isinstance(v, float)}
    names = report.get("files")
    return found | {"files": list(names) if isinstance(names, Mapping) else []}


def _value(report: Any, place: str) -> Any:
    """A value in a report, by the names that lead to it; None if it has none."""
    for name in place.split("."):
        if not isinstance(report, Mapping):
            return None
        report = report.get(name)
    return report


def _widths(report: Mapping[str, Any]) -> Any:
    """The widths of the estimated kernel, else of the one that was used."""
    own = f"kernel_x{_value(report, 'config.scale')}"
    place = own if own in report else "super_resolution.kernel_measures"
    return _value(report, f"{place}.widths")


def summary(report: Mapping[str, Any]) -> Summary:
    """What the terminal shows of an image, from its report."""
    found, widths = values(report), _widths(report)
    seconds = _value(report, "super_resolution.seconds") or 0
    return Summary(
        widths="-" if widths is None else size(widths),
        angle="-" if widths is None else direction(widths),
        seconds=report.get("seconds", 0) + seconds,
        failure=report["reason"] if "converged" in report else None,
        family=found["family"] or "",
        level=found["confidence"] or "-",
        reason=found["reason"] or "",
        note=found["sr_note"] or "",
        values=found,
    )
