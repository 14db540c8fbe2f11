"""Measured rows as Markdown tables."""

from collections.abc import Sequence

import numpy as np

from kernelgan_jax.benchmark.evaluate import Row
from kernelgan_jax.benchmark.systems import System
from kernelgan_jax.benchmark.testset import natural

CLAIMS = (
    ("KernelGAN beats the bicubic kernel", "kernelgan", "bicubic_kernel"),
    ("KernelGAN beats Michaeli & Irani", "kernelgan", "michaeli_irani"),
    ("the deep linear generator beats the single layer", "kernelgan", "single_layer"),
    ("the true kernel beats KernelGAN's", "true", "kernelgan"),
    ("KernelGAN beats a constant Gaussian", "kernelgan", "constant"),
)
"""Claims of Bell-Kligler et al. 2019, and the last a question of ours: two systems."""


def markdown(rows: Sequence[Row], systems: Sequence[System], scale: int) -> str:
    """All tables of one scale: systems, kernels, claims, images.

    Args:
      rows: As `evaluate` gives them.
      systems: Their order.
      scale: The scale.

    Returns:
      Markdown, which ends with a line break. Means are over images, of the means over
      seeds; the number behind ± is the standard deviation over images.
    """
    rows = [row for row in rows if row["scale"] == scale]
    parts = [
        _super_resolution(rows, systems, scale),
        _kernels(rows, systems, scale),
        _claims(rows, scale),
        _images(rows, systems, "sr", "psnr_y", f"x{scale}, PSNR-Y, dB", 2),
        _images(
            rows, systems, "kernel", "kernel_psnr", f"x{scale}, kernel PSNR, dB", 1
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _super_resolution(
    rows: Sequence[Row], systems: Sequence[System], scale: int
) -> str:
    lines = []
    plain = by_image(rows, "sr", "bicubic", "psnr_y")
    for system in systems:
        mine = _of(rows, "sr", system.name)
        if not mine:
            continue
        psnr = by_image(rows, "sr", system.name, "psnr_y")
        ssim = by_image(rows, "sr", system.name, "ssim_y")
        gains = [psnr[name] - plain[name] for name in psnr if name in plain]
        lines.append(
            [
                system.title,
                _spread(psnr.values(), 2),
                _spread(ssim.values(), 4),
                f"{np.mean(gains):+.2f}, {min(gains):+.2f}" if gains else "",
                _between_seeds(rows, "sr", system.name, "psnr_y"),
                f"{np.mean([r['lr_psnr_y'] for r in mine]):.1f}",
                f"{np.abs([r['shift'] for r in mine]).max():.2f}",
                *_cost(mine),
            ]
        )
    head = [
        f"x{scale}, {len(plain) or _count(rows, 'sr')} images",
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
    for name, title in _estimators(systems).items():
        psnr = by_image(rows, "kernel", name, "kernel_psnr")
        if not psnr:
            continue
        mine = _of(rows, "kernel", name)
        error = 100 * np.array(
            list(by_image(rows, "kernel", name, "covariance_error").values())
        )
        failed = sum(bool(row["reason"]) for row in mine)
        lines.append(
            [
                title,
                _spread(psnr.values(), 2),
                f"{min(row['kernel_psnr'] for row in mine):.2f}",
                _between_seeds(rows, "kernel", name, "kernel_psnr"),
                f"{error.mean():.0f}, {np.median(error):.0f}",
                f"{failed} of {len(mine)}",
                *_cost(mine),
            ]
        )
    head = [
        f"x{scale}, {_count(rows, 'kernel')} images",
        "kernel PSNR, dB",
        "worst",
        "between seeds, dB",
        "covariance error, %: mean, median",
        "not converged",
        "s",
        "MiB",
    ]
    return _table(head, lines) if lines else ""


def _claims(rows: Sequence[Row], scale: int) -> str:
    lines = []
    for text, first, second in CLAIMS:
        cells = [text]
        for kind, what in (("sr", "psnr_y"), ("kernel", "kernel_psnr")):
            a, b = (by_image(rows, kind, name, what) for name in (first, second))
            gains = np.array([a[name] - b[name] for name in a if name in b])
            if len(gains) < 2 or not np.isfinite(gains).all():
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
        else _estimators(systems)
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


# --- Rows taken together ---


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


def _estimators(systems: Sequence[System]) -> dict[str, str]:
    """Titles of the estimators, by name, each once."""
    titles: dict[str, str] = {}
    for system in systems:
        if system.estimator is not None:
            titles.setdefault(system.estimator.name, system.title.split(" + ")[0])
    return titles


def _count(rows: Sequence[Row], kind: str) -> int:
    return len({row["image"] for row in rows if row["kind"] == kind})


def _spread(values: object, digits: int) -> str:
    array = np.array(list(values))  # type: ignore[call-overload]
    if len(array) < 2:
        return f"{array.mean():.{digits}f}"
    return f"{array.mean():.{digits}f} ± {array.std(ddof=1):.{digits}f}"


def _between_seeds(rows: Sequence[Row], kind: str, system: str, what: str) -> str:
    """The mean over images of the distance between the best and the worst seed."""
    values = [v for v in _values(rows, kind, system, what).values() if len(v) > 1]
    return f"{np.mean([np.ptp(v) for v in values]):.2f}" if values else ""


def _cost(rows: Sequence[Row]) -> list[str]:
    """Median seconds, and peak memory in MiB."""
    memory = [row["memory"] for row in rows if row["memory"] is not None]
    return [
        f"{np.median([row['seconds'] for row in rows]):.2f}",
        f"{max(memory)}" if memory else "",
    ]
