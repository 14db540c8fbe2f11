"""Measured rows as figures: widths of kernels, and confidence against measurements."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernelgan_jax.app import figures
from kernelgan_jax.benchmark.rows import KernelRow, Row, kernel_rows
from kernelgan_jax.benchmark.summaries import RatedKernel, rated_kernels
from kernelgan_jax.benchmark.systems import System, kernel_titles

MIN_RATIO = 1.2
"""Smallest ratio of longer to shorter width of the kernels whose direction is drawn."""

_LABELS = {
    "longer": "longer width, px",
    "shorter": "shorter width, px",
    "angle": "angle, degrees",
}
_MARKERS = {"high": "o", "medium": "+", "low": "x"}


def write(
    folder: Path, rows: Sequence[Row], systems: Sequence[System], scale: int
) -> None:
    """Writes `xS_widths.png` and `xS_confidence.png`, S the scale.

    The first one shows estimated against true widths and angles, with the standard
    deviations that the confidence reports. The second one shows expected against
    measured kernel PSNR, and the PSNR by which the super-resolved image was expected to
    be below that of the true kernel against the measured difference. A figure with
    nothing to show is not written.

    Args:
      folder: Folder of the figures.
      rows: The rows of `run_benchmark`; those of other scales are left out.
      systems: The systems that are shown.
      scale: The scale.
    """
    rows = [row for row in rows if row.scale == scale]
    titles = kernel_titles([system for system in systems if system.estimates])
    shown = {}
    for name, title in titles.items():
        found = kernel_rows(rows, system=name)
        found = [r for r in found if r.widths and r.true_widths and r.seed == 0]
        if found:
            shown[title] = found
    if shown:
        figures.save(_widths(shown, scale), folder / f"x{scale}_widths.png")
    rated = {title: rated_kernels(rows, name) for name, title in titles.items()}
    rated = {title: found for title, found in rated.items() if found}
    if rated:
        figures.save(_confidence(rated, scale), folder / f"x{scale}_confidence.png")


def _figure(columns: int) -> tuple[Any, Any]:
    figure = figures.new_figure(5.5 * columns, 5)
    figure.set_layout_engine("constrained")
    return figure, figure.subplots(1, columns)


def _widths(shown: Mapping[str, Sequence[KernelRow]], scale: int) -> Any:
    figure, axes = _figure(3)
    for title, rows in shown.items():
        found = np.array([row.widths for row in rows], float)  # None becomes NaN.
        true = np.array([row.true_widths for row in rows], float)
        for column, (name, panel) in enumerate(zip(_LABELS, axes, strict=True)):
            x, y = true[:, column], found[:, column]
            error = np.array([_standard_deviation(row, name) for row in rows], float)
            if name == "angle":  # Round kernels have none, and 90 degrees equal -90.
                y = x + (y - x + 90) % 180 - 90
                keep = true[:, 0] > MIN_RATIO * true[:, 1]
                x, y, error = x[keep], y[keep], error[keep]
            bars = None if np.isnan(error).all() else error
            panel.errorbar(x, y, bars, fmt="o", ms=4, lw=0.7, alpha=0.7, label=title)
    for panel, label in zip(axes, _LABELS.values(), strict=True):
        _diagonal(panel)
        panel.set_xlabel(f"true {label}")
        panel.set_ylabel(f"estimated {label}")
    axes[0].legend(fontsize="small")
    figure.suptitle(f"x{scale} kernels; bars are the reported standard deviations")
    return figure


def _standard_deviation(row: KernelRow, name: str) -> float | None:
    """The standard deviation of a width that the confidence of a kernel reports."""
    confidence = row.confidence or {}
    value: float | None = confidence.get("standard_deviations", {}).get(name)
    return value


def _confidence(rated: Mapping[str, Sequence[RatedKernel]], scale: int) -> Any:
    figure, (left, right) = _figure(2)
    for title, found in rated.items():
        expected, measured = zip(
            *((k.expected_psnr, k.kernel_psnr) for k in found), strict=True
        )
        (points,) = left.plot(expected, measured, "o", ms=4, alpha=0.7, label=title)
        for level, marker in _MARKERS.items():
            some = [k for k in found if k.level == level and k.gap is not None]
            losses, gaps = [k.expected_loss for k in some], [k.gap for k in some]
            right.plot(losses, gaps, marker, ms=5, alpha=0.7, color=points.get_color())
    for panel in (left, right):
        _diagonal(panel)
    left.set_xlabel("expected kernel PSNR, dB")
    left.set_ylabel("measured kernel PSNR, dB")
    left.legend(fontsize="small")
    right.set_xlabel("SR expected below that of the true kernel, dB")
    right.set_ylabel("measured, dB")
    right.set_title("● high, + medium, × low", fontsize="medium")
    figure.suptitle(f"x{scale}: the confidence of kernels against what was measured")
    return figure


def _diagonal(panel: Any) -> None:
    """Draws the line on which both axes are equal."""
    low, high = panel.get_xlim()
    panel.plot([low, high], [low, high], color="gray", lw=0.8, zorder=0)
