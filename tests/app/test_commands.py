"""The word before the flags: what each command does, and what is no command."""

import os
import subprocess
import sys

import helpers
import pytest
from app import makers

from kernelgan_jax import __main__ as program
from kernelgan_jax.app import commands, run
from kernelgan_jax.app.configuration import UsageError

PHOTO = "--image=photo.png"


@pytest.fixture
def options(monkeypatch):
    """The options of the runs that commands start, in a list."""
    found = []
    monkeypatch.setattr(run, "run", lambda options: found.append(options) or 0)
    return found


@pytest.mark.parametrize("start", [program.command, program.benchmark_command])
@pytest.mark.parametrize(("own", "then"), [("", "1"), ("3", "3")])
def test_numpy_starts_no_threads(monkeypatch, start, own, then):
    monkeypatch.setattr(sys, "argv", ["kernelgan-jax", "--help"])
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if own:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", own)
    monkeypatch.setattr(os, "environ", environment := dict(os.environ))
    with pytest.raises(SystemExit):
        start()
    assert environment["OPENBLAS_NUM_THREADS"] == then


def test_numpy_is_loaded_after_it_was_given_its_threads():
    program_alone = "import kernelgan_jax.__main__"
    assert helpers.imported(program_alone, "numpy", "scipy") == set()


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        ([PHOTO], "deep_wiener"),
        (["upscale", PHOTO], "deep_wiener"),
        (["upscale", PHOTO, "--sr=wiener"], "wiener"),
        (["estimate", PHOTO], "none"),
        (["estimate", PHOTO, "--config=x2_paper"], "none"),
    ],
)
def test_what_is_done(options, arguments, method):
    assert program.main(arguments) == 0
    (found,) = options
    assert (found.images, found.job.config.sr) == (["photo.png"], method)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["estimate", "--sr=wiener", PHOTO], "leave out --sr, or use upscale"),
        (["estimate", "--config.sr=wiener", PHOTO], "leave out --sr, or use upscale"),
        (["upscal", PHOTO], "no command or file upscal; did you mean upscale?"),
        (["estimate"], "no image: "),
    ],
)
def test_mistakes(options, capsys, arguments, message):
    assert program.main(arguments) == 2
    assert message in makers.error_line(capsys)
    assert not options


def test_a_file_of_a_similar_name_is_an_image(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        commands.split(["upscal"])
    (tmp_path / "upscal").touch()
    assert commands.split(["upscal"]) == ("upscale", ["upscal"])


def test_benchmark_and_web_have_help_of_their_own(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["kernelgan-jax"])
    with pytest.raises(SystemExit, match="0"):
        program.main(["benchmark", "--help"])
    text = capsys.readouterr().out
    assert text.startswith("usage: kernelgan-jax benchmark ") and "degrade" in text
    assert program.main(["web", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: kernelgan-jax web ") and "--max_mb" in text
    assert "--image" not in text
    assert program.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(
        f"\n  {name}: {about}\n" in text for name, about in commands.COMMANDS.items()
    )


def test_what_web_cannot_do(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)  # As if it were not installed.
    assert program.main(["web"]) == 2
    line = makers.error_line(capsys)
    assert 'web needs Gradio: pip install "kernelgan-jax[web]" (' in line
    assert "--help" not in line
    assert program.main(["web", "--prot=1"]) == 2
    line = makers.error_line(capsys)
    assert line.endswith("did you mean --port? (web --help shows its flags)")


COMPILING = """
import threading, time
from kernelgan_jax import __main__ as program

threading.Thread(target=time.sleep, args=[3600]).start()  # It cannot be stopped.
program.main = lambda: 130
program.command()
"""


def test_the_end_by_a_signal_does_not_wait_for_threads():
    done = subprocess.run([sys.executable, "-c", COMPILING], timeout=60)
    assert done.returncode == 130
