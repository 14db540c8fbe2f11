"""What the command prints: one line per image, a table, errors. Needs no JAX.

Names of files come from anywhere: what is not printable in them, such as the codes that
move a terminal's cursor, is escaped. A terminal that is gone is no error: the run goes
on without it.
"""

import contextlib
import errno
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from kernelgan_jax.app.job import Summary, Task

KEPT = " with the same settings (--noresume does that again)"
"""The end of a line on images that were finished before."""

LONGEST_TABLE = 100
"""Images of the longest table; of more, no table is printed."""

SHORT_NAMES = {
    "generator_loss": "G",
    "discriminator_loss": "D",
    "bicubic_loss": "bicubic",
    "loss": "loss",
}
"""The losses that the progress bar shows, and what it calls them."""

_HEADINGS = ("widths", "angle", "seconds", "converged", "confidence", "image")

_unwritten: list[str] = []
"""Why texts that were printed are not where they should be, as on a full disk."""


class Enduring(io.TextIOBase):
    """A stream that nobody may be reading any more: it then swallows what it gets.

    What it holds back then goes nowhere at the end of the program, too, so that the
    exit status stays that of the work, as after `| head -1`.
    """

    failure = ""
    """Why something could not be written, though it may be read."""

    def __init__(self, stream: TextIO | None):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes text if it can, escaping what the stream's encoding lacks."""
        if self._stream is not None:
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            with self._enduring():
                self._stream.write(
                    text.encode(encoding, "backslashreplace").decode(encoding)
                )
        return len(text)

    def flush(self) -> None:
        """Flushes the stream if it can."""
        if self._stream is not None:
            with self._enduring():
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    @contextlib.contextmanager
    def _enduring(self) -> Iterator[None]:
        with contextlib.suppress(OSError, ValueError):
            try:
                yield
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.EIO):
                    self.failure = error.strerror or str(error)
                    raise
                assert self._stream is not None
                descriptor = self._stream.fileno()
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def printable(text: object) -> str:
    """Text in which everything that is not printable is escaped, also line breaks.

    Example:
      >>> len(printable("a" + chr(27)))  # an escape code: four characters
      5
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def print_text(text: str) -> None:
    """Prints text, also where the terminal's encoding lacks some of its letters."""
    lines, stdout = map(printable, text.split("\n")), Enduring(sys.stdout)
    print(*lines, sep="\n", file=stdout, flush=True)
    if stdout.failure:
        _unwritten.append(stdout.failure)


def reported(status: int) -> int:
    """The exit status of work that is done; not 0 if text that it printed is lost."""
    if _unwritten:
        print_error(f"what is printed cannot be written: {_unwritten[0]}")
        _unwritten.clear()
        return status or 1
    return status


def print_error(problem: object) -> None:
    """Prints a problem on stderr, in one line."""
    text = printable(" ".join(str(problem).split()))
    print("error:", text, file=Enduring(sys.stderr), flush=True)


def exit_status(
    work: Callable[[], int | None],
    *,
    interrupted: str = "interrupted; the same command goes on",
) -> int:
    """Does the work of a program that goes on where it stopped.

    A wrong value or file is one line on stderr.

    Returns:
      The status of the work, else 0; 2 after an error, and 130 after Ctrl-C.
    """
    try:
        return reported(work() or 0)
    except (ValueError, OSError) as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        print_error(interrupted)
        return 130


class _Lines(logging.Handler):
    """Prints what is logged on stderr, each line with `debug: ` before it."""

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).split("\n"):
            print("debug:", printable(line), file=Enduring(sys.stderr), flush=True)


@contextlib.contextmanager
def debug_log(enabled: bool) -> Iterator[None]:
    """Prints what this package logs, if enabled."""
    if not enabled:
        yield
        return
    logger, handler = logging.getLogger("kernelgan_jax"), _Lines()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def summary_line(task: Task, summary: Summary) -> str:
    """One image in one line."""
    parts = []
    if summary.failure:
        parts.append(f"NOT CONVERGED ({summary.failure})")
    kernel = f"{summary.family} kernel".strip()
    if summary.widths != "-":
        direction = "" if summary.angle == "-" else f" at {summary.angle}"
        parts.append(f"{kernel} {summary.widths}{direction}")
    elif summary.family and not summary.failure:  # One pixel has no width.
        parts.append(kernel)
    if summary.level != "-" and not summary.failure:
        reason = f": {summary.reason}" if summary.reason else ""
        parts.append(f"confidence {summary.level}{reason}")
    if summary.note:
        parts.append(f"super-resolved {summary.note}")
    if summary.conversions:
        parts.append(f"read with notes ({summary.conversions})")
    parts.append(f"{summary.seconds:.1f} s")
    path, folder = map(printable, task)
    return f"{path}: {', '.join(parts)} -> {folder}"


def table(summaries: Mapping[Path, Summary]) -> str:
    """Several images, by their paths, one in each row below the headings."""
    rows = [_HEADINGS, *map(_row, summaries, summaries.values())]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{widths:>{wide[0]}}  {angle:>{wide[1]}}  {seconds:>{wide[2]}}  "
        f"{converged:<{wide[3]}}  {level:<{wide[4]}}  {image}"
        for widths, angle, seconds, converged, level, image in rows
    )


def _row(path: Path, summary: Summary) -> tuple[str, str, str, str, str, str]:
    converged = {None: "-", "": "yes"}.get(summary.failure, "NO")
    return (
        summary.widths,
        summary.angle,
        f"{summary.seconds:.1f}",
        converged,
        summary.level,
        printable(path),
    )
