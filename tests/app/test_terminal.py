"""What the command prints."""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import helpers
import pytest

from kernelgan_jax.app import cli, terminal
from kernelgan_jax.app.job import Summary, Task

A, B = (Task(Path(f"{name}.png"), Path("out") / name) for name in "ab")
GOOD = Summary(
    widths="2.00 × 1.00 px",
    angle="30°",
    seconds=12.345,
    failure="",
)
FAILED = GOOD._replace(failure="no kernel was found")
KNOWN = GOOD._replace(widths="-", angle="-", failure=None)


def test_summary_line():
    line = terminal.summary_line(A, GOOD)
    assert line == "a.png: kernel 2.00 × 1.00 px at 30°, 12.3 s -> out/a"
    line = terminal.summary_line(A, GOOD._replace(widths="1.13 × 1.13 px", angle="-"))
    assert line == "a.png: kernel 1.13 × 1.13 px, 12.3 s -> out/a"
    line = terminal.summary_line(A, GOOD._replace(family="camera shake"))
    assert line.startswith("a.png: camera shake kernel 2.00 × 1.00 px")


def test_a_kernel_of_one_pixel_is_named_without_widths():
    one = GOOD._replace(family="nearest", widths="-", angle="-")
    assert terminal.summary_line(A, one).startswith("a.png: nearest kernel, ")
    failed = one._replace(failure="why")
    assert "nearest" not in terminal.summary_line(A, failed)


def test_summary_line_with_a_confidence_and_a_note():
    summary = GOOD._replace(level="low", reason="a $reason", note="a $note")
    line = terminal.summary_line(A, summary)
    assert ", confidence low: a $reason, super-resolved a $note, 12.3 s" in line
    assert ", confidence high, 12.3 s" in terminal.summary_line(
        A, GOOD._replace(level="high")
    )


def test_summary_line_of_an_estimate_that_did_not_converge():
    line = terminal.summary_line(B, FAILED._replace(level="low", reason="x"))
    assert line.startswith("b.png: NOT CONVERGED (no kernel was found), kernel 2.00")
    assert "confidence" not in line


def test_a_known_kernel_without_width_is_not_judged():
    assert terminal.summary_line(A, KNOWN) == "a.png: 12.3 s -> out/a"
    row = terminal.table({A.path: KNOWN}).splitlines()[1]
    assert row.split() == ["-", "-", "12.3", "-", "-", "a.png"]


def test_table():
    summaries = {A.path: GOOD._replace(level="high"), B.path: FAILED}
    lines = terminal.table(summaries).splitlines()
    assert [line.split()[-3:] for line in lines] == [
        ["converged", "confidence", "image"],
        ["yes", "high", "a.png"],
        ["NO", "-", "b.png"],
    ]
    assert len({line.index(line.split()[-1]) for line in lines}) == 1


def test_errors_are_one_line(capsys):
    terminal.print_error("a\n  b")
    assert capsys.readouterr() == ("", "error: a b\n")


def test_letters_that_the_terminal_lacks_are_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    terminal.print_text("2 × \u732b")
    assert written.getvalue() == b"2 \\xd7 \\u732b\n"


def test_codes_in_names_do_not_reach_the_terminal(capsys):
    name = "a\x1b]0;x\x07\u202e\x9b2J\ud800\nb.png"
    task = Task(Path(name), Path(f"out/{name}"))
    terminal.print_text(terminal.summary_line(task, GOOD))
    terminal.print_text(terminal.table({task.path: GOOD, A.path: GOOD}))
    terminal.print_error(f"{name}: is empty")
    printed, errors = capsys.readouterr()
    assert len(printed.splitlines()) == 4 and len(errors.splitlines()) == 1
    assert (printed + errors).replace("\n", "").isprintable()
    assert "a\\x1b]0;x\\x07\\u202e\\x9b2J\\ud800\\nb.png" in printed


def test_a_terminal_that_is_gone_is_no_error(monkeypatch):
    for stream in (helpers.Gone(), None):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        terminal.print_text("a")
        terminal.print_error("a")
        enduring = terminal.Enduring(sys.stderr)
        assert enduring.write("abc") == 3 and not enduring.isatty()
        enduring.flush()


class Full(io.StringIO):
    """A file on a full disk."""

    def flush(self):
        raise OSError(28, "No space left on device")


def test_text_that_cannot_be_written_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Full())
    assert cli.main(["--version"]) == 1
    error = "error: what is printed cannot be written: No space left on device\n"
    assert capsys.readouterr().err == error
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert cli.main(["--version"]) == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_work_goes_on_if_nobody_reads(stream):
    program = f"""
import sys, time
from kernelgan_jax.app import terminal
while sys.stdin.read(1):
    pass
for _ in range(3):
    {"terminal.print_text" if stream == "stdout" else "terminal.print_error"}("line")
open(sys.argv[1], "w").close()
"""
    with tempfile.TemporaryDirectory() as folder:
        done = Path(folder) / "done"
        pipes = {stream: subprocess.PIPE}
        process = subprocess.Popen(
            [sys.executable, "-c", program, done], stdin=subprocess.PIPE, **pipes
        )
        getattr(process, stream).close()
        process.stdin.close()
        assert process.wait() == 0
        assert done.exists()


def test_what_is_interrupted_is_one_line(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert terminal.exit_status(interrupted) == 130
    assert capsys.readouterr().err == "error: interrupted; the same command goes on\n"
    assert terminal.exit_status(lambda: None) == 0
    assert terminal.exit_status(lambda: 1) == 1
    assert terminal.exit_status(interrupted, interrupted="stopped") == 130
    assert capsys.readouterr().err == "error: stopped\n"
