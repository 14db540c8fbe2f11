"""Measured rows as Markdown tables."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.stats

from kernelgan_jax.benchmark.rows import (
    ImageRow,
    KernelRow,
    Row,
    image_rows,
    kernel_rows,
)
from kernelgan_jax.benchmark.summaries import (
    RatedKernel,
    by_image,
    rated_kernels,
    values_by_image,
)
from kernelgan_jax.benchmark.systems import System, kernel_titles
from kernelgan_jax.benchmark.testset import natural_order
from kernelgan_jax.confidence_levels import LEVELS
from kernelgan_jax.metrics import kernel_grid

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
"""Claims (text, first system, second system): four of Bell-Kligler et al. 2019, and
four questions of our own."""

MAX_GAP = 0.5
"""A super-resolved image at most this much below the true kernel's, dB, counts as as
good."""

_Rows = Sequence[KernelRow] | Sequence[ImageRow]


def markdown(rows: Sequence[Row], systems: Sequence[System], scale: int) -> str:
    """All tables of one scale: systems, kernels, confidence, claims, images.

    Args:
      rows: The rows of `run_benchmark`; those of other scales are left out.
      systems: The systems in the order of the tables.
      scale: The scale.

    Returns:
      Markdown, which ends with a line break. Means are over images, each of which is
      the mean over its seeds; the number after ± is the standard deviation over images.
      Where images of a system are missing, the table says how many there are.
    """
    rows = [row for row in rows if row.scale == scale]
    images = {system.title: image_rows(rows, system=system.name) for system in systems}
    found = {
        title: kernel_rows(rows, system=name)
        for name, title in kernel_titles(systems).items()
    }
    parts = [
        _super_resolution(rows, systems, scale),
        _kernels(found, scale),
        _confidence(rows, systems, scale),
        _claims(rows, scale),
        _values(images, "psnr_y", f"x{scale}, PSNR-Y, dB", 2),
        _values(found, "kernel_psnr", f"x{scale}, kernel PSNR, dB", 1),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


# --- One function for each table ---


def _super_resolution(
    rows: Sequence[Row], systems: Sequence[System], scale: int
) -> str:
    bicubic = by_image(image_rows(rows, system="bicubic"), "psnr_y")
    count = len({row.image for row in image_rows(rows)})
    lines = []
    for system in systems:
        own = image_rows(rows, system=system.name)
        psnr = by_image(own, "psnr_y")
        if not psnr:
            continue
        consistency = list(by_image(own, "lr_psnr_y").values())
        shifts = [row.shift for row in own if row.shift is not None]
        gains = [psnr[name] - bicubic[name] for name in psnr if name in bicubic]
        lines.append(
            [
                system.title,
                _mean_and_deviation(psnr, 2, count),
                _mean_and_deviation(by_image(own, "ssim_y"), 4, count),
                f"{np.mean(gains):+.2f}, {min(gains):+.2f}" if gains else "",
                _between_seeds(own, "psnr_y"),
                f"{np.mean(consistency):.1f}" if consistency else "",
                f"{np.abs(shifts).max():.2f}" if shifts else "",
                *_cost(own),
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


def _kernels(found: Mapping[str, Sequence[KernelRow]], scale: int) -> str:
    count = len({row.image for rows in found.values() for row in rows})
    lines = []
    for title, rows in found.items():
        own = [row for row in rows if row.kernel_psnr is not None]
        if not own:
            continue
        worst = min(values_by_image(own, "kernel_psnr").values(), key=min)
        errors = 100 * np.array(list(by_image(own, "covariance_error").values()))
        failed = sum(bool(row.failure) for row in own)
        lines.append(
            [
                title,
                _mean_and_deviation(by_image(own, "kernel_psnr"), 2, count),
                f"{min(worst):.2f}",
                _mean_and_deviation(by_image(own, "kernel_psnr_on_grid"), 2, count),
                _between_seeds(own, "kernel_psnr"),
                f"{errors.mean():.0f}, {np.median(errors):.0f}" if errors.size else "",
                f"{failed} of {len(own)}",
                *_cost(own),
            ]
        )
    head = [
        f"x{scale}, {count} images",
        "kernel PSNR, dB",
        "worst",
        "on {0} x {0}, dB".format(kernel_grid(scale)),
        "between seeds, dB",
        "covariance error, %: mean, median",
        "not converged",
        "s",
        "MiB",
    ]
    return _table(head, lines) if lines else ""


def _confidence(rows: Sequence[Row], systems: Sequence[System], scale: int) -> str:
    lines = []
    for name, title in kernel_titles(systems).items():
        rated = rated_kernels(rows, name)
        if rated:
            lines.append(_confidence_line(title, "all", rated, _ranks(rated)))
        for level in reversed(LEVELS):
            some = [kernel for kernel in rated if kernel.level == level]
            if some:
                lines.append(_confidence_line(title, level, some, ""))
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
        f"at most {MAX_GAP} dB",
        "rank correlation: PSNR, covariance error, SR",
    ]
    return _table(head, lines) if lines else ""


def _confidence_line(
    title: str, level: str, rated: Sequence[RatedKernel], ranks: str
) -> list[str]:
    gaps = [kernel.gap for kernel in rated if kernel.gap is not None]
    near = sum(gap <= MAX_GAP for gap in gaps)
    return [
        title,
        level,
        f"{len(rated)}",
        f"{np.mean([kernel.kernel_psnr for kernel in rated]):.2f}",
        f"{np.mean([kernel.expected_psnr for kernel in rated]):.2f}",
        f"{100 * np.median([kernel.covariance_error for kernel in rated]):.0f}",
        f"{100 * np.median([kernel.expected_error for kernel in rated]):.0f}",
        f"{np.mean(gaps):.2f}" if gaps else "",
        f"{np.mean([kernel.expected_loss for kernel in rated]):.2f}",
        f"{near} of {len(gaps)}" if gaps else "",
        ranks,
    ]


def _ranks(rated: Sequence[RatedKernel]) -> str:
    """Spearman's rank correlations of expected and measured values."""
    if len(rated) < 3:
        return ""
    pairs: list[Callable[[RatedKernel], tuple[float, float | None]]] = [
        lambda kernel: (kernel.expected_psnr, kernel.kernel_psnr),
        lambda kernel: (kernel.expected_error, kernel.covariance_error),
        lambda kernel: (kernel.expected_loss, kernel.gap),
    ]
    texts = []
    for pair in pairs:
        expected, measured = zip(*map(pair, rated), strict=True)
        if None not in measured and min(len(set(expected)), len(set(measured))) > 1:
            texts.append(f"{scipy.stats.spearmanr(expected, measured).statistic:.2f}")
    return ", ".join(texts)


def _claims(rows: Sequence[Row], scale: int) -> str:
    lines = []
    for text, *pair in CLAIMS:
        images = [by_image(image_rows(rows, system=s), "psnr_y") for s in pair]
        found = [by_image(kernel_rows(rows, system=s), "kernel_psnr") for s in pair]
        cells = [text, *_difference(*images), *_difference(*found)]
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


def _difference(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[str, str]:
    """By how much one system is better than another, and on how many images."""
    gains = np.array([a[name] - b[name] for name in a if name in b])
    if len(gains) < 2:
        return "", ""
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    return f"{gains.mean():+.2f} ± {error:.2f}", f"{(gains > 0).sum()} of {len(gains)}"


def _values(columns: Mapping[str, _Rows], measure: str, title: str, digits: int) -> str:
    """A measure of every image; all seeds in one cell, a column for each system."""
    found = {name: values_by_image(rows, measure) for name, rows in columns.items()}
    shown = {name: values for name, values in found.items() if values}
    names = {image for values in shown.values() for image in values}
    lines = [
        [image]
        + [
            ", ".join(f"{value:.{digits}f}" for value in values.get(image, ()))
            for values in shown.values()
        ]
        for image in sorted(names, key=natural_order)
    ]
    return _table([title, *shown], lines) if lines else ""


# --- Cells ---


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    escaped = ([text.replace("|", "\\|") for text in cells] for cells in rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)


def _mean_and_deviation(values: Mapping[str, float], digits: int, count: int) -> str:
    """Mean ± standard deviation, and the number of images if some are missing."""
    if not values:
        return ""
    array = np.array(list(values.values()))
    text = f"{array.mean():.{digits}f}"
    if len(array) > 1:
        text += f" ± {array.std(ddof=1):.{digits}f}"
    return text if len(array) == count else f"{text} ({len(array)} of {count})"


def _between_seeds(rows: _Rows, measure: str) -> str:
    """The mean over images of the distance between the best and the worst seed."""
    values = [v for v in values_by_image(rows, measure).values() if len(v) > 1]
    return f"{np.mean([np.ptp(v) for v in values]):.2f}" if values else ""


def _cost(rows: _Rows) -> list[str]:
    """Median seconds, and largest peak memory in MiB."""
    seconds = [row.seconds for row in rows if row.seconds is not None]
    memory = [row.memory for row in rows if row.memory is not None]
    return [
        f"{np.median(seconds):.2f}" if seconds else "",
        f"{max(memory)}" if memory else "",
    ]
