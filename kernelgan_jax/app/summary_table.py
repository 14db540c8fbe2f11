"""`summary.csv`: one row for each image of an output folder, for spreadsheets.

It is written when a run ends, from the manifests and the reports of all images that the
folder holds, also those that earlier runs or other machines have finished.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernelgan_jax.app import files, manifest

NAME = "summary.csv"

COLUMNS = {
    "image": "",
    "results": "",
    "status": "",
    "error": "",
    "scale": "config.scale",
    "longer": "widths.longer",
    "shorter": "widths.shorter",
    "angle": "widths.angle",
    "family": "spectral_family",
    "confidence": "confidence.level",
    "reason": "confidence.reason",
    "expected_sr_loss": "confidence.expected_sr_loss",
    "noise_std": "noise",
    "sr_method": "super_resolution.method",
    "sr_kernel": "super_resolution.kernel",
    "sr_note": "super_resolution.note",
    "sr_file": "super_resolution.file",
    "seconds": "",
}
"""Columns, and where a report has their values; empty: the manifest has them. Widths
are standard deviations in HR pixels, angles in degrees, noise a fraction of the range.
"""


def write(folder: Path) -> None:
    """Writes the table of an output folder, in one step.

    Raises:
      OutputError: If it cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    records = manifest.read_folder(folder)
    for _, record in sorted(records.items()):
        # The folder's own kind of path: results may be at a URL, too.
        table.writerow(_row(record, type(folder)(record["results"])))
    files.write_whole(folder / NAME, text.getvalue().encode())


def _row(record: Mapping[str, Any], results: Path) -> list[Any]:
    """The values of an image."""
    report: Mapping[str, Any] = {}
    if record.get("status") == "done":
        report = files.read_json(results / "report.json") or {}
    scale = _value(report, "config.scale")
    own = report.get(f"kernel_x{scale}")
    report = {**report, "widths": own.get("widths") if isinstance(own, dict) else None}
    values = []
    for column, place in COLUMNS.items():
        value = _value(report, place) if place else record.get(column)
        if isinstance(value, float):
            value = float(f"{value:.6g}")
        values.append("" if value is None else value)
    return values


def _value(report: Any, place: str) -> Any:
    """A value in a report, by the names that lead to it; None if it has none."""
    for name in place.split("."):
        if not isinstance(report, Mapping):
            return None
        report = report.get(name)
    return report
