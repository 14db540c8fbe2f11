"""Completion in shells: bash runs its script, the others' name all flags."""

import shutil
import subprocess

import pytest

from kernelgan_jax.app import cli, completion
from kernelgan_jax.app.flags import FLAGS


def completed(words, folder):
    """What bash offers for the last word."""
    path = folder / "script"
    path.write_text(completion.script("bash"))
    program = (
        f". {path}; compopt() {{ :; }}; COMP_WORDS=(kernelgan-jax {words}); "
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _kernelgan_jax; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--sca", ["--scale="]),
        ("--nofi", ["--nofigures"]),
        ("--sr = zs", ["zssr", "zssr_fast"]),
        ("--device =", ["cpu", "gpu", "tpu"]),
        ("--config = x4", ["x4", "x4_paper"]),
        ("--export = op", ["opencv"]),
        ("--config.zssr.cr", ["--config.zssr.crop="]),
        ("photo", []),
        ("est", ["estimate"]),
        ("estimate --nofi", ["--nofigures"]),
        ("photo.png est", []),
        ("web --po", ["--port="]),
        ("web --o", ["--open"]),
        ("benchmark deg", ["degrade"]),
        ("benchmark --sr", []),
    ],
)
def test_bash(tmp_path, words, expected):
    assert completed(words, tmp_path) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_all_flags_are_there(capsys, shell):
    assert cli.main([f"--completion={shell}"]) == 0
    text = capsys.readouterr().out
    start = {"zsh": "--{}", "fish": "-l {} "}[shell]
    assert all(start.format(name) in text for name in FLAGS)
    assert "kernelgan-jax" in text.splitlines()[0]
    assert all(line.count("'") % 2 == 0 for line in text.splitlines())


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_their_scripts(tmp_path, shell):
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    path = tmp_path / "script"
    path.write_text(completion.script(shell))
    subprocess.run([shell, "-n", path], check=True)


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("est", ["estimate"]),
        ("estimate --nofi", ["--nofigures"]),
        ("web --po", ["--port"]),
        ("benchmark e", ["evaluate"]),
        ("--device=", ["--device=cpu", "--device=gpu", "--device=tpu"]),
    ],
)
def test_fish(tmp_path, words, expected):
    path = tmp_path / "script"
    path.write_text(completion.script("fish"))
    program = f"source {path}; complete -C 'kernelgan-jax {words}'"
    done = subprocess.run(
        ["fish", "-c", program], capture_output=True, text=True, check=True
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == expected
