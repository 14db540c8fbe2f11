"""The pictures beside the results: kernel.png and comparison.png.

Matplotlib is imported when the first figure is drawn: that is slow, and not needed
before the first result.
"""

import io
import math
import textwrap
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax import equivalent_gaussian, kernels
from kernelgan_jax.app.images.image import Image
from kernelgan_jax.app.report import Result, SuperResolved, measures
from kernelgan_jax.app.result_names import COMPARISON, KERNEL_FIGURE
from kernelgan_jax.estimate import Confidence, KernelEstimate, KernelMap
from kernelgan_jax.kernel_picture import ellipse
from kernelgan_jax.pixels import textured_window, to_unit
from kernelgan_jax.priors.penalties import KERNEL_TERMS
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.width_texts import direction, size

ADVERSARIAL_LOSSES = ("generator", "discriminator")
"""Losses in the upper panel of kernel.png."""

KERNEL_LOSSES = ("bicubic", *KERNEL_TERMS)
"""Losses in the lower panel of kernel.png, if training has a weight for them."""

LONGEST_SIDE = 1000
"""Longest side, pixels, of a picture in a figure; larger ones are thinned out."""

CROP_SIDE = 48
"""Side, LR pixels, of the crops in comparison.png."""

MARGIN = 4
"""LR pixels around the crop that its bicubic enlargement depends on."""

EDGE = 0.1
"""Inches between a part of a figure and the next one, or the figure's border."""

LINE = 0.21
"""Inches that a line of a title takes."""

LABELS = 0.6
"""Inches to the left of a plot and below it for its labels."""

BAR = 0.8
"""Inches to the right of a kernel for the bar of its colours."""

KERNEL_PANEL = LOSSES_PANEL = 5.1
"""Inches of a figure's width for a kernel, and for the losses, with their labels."""

QUICK = {"compress_level": 1}
"""How PNGs of figures are compressed: usual compression takes as long as drawing."""

_DRAWING = threading.Lock()
"""Figures are drawn by one thread at a time: filters of warnings are global."""


class Box(NamedTuple):
    """A rectangle of a figure, in inches from the figure's lower left corner."""

    left: float
    bottom: float
    width: float
    height: float

    def fitted(self, shape: tuple[int, ...]) -> "Box":
        """The largest box for a picture of a shape, `H x W`, in the middle of this."""
        rows, columns = shape[:2]
        side = min(self.width / columns, self.height / rows)
        width, height = side * columns, side * rows
        left = self.left + (self.width - width) / 2
        return Box(left, self.bottom + (self.height - height) / 2, width, height)


def load() -> None:
    """Imports what draws figures, and has it find its fonts: half a second."""
    figure = new_figure(1, 1)
    figure.text(0, 0, "0")
    figure.draw_without_rendering()


def write(folder: Path, result: Result) -> None:
    """Draws the figures of an image.

    kernel.png if a kernel was estimated, comparison.png if the image was
    super-resolved.
    """
    if result.estimate is not None:
        drawn = result.kernel_figure or kernel_figure(result, result.estimate)
        (folder / KERNEL_FIGURE).write_bytes(drawn)
    if result.sr is not None:
        write_comparison(folder / COMPARISON, result, result.sr)


def new_figure(width: float, height: float) -> Any:
    """An empty figure, 100 pixels per inch.

    It is made without pyplot: there is no state outside the figure, and no display is
    looked for.

    Args:
      width: Inches.
      height: Inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: Path | io.BytesIO) -> None:
    """Writes a figure as a PNG."""
    with _DRAWING, warnings.catch_warnings():
        # File names may be in scripts that the font does not have.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.canvas.print_png(path, pil_kwargs=QUICK)


# --- The kernel ---


def kernel_figure(result: Result, estimate: KernelEstimate) -> bytes:
    """Draws the image, its kernels with their confidence, and the losses, as a PNG."""
    losses = {} if estimate.diagnostics is None else estimate.diagnostics.losses
    shown = result.kernels
    width = (12 if losses else 7) + 4 * len(shown)
    figure = new_figure(width, 5.5 if estimate.failure else 5)
    picture, *panels = (_new_axes(figure) for _ in range(1 + len(shown)))
    rows, columns = result.image.pixels.shape[:2]
    _show(picture, shown_pixels(result.image))
    _set_title(picture, f"{_short_name(result.task.path)}\n{columns} × {rows} px")
    if estimate.kernel_map is not None:
        _draw_map(picture, estimate.kernel_map, result.image.pixels.shape)
    for axes, (scale, kernel) in zip(panels, shown, strict=True):
        _draw_kernel(axes, kernel, scale, result.family)
    if estimate.confidence is not None:
        _draw_confidence(panels[-1], estimate, estimate.confidence)

    titles = [axes.get_title() for axes in (picture, *panels)]
    top = 5 - EDGE - LINE * max(1 + title.count("\n") for title in titles)
    left = width - LOSSES_PANEL * bool(losses) - KERNEL_PANEL * len(shown)
    place = Box(EDGE, EDGE, left - 2 * EDGE, top - EDGE)
    _put(picture, place.fitted(result.image.pixels.shape))
    for axes, (_, kernel) in zip(panels, shown, strict=True):
        _put(axes, _beside_labels(left, top).fitted(kernel.shape))
        left += KERNEL_PANEL
    if losses:
        upper = _new_axes(figure)
        lower = _new_axes(figure, sharex=upper)
        half = (5 - EDGE - LABELS) / 2  # with a line above each for its legend
        wide = LOSSES_PANEL - 1.5 * LABELS - EDGE
        for axes, bottom in ((lower, LABELS), (upper, LABELS + half)):
            _put(axes, Box(left + 1.5 * LABELS, bottom, wide, half - 1.5 * LINE))
        settings = result.job.config.estimator_config
        trained_on = [
            name for name in KERNEL_LOSSES if getattr(settings, f"{name}_weight", 0) > 0
        ]
        _draw_losses(upper, lower, losses, trained_on)
    if estimate.failure:
        text = f"NOT CONVERGED: {estimate.failure}"
        figure.suptitle(text, color="firebrick", parse_math=False)
    file = io.BytesIO()
    save(figure, file)
    return file.getvalue()


# --- The super-resolution ---


def write_comparison(path: Path, result: Result, sr: SuperResolved) -> None:
    """Draws the kernel and both enlargements, bicubic and learned: whole, and crops."""
    scale, pixels = result.scale, shown_pixels(result.image)
    whole = to_unit(pixels)
    if max(pixels.shape) <= LONGEST_SIDE:
        whole = np.clip(bicubic_resize(whole, scale), 0, 1)
    enlarged = shown_pixels(sr.image, levels=result.image.levels())
    bicubic_crop, sr_crop = _crops(pixels, enlarged, scale)
    title = sr.method or result.job.config.sr
    if sr.source:
        source = "refitted" if sr.refitted else _short_name(Path(sr.source))
        title += f", {source} kernel"

    figure = new_figure(18, 9)
    pictures = 18 - EDGE - (0 if sr.kernel is None else KERNEL_PANEL)
    side = Box(EDGE, EDGE, pictures / 2 - EDGE, 4.5 - 2 * EDGE - LINE)
    for column, row, shown, text in (
        (0, 1, whole, "bicubic"),
        (1, 1, enlarged, f"×{scale}: {title}"),
        (0, 0, bicubic_crop, "bicubic, crop"),
        (1, 0, sr_crop, "SR, the same crop"),
    ):
        axes = _new_axes(figure)
        _show(axes, shown)
        _set_title(axes, text)
        place = side._replace(
            left=EDGE + column * pictures / 2, bottom=EDGE + row * 4.5
        )
        _put(axes, place.fitted(shown.shape))
    if sr.kernel is not None:
        axes = _new_axes(figure)
        _draw_kernel(axes, sr.kernel, scale)
        _put(axes, _beside_labels(pictures + EDGE, 9).fitted(sr.kernel.shape))
    save(figure, path)


def _crops(
    pixels: np.ndarray, enlarged: np.ndarray, scale: int
) -> tuple[np.ndarray, np.ndarray]:
    """The crop with the most structure, enlarged bicubically and super-resolved; each
    pixel of both as 4 x 4."""
    height, width = pixels.shape[:2]
    side = min(CROP_SIDE, max(height // 2 * 2, 1), max(width // 2 * 2, 1))
    rows, columns = textured_window(pixels, 0, side**2, side)
    top, left = rows.start, columns.start
    above, before = min(top, MARGIN), min(left, MARGIN)
    around = pixels[
        top - above : top + side + MARGIN, left - before : left + side + MARGIN
    ]
    bicubic = np.clip(bicubic_resize(to_unit(around), scale), 0, 1)
    bicubic = _window(bicubic, scale * above, scale * before, scale * side)
    crop = _window(enlarged, scale * top, scale * left, scale * side)
    return _magnified(bicubic), _magnified(crop)


def _window(image: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    return image[top : top + side, left : left + side]


def _magnified(image: np.ndarray) -> np.ndarray:
    return image.repeat(4, 0).repeat(4, 1)


# --- Parts of figures ---


def _new_axes(figure: Any, **options: Any) -> Any:
    """Axes that are put into their place when it is known what is around them."""
    return figure.add_axes((0, 0, 1, 1), **options)


def _put(axes: Any, box: Box) -> None:
    """Puts axes into a box."""
    width, height = axes.figure.get_size_inches()
    left, bottom = box.left / width, box.bottom / height
    axes.set_position((left, bottom, box.width / width, box.height / height))


def _beside_labels(left: float, top: float) -> Box:
    """Where a panel has room for its kernel, between the labels and the bar."""
    width = KERNEL_PANEL - LABELS - BAR
    return Box(left + LABELS, LABELS, width, top - LABELS)


def shown_pixels(
    image: Image, *, levels: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """Pixels as a figure can show them: gray or RGB, integers or in [0, 1].

    Of bands the first three are shown as RGB, or the first one as gray.
    """
    pixels = image.pixels
    shown = slice(0, 3 if pixels.shape[2] >= 3 else 1)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels[:, :, shown]
    low, high = levels or image.levels()
    with np.errstate(invalid="ignore"):
        unit = (pixels[:, :, shown].astype(np.float64) - low[shown]) / (
            high[shown] - low[shown]
        )
    return np.clip(np.nan_to_num(unit), 0, 1).astype(np.float32)


def _show(axes: Any, pixels: np.ndarray) -> None:
    height, width = pixels.shape[:2]
    every = math.ceil(max(height, width) / LONGEST_SIDE)
    thinned = to_unit(pixels[::every, ::every])
    rgb = np.broadcast_to(thinned, (*thinned.shape[:2], 3))
    axes.imshow(
        rgb, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest"
    )
    axes.set_axis_off()


def _set_title(axes: Any, text: str) -> None:
    """Sets a title at once: its usual place is found by drawing what is around it.

    A name in it may hold "$", which is not meant as mathematics.
    """
    axes.set_title(text, y=1, parse_math=False)


def _short_name(path: Path) -> str:
    """The name of a file as a title can show it."""
    name = path.name.encode("utf-8", "backslashreplace").decode()
    return name if len(name) <= 40 else f"{name[:24]}…{name[-15:]}"


def _draw_map(axes: Any, kernel_map: KernelMap, shape: tuple[int, ...]) -> None:
    """Ellipses of the parts' kernels over the image, all as many times as large; gray
    where the part by itself says little."""
    rows, columns = kernel_map.kernels.shape[:2]
    height, width = shape[:2]
    parts = {
        (i, j): equivalent_gaussian.covariance(
            kernel_map.kernels[i, j], scale=kernel_map.scale
        )
        for i in range(rows)
        for j in range(columns)
    }
    largest = max(np.linalg.eigvalsh(c)[-1] for c in parts.values()) ** 0.5
    gain = 0.45 * min(height / rows, width / columns) / largest
    for (i, j), covariance in parts.items():
        centre = np.array([(i + 0.5) * height / rows, (j + 0.5) * width / columns])
        row, column = centre[:, None] + gain * ellipse(covariance)
        trusted = kernel_map.levels[i][j] in ("high", "medium")
        axes.plot(column, row, color="white", lw=2.5)
        axes.plot(column, row, color="deepskyblue" if trusted else "gray", lw=1.2)
    _set_title(axes, f"{axes.get_title()}, ellipses {gain:.0f} times as large")


def _draw_kernel(axes: Any, kernel: np.ndarray, scale: int, family: str = "") -> None:
    mesh = axes.imshow(kernel, cmap="magma", interpolation="nearest")
    axes.figure.colorbar(mesh, cax=axes.inset_axes((1.03, 0.1, 0.045, 0.8)))
    found = measures(kernel, scale=scale)
    rows, columns = kernel.shape
    name = " ".join(filter(None, (f"×{scale}", family, "kernel")))
    title = f"{name}, {columns} × {rows} px, sum {found['sum']:.3f}"
    if (centre := found["centre_of_mass"]) is not None:
        row, column = centre
        axes.plot(column, row, "+", color="white", mec="deepskyblue", ms=9, mew=1.5)
    if (widths := found["widths"]) is not None:
        title += f"\nwidths {size(widths)}"
        if (angle := direction(widths)) != "-":
            title += f", longer axis at {angle}"
    _set_title(axes, title)
    axes.set_xlabel("column (HR pixels); + is the centre of mass")
    axes.set_ylabel("row (HR pixels)")
    axes.locator_params(integer=True)


def _draw_confidence(
    axes: Any, estimate: KernelEstimate, confidence: Confidence
) -> None:
    """The kernel's ellipse of one standard deviation, and those of the samples."""
    from matplotlib.collections import LineCollection

    kernel = np.asarray(estimate.kernel)
    centre = np.asarray(kernels.centre_of_mass(kernel))[:, None]

    def outline(kernel: np.ndarray) -> np.ndarray:
        covariance = equivalent_gaussian.covariance(kernel, scale=estimate.scale)
        drawn: np.ndarray = (centre + ellipse(covariance))[::-1].T
        return drawn

    # Those of a family and of resamplers come one after the other.
    others = [outline(sample) for sample in confidence.samples[::2]]
    lines = LineCollection(others, color="deepskyblue", lw=0.6, alpha=0.35)
    axes.add_collection(lines, autolim=False)
    axes.plot(*outline(kernel).T, color="white", lw=1.5)
    title = f"{axes.get_title()}\nconfidence {confidence.level}"
    if confidence.reason and confidence.reason != estimate.failure:
        # A long one would run into the losses.
        title += "\n" + textwrap.fill(f"({confidence.reason})", 48)
    _set_title(axes, title)
    axes.set_xlim(-0.5, kernel.shape[1] - 0.5)
    axes.set_ylim(kernel.shape[0] - 0.5, -0.5)


def _draw_losses(
    upper: Any, lower: Any, losses: Mapping[str, np.ndarray], trained_on: Sequence[str]
) -> None:
    for axes, names in ((upper, ADVERSARIAL_LOSSES), (lower, trained_on)):
        curves = {n: losses[f"{n}_loss"] for n in names if f"{n}_loss" in losses}
        for name, loss in curves.items():
            every = _averaged(len(loss))
            means = loss[: len(loss) // every * every].reshape(-1, every).mean(1)
            axes.plot(np.arange(1, len(means) + 1) * every, means, label=name, lw=1)
        axes.grid(alpha=0.3)
        if not curves:
            continue
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 0.97),
            ncols=len(curves),
            frameon=False,
            fontsize="small",
            handlelength=1.0,
            columnspacing=1.0,
        )
    upper.set_ylabel("adversarial loss")
    upper.tick_params(labelbottom=False)
    lower.set_ylabel("kernel losses" if trained_on else "no kernel losses")
    # A logarithmic axis needs a positive value; NaN and 0 are not positive.
    if any((line.get_ydata() > 0).any() for line in lower.lines):
        lower.set_yscale("log")
    every = _averaged(max(map(len, losses.values())))
    lower.set_xlabel("iteration" + (f" (means of {every})" if every > 1 else ""))


def _averaged(steps: int) -> int:
    """How many steps make a point of a curve: single steps are noisy."""
    return math.ceil(steps / 300)
