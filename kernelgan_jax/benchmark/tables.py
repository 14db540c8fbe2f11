"""Measured rows as Markdown tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats

from kernelgan_jax.benchmark.evaluate import Row
from kernelgan_jax.benchmark.systems import System
from kernelgan_jax.benchmark.testset import natural

CLAIMS = (
    ("KernelGAN beats the bicubic kernel", "kernelgan", "bicubic_kernel"),
    ("KernelGAN beats Michaeli & Irani", "kernelgan", "michaeli_irani"),
    ("the deep linear generator beats the single layer", "kernelgan", "single_layer"),
    ("the true kernel beats KernelGAN's", "true", "kernelgan"),
    ("KernelGAN beats a constant Gaussian", "kernelgan", "constant"),
    ("the spectrum beats KernelGAN", "spectral", "kernelgan"),
    ("the spectrum beats a constant Gaussian", "spectral", "constant"),
    ("the true kernel beats the spectrum's", "true", "spectral"),
)
"""Claims of Bell-Kligler et al. 2019, and from the fifth on questions of ours."""


def markdown(rows: Sequence[Row], systems: Sequence[System], scale: int) -> str:
    """All tables of one scale: systems, kernels, confidence, claims, images.

    Args:
      rows: As `evaluate` gives them.
      systems: Their order.
      scale: The scale.

    Returns:
      Markdown, which ends with a line break. Means are over images, of the means over
      seeds; the number behind ± is the standard deviation over images. Where a system
      has not all images, it says of how many.
    """
    rows = [row for row in rows if row["scale"] == scale]
    parts = [
        _super_resolution(rows, systems, scale),
        _kernels(rows, systems, scale),
        _confidence(rows, systems, scale),
        _claims(rows, scale),
        _images(rows, systems, "sr", "psnr_y", f"x{scale}, PSNR-Y, dB", 2),
        _images(
            rows, systems, "kernel", "kernel_psnr", f"x{scale}, kernel PSNR, dB", 1
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(_cell(c) for c in cells)} |" for cells in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _super_resolution(
    rows: Sequence[Row], systems: Sequence[System], scale: int
) -> str:
    lines = []
    plain = by_image(rows, "sr", "bicubic", "psnr_y")
    count = _count(rows, "sr")
    for system in systems:
        psnr = by_image(rows, "sr", system.name, "psnr_y")
        if not psnr:
            continue
        mine = _of(rows, "sr", system.name)
        ssim = by_image(rows, "sr", system.name, "ssim_y")
        consistency = by_image(rows, "sr", system.name, "lr_psnr_y")
        shifts = [row["shift"] for row in mine if row["shift"] is not None]
        gains = [psnr[name] - plain[name] for name in psnr if name in plain]
        lines.append(
            [
                system.title,
                _spread(psnr, 2, count),
                _spread(ssim, 4, count),
                f"{np.mean(gains):+.2f}, {min(gains):+.2f}" if gains else "",
                _between_seeds(rows, "sr", system.name, "psnr_y"),
                f"{np.mean(list(consistency.values())):.1f}" if consistency else "",
                f"{np.abs(shifts).max():.2f}" if shifts else "",
                *_cost(mine),
            ]
        )
    head = [
        f"x{scale}, {count} images",
        "PSNR-Y, dB",
        "SSIM-Y",
        "gain over bicubic, dB: mean, worst",
        "between seeds, dB",
        "LR-consistency, dB",
        "largest shift, px",
        "s",
        "MiB",
    ]
    return _table(head, lines) if lines else ""


def _kernels(rows: Sequence[Row], systems: Sequence[System], scale: int) -> str:
    lines = []
    count = _count(rows, "kernel")
    for name, title in estimators(systems).items():
        psnr = by_image(rows, "kernel", name, "kernel_psnr")
        error = by_image(rows, "kernel", name, "covariance_error")
        if not psnr:
            continue
        mine = [r for r in _of(rows, "kernel", name) if r["kernel_psnr"] is not None]
        errors = 100 * np.array(list(error.values()))
        failed = sum(bool(row["reason"]) for row in mine)
        lines.append(
            [
                title,
                _spread(psnr, 2, count),
                f"{min(row['kernel_psnr'] for row in mine):.2f}",
                _between_seeds(rows, "kernel", name, "kernel_psnr"),
                f"{errors.mean():.0f}, {np.median(errors):.0f}" if error else "",
                f"{failed} of {len(mine)}",
                *_cost(mine),
            ]
        )
    head = [
        f"x{scale}, {count} images",
        "kernel PSNR, dB",
        "worst",
        "between seeds, dB",
        "covariance error, %: mean, median",
        "not converged",
        "s",
        "MiB",
    ]
    return _table(head, lines) if lines else ""


LEVELS = ("high", "medium", "low")


NEAR = 0.5
"""SR that is at most this much below the true kernel's, dB, is as good."""


def judged(rows: Sequence[Row], name: str) -> list[dict[str, Any]]:
    """What an estimator expected of each kernel, and what was found.

    Returns:
      For each image and seed a dictionary with `level`, `expected_psnr`, `kernel_psnr`,
      `expected_error`, `covariance_error`, `expected_loss`, and `gap`: by how much the
      SR is below that of the true kernel, dB, or None.
    """
    true = by_image(rows, "sr", "true", "psnr_y")
    mine = {(r["image"], r["seed"]): r["psnr_y"] for r in _of(rows, "sr", name)}
    found = []
    for row in _of(rows, "kernel", name):
        said, psnr = row["confidence"], mine.get((row["image"], row["seed"]))
        if not said or None in (
            row["kernel_psnr"],
            row["covariance_error"],
            said["kernel_psnr"],
            said["covariance_error"],
            said["sr_loss"],
        ):
            continue
        best = true.get(row["image"])
        found.append(
            {
                "level": said["level"],
                "expected_psnr": said["kernel_psnr"],
                "kernel_psnr": row["kernel_psnr"],
                "expected_error": said["covariance_error"],
                "covariance_error": row["covariance_error"],
                "expected_loss": said["sr_loss"],
                "gap": None if best is None or psnr is None else best - psnr,
            }
        )
    return found


def _confidence(rows: Sequence[Row], systems: Sequence[System], scale: int) -> str:
    lines = []
    for name, title in estimators(systems).items():
        found = judged(rows, name)
        for level in ("all", *LEVELS):
            some = [f for f in found if level in ("all", f["level"])]
            if not some:
                continue
            gaps = [f["gap"] for f in some if f["gap"] is not None]
            near = sum(gap <= NEAR for gap in gaps)
            ranks = []
            if level == "all" and len(some) > 2:
                ranks = [
                    f"{_rank(some, *pair):.2f}"
                    for pair in (
                        ("expected_psnr", "kernel_psnr"),
                        ("expected_error", "covariance_error"),
                        ("expected_loss", "gap"),
                    )
                    if all(f[pair[1]] is not None for f in some)
                ]
            errors = [100 * f["covariance_error"] for f in some]
            lines.append(
                [
                    title,
                    level,
                    f"{len(some)}",
                    f"{np.mean([f['kernel_psnr'] for f in some]):.2f}",
                    f"{np.mean([f['expected_psnr'] for f in some]):.2f}",
                    f"{np.median(errors):.0f}",
                    f"{100 * np.median([f['expected_error'] for f in some]):.0f}",
                    f"{np.mean(gaps):.2f}" if gaps else "",
                    f"{np.mean([f['expected_loss'] for f in some]):.2f}",
                    f"{near} of {len(gaps)}" if gaps else "",
                    ", ".join(ranks),
                ]
            )
    head = [
        f"x{scale}, confidence",
        "level",
        "kernels",
        "kernel PSNR, dB",
        "expected",
        "covariance error, %: median",
        "expected",
        "SR below the true kernel's, dB",
        "expected",
        f"at most {NEAR} dB",
        "rank correlation: PSNR, covariance error, SR",
    ]
    return _table(head, lines) if lines else ""


def _rank(found: Sequence[dict[str, Any]], first: str, second: str) -> float:
    pairs = [[f[name] for f in found] for name in (first, second)]
    return float(scipy.stats.spearmanr(*pairs).statistic)


def _claims(rows: Sequence[Row], scale: int) -> str:
    lines = []
    for text, first, second in CLAIMS:
        cells = [text]
        for kind, what in (("sr", "psnr_y"), ("kernel", "kernel_psnr")):
            a, b = (by_image(rows, kind, name, what) for name in (first, second))
            gains = np.array([a[name] - b[name] for name in a if name in b])
            if len(gains) < 2:
                cells += ["", ""]
                continue
            error = gains.std(ddof=1) / np.sqrt(len(gains))
            cells.append(f"{gains.mean():+.2f} ± {error:.2f}")
            cells.append(f"{(gains > 0).sum()} of {len(gains)}")
        if any(cells[1:]):
            lines.append(cells)
    head = [
        f"claim, x{scale}",
        "PSNR-Y, dB: mean difference ± standard error",
        "true of images",
        "kernel PSNR, dB",
        "true of images",
    ]
    return _table(head, lines) if lines else ""


def _images(
    rows: Sequence[Row],
    systems: Sequence[System],
    kind: str,
    what: str,
    title: str,
    digits: int,
) -> str:
    columns = (
        {system.name: system.title for system in systems}
        if kind == "sr"
        else estimators(systems)
    )
    found = {name: _values(rows, kind, name, what) for name in columns}
    shown = [name for name, values in found.items() if values]
    names = sorted({image for name in shown for image in found[name]}, key=natural)
    if not names:
        return ""
    lines = [
        [image]
        + [
            ", ".join(f"{x:.{digits}f}" for x in found[name].get(image, ()))
            for name in shown
        ]
        for image in names
    ]
    return _table([title, *(columns[name] for name in shown)], lines)


def by_image(
    rows: Sequence[Row], kind: str, system: str, what: str
) -> dict[str, float]:
    """The mean over seeds of a measure, for each image that has it."""
    values = _values(rows, kind, system, what)
    return {name: float(np.mean(mine)) for name, mine in values.items()}


def _of(rows: Sequence[Row], kind: str, system: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind and row["system"] == system]


def _values(
    rows: Sequence[Row], kind: str, system: str, what: str
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in sorted(_of(rows, kind, system), key=lambda row: row["seed"]):
        if row[what] is not None:
            found.setdefault(row["image"], []).append(row[what])
    return found


def estimators(systems: Sequence[System]) -> dict[str, str]:
    """Titles of the estimators, by name, each once."""
    titles: dict[str, str] = {}
    for system in systems:
        if system.estimator is not None:
            titles.setdefault(system.estimator.name, system.title.split(" + ")[0])
    return titles


def _count(rows: Sequence[Row], kind: str) -> int:
    return len({row["image"] for row in rows if row["kind"] == kind})


def _spread(values: Mapping[str, float], digits: int, count: int) -> str:
    """Mean ± standard deviation; and of how many images, if not of all."""
    if not values:
        return ""
    array = np.array(list(values.values()))
    text = f"{array.mean():.{digits}f}"
    if len(array) > 1:
        text += f" ± {array.std(ddof=1):.{digits}f}"
    return text if len(array) == count else f"{text} ({len(array)} of {count})"


def _between_seeds(rows: Sequence[Row], kind: str, system: str, what: str) -> str:
    """The mean over images of the distance between the best and the worst seed."""
    values = [v for v in _values(rows, kind, system, what).values() if len(v) > 1]
    return f"{np.mean([np.ptp(v) for v in values]):.2f}" if values else ""


def _cost(rows: Sequence[Row]) -> list[str]:
    """Median seconds, and peak memory in MiB."""
    seconds = [row["seconds"] for row in rows if row["seconds"] is not None]
    memory = [row["memory"] for row in rows if row["memory"] is not None]
    return [
        f"{np.median(seconds):.2f}" if seconds else "",
        f"{max(memory)}" if memory else "",
    ]
