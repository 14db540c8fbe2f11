"""Rows summarised: means over seeds, and confidence against what was measured."""

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax.benchmark.rows import (
    ImageRow,
    KernelRow,
    Row,
    image_rows,
    kernel_rows,
)


class RatedKernel(NamedTuple):
    """What an estimator expected of one kernel, and what was measured."""

    level: str
    expected_psnr: float
    """Expected kernel PSNR, dB."""
    kernel_psnr: float
    """Measured kernel PSNR, dB."""
    expected_error: float
    """Expected relative error of the covariance."""
    covariance_error: float
    """Measured relative error of the covariance."""
    expected_loss: float
    """PSNR loss of the super-resolved image that was expected, dB."""
    gap: float | None
    """By how much the super-resolved image is below that of the true kernel, dB; None
    if one of the two was not made."""


def rated_kernels(rows: Sequence[Row], name: str) -> list[RatedKernel]:
    """The kernels of a system that have a confidence and all measures, rated.

    Args:
      rows: Rows of one scale; those of the system `true` are the reference.
      name: `System.kernel_name`, which is also the name of the system's images.
    """
    true = by_image(image_rows(rows, system="true"), "psnr_y")
    psnr = {(r.image, r.seed): r.psnr_y for r in image_rows(rows, system=name)}
    rated = []
    for row in kernel_rows(rows, system=name):
        confidence = row.confidence or {}
        values: Any = (
            confidence.get("expected_kernel_psnr"),
            row.kernel_psnr,
            confidence.get("expected_covariance_error"),
            row.covariance_error,
            confidence.get("expected_sr_loss"),
        )
        if None in values:
            continue
        best, own = true.get(row.image), psnr.get((row.image, row.seed))
        gap = None if best is None or own is None else best - own
        rated.append(RatedKernel._make([confidence["level"], *values, gap]))
    return rated


def by_image(
    rows: Sequence[KernelRow] | Sequence[ImageRow], measure: str
) -> dict[str, float]:
    """The mean over seeds of a measure, a field's name, for each image that has it."""
    values = values_by_image(rows, measure)
    return {image: float(np.mean(found)) for image, found in values.items()}


def values_by_image(
    rows: Sequence[KernelRow] | Sequence[ImageRow], measure: str
) -> dict[str, list[float]]:
    """A measure's values in the order of the seeds, for each image that has it."""
    found: dict[str, list[float]] = {}
    for row in sorted(rows, key=operator.attrgetter("seed")):
        value = getattr(row, measure)
        if value is not None:
            found.setdefault(row.image, []).append(value)
    return found
