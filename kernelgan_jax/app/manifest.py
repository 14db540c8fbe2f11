"""The list of what became of every image: `manifest.jsonl`, one line per image."""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from kernelgan_jax.app.job import Outcome

UPLOAD_EVERY = 60
"""Seconds between two uploads of a manifest to a URL."""


class Manifest:
    """Adds a line when an image ends, so that nothing is lost if the run is killed.

    If an image has several lines, the last one counts. `tidy` removes the others; it is
    also done when the file is opened and at the end of a `with` block.
    """

    def __init__(self, path: Path):
        self.path = path
        self._records = read(path)
        self._tidied = 0.0
        self.tidy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tidy()

    def add(self, outcome: Outcome) -> None:
        """Adds a line for an image."""
        image = str(outcome.task.path)
        if outcome.status == "kept":
            if self._records.get(image, {}).get("status") == "done":
                return
        record = {
            "image": image,
            "results": str(outcome.task.folder),
            "status": "failed" if outcome.status == "failed" else "done",
            "seconds": round(outcome.seconds, 3),
            "error": outcome.error,
        }
        if outcome.summary is not None and outcome.summary.failure is not None:
            record["converged"] = not outcome.summary.failure
        self._records[image] = record
        if isinstance(self.path, Path):
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")
        elif time.monotonic() > self._tidied + UPLOAD_EVERY:
            self.tidy()  # Nothing can be added to an object in a store.

    def tidy(self) -> None:
        """Leaves one line per image, the last one, in one step."""
        if not self._records:
            return
        lines = [json.dumps(record) + "\n" for record in self._records.values()]
        self._tidied = time.monotonic()
        if not isinstance(self.path, Path):
            self.path.write_text("".join(lines))
            return
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".manifest-")
        with os.fdopen(handle, "w") as file:
            file.writelines(lines)
        os.replace(name, self.path)


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The last line of each image; lines that were cut off are skipped."""
    records = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            records[record["image"]] = record
        except (ValueError, KeyError, TypeError):
            continue
    return records
