"""The progress bar: phases of one image, and how many of a folder are done."""

import sys
from pathlib import Path

import jax

from kernelgan_jax.app import progress
from kernelgan_jax.app.job import Outcome, Task
from kernelgan_jax.estimate import Progress

TASKS = [Task(Path(f"{name}.png"), Path("out")) for name in "abcd"]


def on_a_terminal(monkeypatch, capsys):
    """A function that returns what was written since its last call."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    return lambda: capsys.readouterr().err


def test_one_image_says_what_is_done(monkeypatch, capsys):
    seen = on_a_terminal(monkeypatch, capsys)
    with progress.Bar(TASKS[:1], enabled=True).running() as bar:
        bar.report(Progress(0, "estimating the kernel", 0, 1))
        assert "a.png, estimating the kernel [00:00]" in seen()
        bar.note(progress.LOWERED)
        bar.refresh()
        assert "a.png, estimating the kernel, compiling [00:00]" in seen()
        bar.note(progress.COMPILED)
        bar.refresh()
        assert "compiling" not in seen()
        bar.report(Progress(0, "kernelgan", 3, 6, {"generator_loss": 0.5}))
        text = seen()
        assert "a.png, kernelgan:  50%" in text and "3/6" in text and "G=0.5" in text
        bar.refresh()  # A tick changes nothing.
        assert "a.png, kernelgan:  50%" in seen()
        bar.report(Progress(0, "super-resolving", 0, 1))
        assert "a.png, super-resolving [00:00]" in seen()
        bar.report(Progress(0, "deep_wiener", 1, 1))  # It has no steps to count.
        assert "deep_wiener" not in seen()
    assert "step" not in seen()


def test_images_of_a_folder_are_counted(monkeypatch, capsys):
    seen = on_a_terminal(monkeypatch, capsys)
    with progress.Bar(TASKS, enabled=True).running() as bar:
        bar.report(Progress(0, "estimating the kernel", 0, 1))
        bar.report(Progress(0, "kernelgan", 3, 6))
        text = seen()
        assert "0/4" in text and "estimating the kernel]" in text and "3/6" not in text
        bar.add(Outcome(TASKS[0], "kept"))
        bar.add(Outcome(TASKS[1], "done"))
        assert bar._bar.n - bar._bar.initial == 1  # What was kept took no time.
        with bar.hidden():
            seen()
        bar.refresh()
        assert "2/4" in seen()


def test_compilations_are_shown(monkeypatch, capsys):
    seen = on_a_terminal(monkeypatch, capsys)
    with progress.shown(TASKS[:1], enabled=True) as bar:
        lowered = jax.jit(lambda x: x + 1).lower(1.0)
        bar.refresh()
        assert "a.png, compiling [" in seen()
        lowered.compile()
        seen()
        bar.refresh()
        assert "compiling" not in seen()


def test_no_bar(monkeypatch, capsys):
    seen = on_a_terminal(monkeypatch, capsys)
    with progress.shown(TASKS, enabled=False) as bar:
        bar.report(Progress(0, "writing", 0, 1))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with progress.shown(TASKS[:1], enabled=True) as bar:
        bar.report(Progress(0, "writing", 0, 1))
    assert seen() == ""
