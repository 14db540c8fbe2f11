"""Measured rows as pictures: kernels' widths, and what their confidence was worth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernelgan_jax.benchmark.evaluate import Row
from kernelgan_jax.benchmark.systems import System
from kernelgan_jax.benchmark.tables import LEVELS, estimators, judged

LEAST_RATIO = 1.2
"""Of longer and shorter width of kernels whose direction is shown."""


def write(
    folder: Path, rows: Sequence[Row], systems: Sequence[System], scale: int
) -> None:
    """Writes `xS_widths.png` and `xS_confidence.png`, S the scale.

    The first shows estimated against true widths and angles, with the standard
    deviations that the estimator gives; the second expected against measured kernel
    PSNR, and by how much SR was expected to fall short of the true kernel's and does.
    Neither is written if there is nothing to show.
    """
    rows = [row for row in rows if row["scale"] == scale]
    titles = estimators(systems)
    shown = {}
    for name, title in titles.items():
        mine = [r for r in rows if r["kind"] == "kernel" and r["system"] == name]
        mine = [r for r in mine if r["widths"] and r["true_widths"] and r["seed"] == 0]
        if mine and name not in ("true", "bicubic_kernel"):
            shown[title] = mine
    if shown:
        _save(_widths(shown, scale), folder / f"x{scale}_widths.png")
    pairs = {titles[n]: found for n in titles if (found := judged(rows, n))}
    if pairs:
        _save(_confidence(pairs, scale), folder / f"x{scale}_confidence.png")


def _figure(columns: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * columns, 5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path)


def _widths(shown: dict[str, list[Row]], scale: int) -> Any:
    figure, axes = _figure(3)
    for title, rows in shown.items():
        found, true = (
            np.array([r[n] for r in rows], float) for n in ("widths", "true_widths")
        )
        said = [r["confidence"] or {} for r in rows]
        for place, name in enumerate(("longer", "shorter", "angle")):
            x, y = true[:, place], found[:, place]
            error = np.array([s.get(name) for s in said], float)  # None is NaN.
            if name == "angle":  # A round kernel has none; 90 degrees are -90.
                y = x + (y - x + 90) % 180 - 90
                keep = true[:, 0] > LEAST_RATIO * true[:, 1]
                x, y, error = x[keep], y[keep], error[keep]
            bars = None if np.isnan(error).all() else error
            axes[place].errorbar(
                x, y, bars, fmt="o", ms=4, lw=0.7, alpha=0.7, label=title
            )
    for axis, name in zip(
        axes, ("longer width, px", "shorter width, px", "angle, degrees"), strict=True
    ):
        low, high = axis.get_xlim()
        axis.plot([low, high], [low, high], color="gray", lw=0.8, zorder=0)
        axis.set_xlabel(f"true {name}")
        axis.set_ylabel(f"estimated {name}")
    axes[0].legend(fontsize="small")
    figure.suptitle(f"x{scale} kernels; bars are the standard deviations given")
    return figure


def _confidence(pairs: dict[str, list[dict[str, Any]]], scale: int) -> Any:
    figure, (left, right) = _figure(2)
    for title, found in pairs.items():
        expected, psnr = (
            np.array([f[n] for f in found]) for n in ("expected_psnr", "kernel_psnr")
        )
        (points,) = left.plot(expected, psnr, "o", ms=4, alpha=0.7, label=title)
        for level, mark in zip(LEVELS, "o+x", strict=True):
            some = [f for f in found if f["level"] == level and f["gap"] is not None]
            losses, gaps = ([f[n] for f in some] for n in ("expected_loss", "gap"))
            right.plot(losses, gaps, mark, ms=5, alpha=0.7, color=points.get_color())
    for axes in (left, right):
        low, high = axes.get_xlim()
        axes.plot([low, high], [low, high], color="gray", lw=0.8, zorder=0)
    left.set_xlabel("expected kernel PSNR, dB")
    left.set_ylabel("measured kernel PSNR, dB")
    left.legend(fontsize="small")
    right.set_xlabel("SR expected below that of the true kernel, dB")
    right.set_ylabel("measured, dB")
    right.set_title("● high, + medium, × low", fontsize="medium")
    figure.suptitle(f"x{scale}: what the confidence was worth")
    return figure
