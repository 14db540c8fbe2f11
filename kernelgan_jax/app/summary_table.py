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
from kernelgan_jax.app.job import REPORT
from kernelgan_jax.app.report_values import VALUES, values

NAME = "summary.csv"

COLUMNS = ("image", "results", "status", "error", *VALUES, "seconds", "files")
"""The columns: of the manifest's line, and of `report_values`."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First letters of texts that spreadsheets take for formulas and calculate."""


def write(folder: Path) -> None:
    """Writes the table of an output folder, in one step.

    Raises:
      OutputError: If it cannot be written, or no manifest read.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for record in manifest.by_folder(folder):
        results = manifest.folder_of(record)
        table.writerow(_row(record | {"results": results}, folder / results))
    # Names of files may be no text at all.
    data = text.getvalue().encode(errors="backslashreplace")
    files.write_whole(folder / NAME, data)


def _row(record: Mapping[str, Any], results: Path) -> list[Any]:
    """The values of an image: those of its report count, if it has one."""
    found = dict(record)
    if record.get("status") == "done":
        if report := files.read_json(results / REPORT):
            found |= values(report)
    names = found.get("files")
    found["files"] = " ".join(map(str, names)) if isinstance(names, list) else ""
    for column in ("image", "results", "error"):  # Errors begin with the image.
        if str(found.get(column) or "").startswith(_FORMULA_STARTS):
            found[column] = f"./{found[column]}"  # The same file.
    return ["" if found.get(c) is None else found[c] for c in COLUMNS]
