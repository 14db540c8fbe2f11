"""What the command prints: one line per image, a table, errors. Needs no JAX."""

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from kernelgan_jax.app.job import Summary

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


def print_text(text: str) -> None:
    """Prints text, also where the terminal's encoding lacks some of its letters."""
    encoding = sys.stdout.encoding or "utf-8"
    _print(text.encode(encoding, "backslashreplace").decode(encoding), sys.stdout)


def print_error(problem: object) -> None:
    """Prints a problem on stderr, in one line."""
    _print(f"error: {' '.join(str(problem).split())}", sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    """Prints text; if nobody reads any more, as after `| head -1`, the work goes on."""
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        # What comes later, also at the end of the program, goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def summary_line(summary: Summary) -> str:
    """One image in one line."""
    parts = []
    if summary.failure:
        parts.append(f"NOT CONVERGED ({summary.failure})")
    if summary.widths != "-":
        parts.append(f"kernel {summary.widths} at {summary.angle}")
    if summary.level != "-" and not summary.failure:
        reason = f": {summary.reason}" if summary.reason else ""
        parts.append(f"confidence {summary.level}{reason}")
    if summary.note:
        parts.append(f"super-resolved {summary.note}")
    if summary.conversions:
        parts.append(f"read with notes ({summary.conversions})")
    parts.append(f"{summary.seconds:.1f} s")
    return f"{summary.path}: {', '.join(parts)} -> {summary.folder}"


def table(summaries: Sequence[Summary]) -> str:
    """Several images, one in each row below the headings."""
    rows = [_HEADINGS, *map(_row, summaries)]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{widths:>{wide[0]}}  {angle:>{wide[1]}}  {seconds:>{wide[2]}}  "
        f"{converged:<{wide[3]}}  {level:<{wide[4]}}  {image}"
        for widths, angle, seconds, converged, level, image in rows
    )


def _row(summary: Summary) -> tuple[str, str, str, str, str, str]:
    converged = {None: "-", "": "yes"}.get(summary.failure, "NO")
    return (
        summary.widths,
        summary.angle,
        f"{summary.seconds:.1f}",
        converged,
        summary.level,
        str(summary.path),
    )
