"""The list of what became of every image: `manifest.jsonl`, one line an image.

Lines are added as images end, so that a run that is killed leaves what it knew; of
several lines on one image the last one counts. `tidy` leaves one a line.
"""

import json
import os
import tempfile
from pathlib import Path

from kernelgan_jax.pipeline import Outcome


def add(path: Path, outcome: Outcome) -> None:
    """Adds a line on an image; one that was kept has its line already."""
    record = {
        "image": str(outcome.task.path),
        "results": str(outcome.task.folder),
        "status": outcome.status,
        "seconds": round(outcome.seconds, 3),
        "error": outcome.error,
    }
    if outcome.summary is not None:
        record["converged"] = not outcome.summary.reason
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def read(path: Path) -> dict[str, dict]:
    """The last line on each image, by its path; lines that were cut off are not."""
    records: dict[str, dict] = {}
    if not path.exists():
        return records
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
            name = record["image"]
        except (ValueError, KeyError, TypeError):
            continue
        if record.get("status") == "kept" and name in records:
            continue
        records[name] = record
    return records


def tidy(path: Path) -> None:
    """Leaves one line an image, the last one; atomically."""
    records = read(path)
    if not records:
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".manifest-")
    with os.fdopen(handle, "w") as file:
        file.writelines(json.dumps(record) + "\n" for record in records.values())
    os.replace(temporary, path)
