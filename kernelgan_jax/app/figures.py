"""TODO docstring."""

import math
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.app.report import Run, SuperResolved, measures, scaled_kernels
from kernelgan_jax.estimate import Confidence, KernelEstimate
from kernelgan_jax.pixels import textured_window, to_unit
from kernelgan_jax.priors.penalties import KERNEL_TERMS
from kernelgan_jax.resize import bicubic_resize

_DRAWING = threading.Lock()
"""Figures are drawn by one thread at a time: filters of warnings are for all."""


KERNEL_LOSSES = ("bicubic", *KERNEL_TERMS)
"""Those that are drawn if training heeds them."""


def save_kernel_figure(path: Path, run: Run, estimate: KernelEstimate) -> None:
    # Slow to import, and not needed before the first result. Without pyplot there is no
    # state outside the figure, and no display is looked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = scaled_kernels(estimate)
    history = estimate.history
    figure = Figure(figsize=((12 if history else 7) + 4 * len(shown), 5), dpi=100)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", wspace=0.04, w_pad=0.08, h_pad=0.08)
    widths = [1.25, *(1.0 for _ in shown), *([1.25] if history else [])]
    columns = figure.add_gridspec(1, len(widths), width_ratios=widths)
    _draw_image(figure.add_subplot(columns[0]), run)
    for column, (scale, kernel) in enumerate(shown, 1):
        axes = figure.add_subplot(columns[column])
        _draw_kernel(axes, kernel, scale)
        if column == len(shown) and estimate.confidence is not None:
            _draw_confidence(axes, kernel, estimate.confidence)
    if history:
        rows = columns[-1].subgridspec(2, 1, hspace=0.1)
        upper = figure.add_subplot(rows[0])
        lower = figure.add_subplot(rows[1], sharex=upper)
        heeded = [n for n in KERNEL_LOSSES if getattr(run.config, f"{n}_weight") > 0]
        _draw_losses(upper, lower, history, heeded)
    if not estimate.converged:
        figure.set_figheight(5.5)  # room for one more line
        figure.suptitle(f"NOT CONVERGED: {estimate.reason}", color="firebrick")
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    with _DRAWING, warnings.catch_warnings():
        # File names may be in scripts that the font does not have.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        # Laid out twice: the first time does not know yet how pictures keep their
        # proportions, and titles or labels beside them are cut off.
        figure.draw_without_rendering()
        figure.savefig(path)


def _show(axes: Any, pixels: np.ndarray) -> None:
    height, width = pixels.shape[:2]
    every = math.ceil(max(height, width) / 1000)  # Finer than the figure's pixels.
    thinned = to_unit(pixels[::every, ::every])
    rgb = np.broadcast_to(thinned, (*thinned.shape[:2], 3))
    axes.imshow(
        rgb, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest"
    )
    axes.set_axis_off()


def save_comparison(path: Path, run: Run, sr: SuperResolved) -> None:
    """Bicubic and SR, whole and as crops at 4x, and the kernel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scale, pixels, result = run.config.scale, run.image.pixels, sr.image.pixels
    height, width = pixels.shape[:2]
    # The crop with the most structure.
    side = min(48, height // 2 * 2, width // 2 * 2)
    window = textured_window(pixels, 0, side**2, side)
    top, left = window[0].start, window[1].start
    around = pixels[max(top - 4, 0) : top + side + 4, max(left - 4, 0) :][
        :, : side + 4 + min(left, 4)
    ]
    enlarged = np.clip(bicubic_resize(to_unit(around), scale), 0, 1)
    enlarged = enlarged[scale * min(top, 4) :, scale * min(left, 4) :]
    enlarged = enlarged[: scale * side, : scale * side]
    crop = result[
        scale * top : scale * (top + side), scale * left : scale * (left + side)
    ]

    every = 4  # every pixel of the result as 4 x 4
    enlarged, crop = (x.repeat(every, 0).repeat(every, 1) for x in (enlarged, crop))
    whole = to_unit(pixels)
    if max(height, width) <= 1000:
        whole = np.clip(bicubic_resize(whole, scale), 0, 1)

    figure = Figure(figsize=(18, 9), dpi=100)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    columns = 2 if sr.kernel is None else 3  # the third is the kernel's
    grid = figure.add_gridspec(2, columns)
    method = run.config.sr.method
    if sr.source:
        method += f", {Path(sr.source).name} kernel"
    for place, shown, title in (
        (grid[0, 0], whole, "bicubic"),
        (grid[0, 1], result, f"×{scale}: {method}"),
        (grid[1, 0], enlarged, "bicubic, crop"),
        (grid[1, 1], crop, "SR, the same crop"),
    ):
        axes = figure.add_subplot(place)
        _show(axes, shown)
        axes.set_title(title, parse_math=False)
    if sr.kernel is not None:
        _draw_kernel(figure.add_subplot(grid[:, 2]), sr.kernel, scale)
    _save(figure, path)


def _draw_image(axes: Any, run: Run) -> None:
    height, width = run.image.pixels.shape[:2]
    _show(axes, run.image.pixels)
    name = run.path.name.encode("utf-8", "backslashreplace").decode()
    if len(name) > 40:
        name = f"{name[:24]}…{name[-15:]}"
    # A name may hold "$", which is no mathematics.
    axes.set_title(f"{name}\n{width} × {height} px", parse_math=False)


def _draw_kernel(axes: Any, kernel: np.ndarray, scale: int) -> None:
    mesh = axes.imshow(kernel, cmap="magma", interpolation="nearest")
    axes.figure.colorbar(mesh, ax=axes, shrink=0.8, fraction=0.05, pad=0.03)
    found = measures(kernel)
    rows, columns = kernel.shape
    title = f"×{scale} kernel, {columns} × {rows} px, sum {found['sum']:.3f}"
    if (centre := found["centre_of_mass"]) is not None:
        row, column = centre
        axes.plot(column, row, "+", color="white", mec="deepskyblue", ms=9, mew=1.5)
    if (widths := found["widths"]) is not None:
        title += f"\nwidths {size(widths)}, longer axis at {widths['angle']:.0f}°"
    axes.set_title(title)
    axes.set_xlabel("column (HR pixels); + is the centre of mass")
    axes.set_ylabel("row (HR pixels)")
    axes.locator_params(integer=True)


def _draw_confidence(axes: Any, kernel: np.ndarray, confidence: Confidence) -> None:
    """The kernel's ellipse of one standard deviation, and those of the samples."""
    centre = kernels.centre_of_mass(kernel)
    turns = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.sin(turns), np.cos(turns)])

    def draw(kernel: np.ndarray, **style: Any) -> None:
        variances, axis = np.linalg.eigh(kernels.covariance(kernel))
        root = axis * np.sqrt(np.maximum(variances, 0))
        row, column = centre[:, None] + root @ circle
        axes.plot(column, row, **style)

    for sample in confidence.samples[:32]:
        draw(sample, color="deepskyblue", lw=0.6, alpha=0.35)
    draw(kernel, color="white", lw=1.5)
    said = f"\n({confidence.reason})" if confidence.reason else ""
    axes.set_title(
        f"{axes.get_title()}\nconfidence {confidence.level}{said}",
        parse_math=False,
    )
    axes.set_xlim(-0.5, kernel.shape[1] - 0.5)
    axes.set_ylim(kernel.shape[0] - 0.5, -0.5)


def _draw_losses(
    upper: Any, lower: Any, history: dict[str, np.ndarray], trained_on: list[str]
) -> None:
    steps = len(history["generator_loss"])
    every = math.ceil(steps / 300)  # Single steps are noisy.
    for axes, names in (
        (upper, ("generator", "discriminator")),
        (lower, trained_on),
    ):
        for name in names:
            loss = history[f"{name}_loss"][: steps // every * every]
            means = loss.reshape(-1, every).mean(1)
            axes.plot(np.arange(1, steps // every + 1) * every, means, label=name, lw=1)
        axes.grid(alpha=0.3)
        if not names:
            continue
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 0.97),
            ncols=len(names),
            frameon=False,
            fontsize="small",
            handlelength=1.0,
            columnspacing=1.0,
        )
    upper.set_ylabel("adversarial loss")
    upper.tick_params(labelbottom=False)
    lower.set_ylabel("kernel losses" if trained_on else "no kernel losses")
    if any((line.get_ydata() > 0).any() for line in lower.lines):  # NaN and 0 are not.
        lower.set_yscale("log")
    lower.set_xlabel("iteration" + (f" (means of {every})" if every > 1 else ""))


def size(widths: dict[str, float]) -> str:
    return f"{widths['longer']:.2f} × {widths['shorter']:.2f} px"
