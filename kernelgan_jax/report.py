"""What a run leaves behind: kernels, a figure and a report per image, and a summary.

The files of an image appear together: they are written into a hidden folder next to
their own and then renamed into place, `report.json` last. So a folder with a
`report.json` is complete, whenever the run was killed.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import shutil
import tempfile
import threading
import time
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kernelgan_jax import crops, images, kernel_files, kernels, losses
from kernelgan_jax.config import LARGEST_SCALE, Config
from kernelgan_jax.kernel_estimate import Confidence, KernelEstimate
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.version import __version__

_SCALES = range(1, LARGEST_SCALE + 1)

FILES = (
    *(f"kernel_x{scale}.{kind}" for scale in _SCALES for kind in ("npy", "mat")),
    "kernel.png",
    *(f"sr_x{scale}.png" for scale in _SCALES),
    "comparison.png",
    "report.json",
)
"""All that `write` may leave in a folder, in the order in which it appears."""

_DRAWING = threading.Lock()
"""Figures are drawn by one thread at a time: filters of warnings are for all."""

_TEMPORARY = ".kernelgan-"
_STALE = 3600
"""Age in seconds of a temporary folder whose run is surely dead; they live seconds."""


class OutputError(OSError):
    """Results cannot be written; the message is one line that names the folder."""


@dataclasses.dataclass(frozen=True, eq=False)
class SuperResolved:
    """One image's super-resolution."""

    image: images.Image
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
    image: images.Image
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


class Summary(NamedTuple):
    """What the terminal shows of a `Run`; small, so that a long list can be kept."""

    path: Path
    folder: Path
    size: str
    angle: str
    seconds: float
    reason: str | None
    """Why it did not converge; empty if it did; None if no kernel was estimated."""
    confidence: str
    """`high`, `medium`, `low`, or `-` if unknown; with its reason after a colon."""
    note: str = ""
    """What is to be known of the super-resolution; may be empty."""


# --- Where the results go ---


def folders(paths: Sequence[Path], output_dir: Path) -> list[Path]:
    """Chooses a folder in `output_dir` for the results of each image.

    It bears the name of the image without suffix. Of several images of one name the
    later ones get `_2`, `_3`, ..., and never the name of another image of the list.
    Names that some file system takes for the same (case, composed accents) count as
    such.
    """
    stems = {_same(path.stem) for path in paths}
    taken: set[str] = set()
    chosen = []
    for path in paths:
        name, number = path.stem, 1
        while _same(name) in taken or (number > 1 and _same(name) in stems):
            number += 1
            name = f"{path.stem}_{number}"
        taken.add(_same(name))
        chosen.append(output_dir / name)
    return chosen


def _same(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def prepare(output_dir: Path) -> None:
    """Creates the output folder, and clears what killed runs left in it.

    Raises:
      OutputError: If it cannot be created or written to.
    """
    with _naming(output_dir):
        output_dir.mkdir(parents=True, exist_ok=True)
        if not isinstance(output_dir, Path):  # A URL, where nothing is temporary.
            probe = output_dir / f"{_TEMPORARY}probe"
            probe.write_bytes(b"")
            probe.unlink()
            return
        for folder in output_dir.glob(f"{_TEMPORARY}*"):
            # By age, not by process: the run may be on another machine. If it lives,
            # its folder may be gone by now.
            with contextlib.suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > _STALE:
                    shutil.rmtree(folder, ignore_errors=True)
    check_writable(output_dir)


def check_writable(folder: Path) -> None:
    """Checks that files can be made in a folder, if it exists.

    Raises:
      OutputError: If they cannot, or this is no folder.
    """
    with _naming(folder):
        if isinstance(folder, Path) and folder.exists():
            tempfile.TemporaryFile(dir=folder).close()


@contextlib.contextmanager
def _naming(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{folder}: cannot be written: {reason}") from error
    except Exception as error:
        if isinstance(folder, Path):
            raise
        # A store of objects has errors of its own.
        raise OutputError(f"{folder}: cannot be written: {error}") from error


# --- What is finished ---


def fingerprint(
    config: Config, seed: int, kernel: np.ndarray | None, file: tuple[int, int]
) -> str:
    """A short text that differs where results would; `file` is what tells the image."""
    settings = json.dumps([config.asdict(), seed, file], sort_keys=True)
    digest = hashlib.sha256(settings.encode())
    if kernel is not None:
        digest.update(np.ascontiguousarray(kernel).tobytes())
    return digest.hexdigest()[:32]


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Whether a folder has all results of a run with this fingerprint."""
    try:
        found = json.loads((folder / "report.json").read_text())
        same = found["fingerprint"] == fingerprint
        return same and all((folder / name).exists() for name in found["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


# --- The files of one image ---


def write(folder: Path, run: Run) -> None:
    """Writes the results of an image, in place of those of an earlier run.

    Args:
      folder: Where to; its parent exists. Other files in it are left alone.
      run: The results.

    Raises:
      OutputError: If that is impossible (full disk, no permission).
    """
    with _naming(folder), _temporary(folder.parent) as temporary:
        if run.estimate is not None:
            for scale, kernel in _kernels(run.estimate):
                kernel_files.write(temporary / f"kernel_x{scale}", kernel)
            if run.figures:
                _save_figure(temporary / "kernel.png", run, run.estimate)
        if run.sr is not None:
            name = f"sr_x{run.config.scale}.png"
            images.write_png(temporary / name, run.sr.image)
            if run.figures:
                _save_comparison(temporary / "comparison.png", run, run.sr)
        files = [name for name in FILES if (temporary / name).exists()]
        (temporary / "report.json").write_text(
            json.dumps(_report(run, files), indent=2, allow_nan=False) + "\n"
        )
        folder.mkdir(parents=True, exist_ok=True)
        # The earlier report goes first: from here on the folder is incomplete.
        for name in reversed(FILES):
            (folder / name).unlink(missing_ok=True)
        for name in FILES:
            if not (temporary / name).exists():
                continue
            if isinstance(folder, Path):
                os.replace(temporary / name, folder / name)
            else:
                (folder / name).write_bytes((temporary / name).read_bytes())


@contextlib.contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    place = parent if isinstance(parent, Path) else None
    temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=place))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _kernels(estimate: KernelEstimate) -> list[tuple[int, np.ndarray]]:
    """All kernels of an estimate, with their scales; the one asked for comes last."""
    found = [(estimate.scale, estimate.kernel)]
    if estimate.kernel_x4 is not None:
        found.append((4, estimate.kernel_x4))
    return found


def _report(run: Run, files: list[str]) -> dict[str, Any]:
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
        **{f"kernel_x{scale}": _measures(k) for scale, k in _kernels(estimate)},
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
        "kernel_measures": None if sr.kernel is None else _measures(sr.kernel),
        "width": width,
        "height": height,
        "dtype": str(sr.image.pixels.dtype),
        "seconds": round(sr.seconds, 3),
        "note": sr.note,
    }


def _measures(kernel: np.ndarray) -> dict[str, Any]:
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


# --- The figure ---


KERNEL_LOSSES = ("bicubic", *losses.KERNEL_TERMS)
"""Those that are drawn if training heeds them."""


def _save_figure(path: Path, run: Run, estimate: KernelEstimate) -> None:
    # Slow to import, and not needed before the first result. Without pyplot there is no
    # state outside the figure, and no display is looked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = _kernels(estimate)
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
    thinned = images.to_unit(pixels[::every, ::every])
    rgb = np.broadcast_to(thinned, (*thinned.shape[:2], 3))
    axes.imshow(
        rgb, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest"
    )
    axes.set_axis_off()


def _save_comparison(path: Path, run: Run, sr: SuperResolved) -> None:
    """Bicubic and SR, whole and as crops at 4x, and the kernel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scale, pixels, result = run.config.scale, run.image.pixels, sr.image.pixels
    height, width = pixels.shape[:2]
    # The crop with the most structure.
    side = min(48, height // 2 * 2, width // 2 * 2)
    window = crops.training_window(pixels, 0, side**2, side)
    top, left = window[0].start, window[1].start
    around = pixels[max(top - 4, 0) : top + side + 4, max(left - 4, 0) :][
        :, : side + 4 + min(left, 4)
    ]
    enlarged = np.clip(bicubic_resize(images.to_unit(around), scale), 0, 1)
    enlarged = enlarged[scale * min(top, 4) :, scale * min(left, 4) :]
    enlarged = enlarged[: scale * side, : scale * side]
    crop = result[
        scale * top : scale * (top + side), scale * left : scale * (left + side)
    ]

    every = 4  # every pixel of the result as 4 x 4
    enlarged, crop = (x.repeat(every, 0).repeat(every, 1) for x in (enlarged, crop))
    whole = images.to_unit(pixels)
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
    measures = _measures(kernel)
    rows, columns = kernel.shape
    title = f"×{scale} kernel, {columns} × {rows} px, sum {measures['sum']:.3f}"
    if (centre := measures["centre_of_mass"]) is not None:
        row, column = centre
        axes.plot(column, row, "+", color="white", mec="deepskyblue", ms=9, mew=1.5)
    if (widths := measures["widths"]) is not None:
        title += f"\nwidths {_size(widths)}, longer axis at {widths['angle']:.0f}°"
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


def _size(widths: dict[str, float]) -> str:
    return f"{widths['longer']:.2f} × {widths['shorter']:.2f} px"


# --- What the terminal shows ---


def summary(folder: Path, run: Run) -> Summary:
    """The summary of a run whose results are in `folder`."""
    kernel, reason, seconds, confidence = None, None, run.seconds, "-"
    if run.estimate is not None:
        kernel, reason = run.estimate.wanted, run.estimate.reason
        if (found := run.estimate.confidence) is not None:
            confidence = ": ".join(filter(None, (found.level, found.reason)))
    elif run.sr is not None:
        kernel = run.sr.kernel
    if run.sr is not None:
        seconds += run.sr.seconds
    widths = None if kernel is None else _measures(kernel)["widths"]
    size = "-" if widths is None else _size(widths)
    angle = "-" if widths is None else f"{widths['angle']:.0f}°"
    note = "" if run.sr is None else run.sr.note
    return Summary(run.path, folder, size, angle, seconds, reason, confidence, note)


def summary_line(summary: Summary) -> str:
    """One image in one line."""
    said = [f"NOT CONVERGED ({summary.reason})"] if summary.reason else []
    if summary.size != "-":
        said.append(f"kernel {summary.size} at {summary.angle}")
    if summary.confidence != "-" and not summary.reason:
        said.append(f"confidence {summary.confidence}")
    if summary.note:
        said.append(f"super-resolved {summary.note}")
    said.append(f"{summary.seconds:.1f} s")
    return f"{summary.path}: {', '.join(said)} -> {summary.folder}"


def table(summaries: Sequence[Summary]) -> str:
    """Several images, one a row below the headings."""
    rows = [("widths", "angle", "seconds", "converged", "confidence", "image")]
    rows += [
        (
            s.size,
            s.angle,
            f"{s.seconds:.1f}",
            "-" if s.reason is None else "NO" if s.reason else "yes",
            s.confidence.partition(":")[0],
            str(s.path),
        )
        for s in summaries
    ]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{size:>{wide[0]}}  {angle:>{wide[1]}}  {seconds:>{wide[2]}}  "
        f"{converged:<{wide[3]}}  {confidence:<{wide[4]}}  {image}"
        for size, angle, seconds, converged, confidence, image in rows
    )
