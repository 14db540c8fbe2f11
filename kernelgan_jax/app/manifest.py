"""The list of what became of every image: `manifest.jsonl`, one line an image."""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from kernelgan_jax.app.pipeline import Outcome

UPLOAD_EVERY = 60
"""Seconds between two writings of a manifest at a URL."""


class Manifest:
    """Adds lines as images end, so that a run that is killed leaves what it knew.

    Of several lines on one image the last one counts; `tidy`, also done when the file
    is opened and at the end of a `with` block, leaves one.
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
        """Adds a line on an image."""
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
        if outcome.summary is not None and outcome.summary.reason is not None:
            record["converged"] = not outcome.summary.reason
        self._records[image] = record
        if isinstance(self.path, Path):
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")
        elif time.monotonic() > self._tidied + UPLOAD_EVERY:
            self.tidy()  # Objects of a store cannot grow.

    def tidy(self) -> None:
        """Leaves one line an image, the last one; atomically."""
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
    """The last line on each image, by the image; without lines that were cut off."""
    records = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            records[record["image"]] = record
        except (ValueError, KeyError, TypeError):
            continue
    return records
