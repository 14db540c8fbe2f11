"""TODO docstring."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    pass

from kernelgan_jax.app.figures import size
from kernelgan_jax.app.flags import Options
from kernelgan_jax.app.report import Run, measures

AGAIN = " with the same settings (--noresume does that again)"


LONGEST_TABLE = 100
"""Images; the terminal shows no table of more."""


SHORT_NAMES = {
    "generator_loss": "G",
    "discriminator_loss": "D",
    "bicubic_loss": "bicubic",
    "loss": "loss",
}
"""The losses that the bar shows, and how."""


def say(text: str, options: Options) -> None:
    if not options.quiet:
        # Names that the terminal's encoding does not have are no reason to fail.
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def complain(problem: object) -> None:
    print("error:", " ".join(str(problem).split()), file=sys.stderr, flush=True)


class Summary(NamedTuple):
    """What the terminal shows of a `Run`; small, so that a long list can be kept."""

    path: Path
    folder: Path
    size: str
    angle: str
    seconds: float
    reason: str | None
    """Why it did not converge; empty if it did; None if no kernel was estimated."""
    confidence: str
    """`high`, `medium`, `low`, or `-` if unknown; with its reason after a colon."""
    note: str = ""
    """What is to be known of the super-resolution; may be empty."""


def summary(folder: Path, run: Run) -> Summary:
    """The summary of a run whose results are in `folder`."""
    kernel, reason, seconds, confidence = None, None, run.seconds, "-"
    if run.estimate is not None:
        kernel, reason = run.estimate.wanted, run.estimate.reason
        if (found := run.estimate.confidence) is not None:
            confidence = ": ".join(filter(None, (found.level, found.reason)))
    elif run.sr is not None:
        kernel = run.sr.kernel
    if run.sr is not None:
        seconds += run.sr.seconds
    widths = None if kernel is None else measures(kernel)["widths"]
    width = "-" if widths is None else size(widths)
    angle = "-" if widths is None else f"{widths['angle']:.0f}°"
    note = "" if run.sr is None else run.sr.note
    return Summary(run.path, folder, width, angle, seconds, reason, confidence, note)


def summary_line(summary: Summary) -> str:
    """One image in one line."""
    said = [f"NOT CONVERGED ({summary.reason})"] if summary.reason else []
    if summary.size != "-":
        said.append(f"kernel {summary.size} at {summary.angle}")
    if summary.confidence != "-" and not summary.reason:
        said.append(f"confidence {summary.confidence}")
    if summary.note:
        said.append(f"super-resolved {summary.note}")
    said.append(f"{summary.seconds:.1f} s")
    return f"{summary.path}: {', '.join(said)} -> {summary.folder}"


def table(summaries: Sequence[Summary]) -> str:
    """Several images, one a row below the headings."""
    rows = [("widths", "angle", "seconds", "converged", "confidence", "image")]
    rows += [
        (
            s.size,
            s.angle,
            f"{s.seconds:.1f}",
            "-" if s.reason is None else "NO" if s.reason else "yes",
            s.confidence.partition(":")[0],
            str(s.path),
        )
        for s in summaries
    ]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{size:>{wide[0]}}  {angle:>{wide[1]}}  {seconds:>{wide[2]}}  "
        f"{converged:<{wide[3]}}  {confidence:<{wide[4]}}  {image}"
        for size, angle, seconds, converged, confidence, image in rows
    )
