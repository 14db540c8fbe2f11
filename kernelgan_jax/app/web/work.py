"""Photographs of one page through the pipeline of the command, one after the other.

The pages that are open take turns, a photograph each, so that nobody waits for another
one's whole folder.
"""

import dataclasses
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kernelgan_jax.app import enlarging, figures, files, pipeline, results
from kernelgan_jax.app.flags import parse
from kernelgan_jax.app.folders import folders
from kernelgan_jax.app.images import image_encoding, image_files
from kernelgan_jax.app.images.image import Image
from kernelgan_jax.app.job import REPORT, Job, Outcome, Task
from kernelgan_jax.estimate import Progress
from kernelgan_jax.kernel_formats import TOOLS
from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize

BEFORE, AFTER = "before.png", "after.png"
"""The pictures of the slider: the bicubic enlargement, and the result if browsers do
not show its own file."""

_SHOWN = (".png", ".jpg", ".webp", ".avif", ".gif")
"""Files that browsers show."""

_TURN = threading.Semaphore(1)
"""Held while a photograph is worked on; it then uses all cores."""


@dataclasses.dataclass
class Entry:
    """What the page shows of one photograph."""

    task: Task
    """The file and the folder for its results."""
    status: Literal["waiting", "working", "done", "failed"] = "waiting"
    """What has become of it."""
    text: str = ""
    """What is being done, or what is wrong, in one line."""
    report: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Contents of `report.json`; empty until it is done."""

    @property
    def before(self) -> Path:
        """The left picture of the slider."""
        return self.task.folder / BEFORE

    @property
    def after(self) -> Path:
        """The right picture of the slider: the result itself, if browsers show it."""
        path = self.task.folder / self.report["super_resolution"]["file"]
        return path if path.suffix in _SHOWN else self.task.folder / AFTER


def command(*, scale: int, strength: float) -> list[str]:
    """The flags with which the command does the same."""
    tools = ",".join(TOOLS)
    return [f"--scale={scale}", f"--strength={strength:g}", f"--export={tools}"]


def work(
    paths: Sequence[Path], folder: Path, *, scale: int, strength: float
) -> Iterator[list[Entry]]:
    """Works on photographs; yields all entries whenever one has changed.

    Closing the iterator ends the work.

    Args:
      paths: The files.
      folder: Folder for the results, as the command's `--output_dir`.
      scale: By how much to enlarge.
      strength: As `--strength`.

    Raises:
      UsageError: If the scale or the strength is not legal.
      OutputError: If the folder cannot be written to.
    """
    flags = [*command(scale=scale, strength=strength), f"--output_dir={folder}"]
    options = parse([*flags, "--", *map(str, paths)])
    results.prepare(folder)
    entries = list(map(Entry, map(Task, paths, folders(paths, folder))))
    events: queue.SimpleQueue[tuple[int, str | Outcome] | None] = queue.SimpleQueue()
    stop = threading.Event()
    arguments = ([entry.task for entry in entries], options.job, events, stop)
    threading.Thread(target=_run, args=arguments, daemon=True).start()
    try:
        yield entries
        while (event := events.get()) is not None:
            _update(entries[event[0]], event[1])
            yield entries
    finally:
        stop.set()


def _run(
    tasks: Sequence[Task], job: Job, events: queue.SimpleQueue, stop: threading.Event
) -> None:
    """Works on all tasks, and puts what happens into a queue: None at the end."""
    try:
        for number, task in enumerate(tasks):
            with _TURN:
                if stop.is_set():
                    return
                events.put((number, _outcome(number, task, job, events, stop)))
    finally:
        events.put(None)


def _outcome(
    number: int, task: Task, job: Job, events: queue.SimpleQueue, stop: threading.Event
) -> Outcome:
    def report(done: Progress) -> None:
        if stop.is_set():
            raise InterruptedError("the page was closed")
        if done.step == 0:
            events.put((number, done.phase))

    (outcome,) = pipeline.process([task], job, batch_size=1, progress=report)
    if outcome.status == "done":
        try:
            _write_pictures(task, job)
        except Exception as error:  # As any other that concerns this image alone.
            outcome = Outcome(task, "failed", error=f"{task.path}: {error}")
    return outcome


def _update(entry: Entry, event: str | Outcome) -> None:
    if isinstance(event, str):
        entry.status, entry.text = "working", event
    elif event.status == "failed":
        # Where the server keeps the file is of no use to its owner.
        name = event.error.replace(str(entry.task.path), entry.task.path.name)
        entry.status, entry.text = "failed", name
    else:
        found = files.read_json(entry.task.folder / REPORT)
        entry.status, entry.text, entry.report = "done", "", dict(found or {})


def _write_pictures(task: Task, job: Job) -> None:
    """Writes what the slider shows beside the result."""
    image, scale = image_files.read(task.path), job.config.scale
    larger = enlarging.enlarge_groups(
        enlarging.usual_pixels(image),
        lambda pixels, _: np.clip(bicubic_resize(to_unit(pixels), scale), 0, 1),
    )
    before = _for_browsers(enlarging.as_stored(larger, image, scale), image)
    image_encoding.write(task.folder / BEFORE, before, "png")
    made = [path for path in task.folder.glob("sr_x*") if path.suffix not in _SHOWN]
    if made:
        after = _for_browsers(image_files.read(min(made)), image)
        image_encoding.write(task.folder / AFTER, after, "png")


def _for_browsers(image: Image, source: Image) -> Image:
    """An image of at most 16 bits, gray or RGB, shown with the levels of its source."""
    if image.pixels.dtype in (np.uint8, np.uint16) and not image.bands:
        return image
    shown = figures.shown_pixels(image, levels=source.levels())
    return Image(
        shown if shown.dtype == np.uint8 else from_unit(to_unit(shown), np.uint8)
    )
