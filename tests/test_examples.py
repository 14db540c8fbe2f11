"""The examples run, reach what they promise, and draw their figures."""

import importlib
import json
import sys

import helpers
import matplotlib
import pytest

from kernelgan_jax.priors.flow import load

EXAMPLES = helpers.ROOT / "examples"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the `main` of an example, and checks its figure."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    matplotlib.use("agg")

    def run(name):
        found = importlib.import_module(name).main(tmp_path)
        figure = (tmp_path / f"{name}.png").read_bytes()
        assert figure.startswith(b"\x89PNG")
        return found

    return run


@pytest.fixture
def steps(run, monkeypatch):
    """Sets the number of an example's steps."""
    return lambda name, count: monkeypatch.setattr(
        importlib.import_module(name), "STEPS", count
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.stem)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) < 80


def test_recover_kernel(run, steps):
    steps("recover_kernel", 2000)
    found = run("recover_kernel")
    for prior in ("deep_linear", "gaussian", "flow"):
        assert found["gaussian", prior] > 60
    # Most parameters, so it needs most steps: above 60 dB after the example's 6000.
    assert found["gaussian", "simplex"] > 55
    assert found["motion", "simplex"] > 45


def test_joint_map(run):
    found = run("joint_map")
    assert found["joint MAP"] > found["bicubic"] + 3
    assert found["kernel"] > 52


def test_train_network(run, steps):
    steps("train_network", 500)
    found = run("train_network")
    assert found["network"] > found["mean"] + 1


def test_train_flow(run, tmp_path, monkeypatch):
    module = importlib.import_module("train_flow")
    sample = module.sample
    monkeypatch.setattr(module, "sample", lambda rng, count: sample(rng, 300))
    model = module.main(tmp_path / "mine.npz", steps=20)
    assert load(tmp_path / "mine.npz").shape == model.shape == (13, 13)
    assert (tmp_path / "mine.png").exists()


def test_the_notebook(monkeypatch):
    path = EXAMPLES / "kernel_of_a_photo.ipynb"
    assert path.stat().st_size < 100_000
    monkeypatch.chdir(EXAMPLES)
    names = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), path.name, "exec"), names)
    assert names["estimate"].trusted
    bicubic, sharp = names["larger"]
    assert bicubic.shape == sharp.shape == (128, 128, 3)
    assert names["h"].shape == (1, 1, *names["estimate"].kernel.shape)
