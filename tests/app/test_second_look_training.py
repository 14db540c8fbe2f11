"""The training program of the second look: examples, resumed runs, bad settings."""

import json
from pathlib import Path

import helpers
import numpy as np
import pytest

from kernelgan_jax.app.second_look import examples, train
from kernelgan_jax.app.second_look.examples import Example
from kernelgan_jax.estimators.spectral import kernel_scores

INPUTS = 6


def made(seed: tuple[int, ...], photos: list[Path]) -> Example | None:
    """Examples in which the last kernel is better if the first input is positive."""
    rng = np.random.default_rng(seed)
    photo, count = int(rng.integers(10)), int(rng.integers(3, 5))
    if seed[1] == 3:
        return None
    inputs = rng.normal(size=(count, INPUTS)).astype(np.float32)
    inputs[:, 0] = rng.choice([-1.0, 1.0])
    inputs[:, 1] = np.arange(count) == count - 1
    gains = np.where(inputs[:, 1] > 0, 6 * inputs[:, 0], 0.0)
    parts = np.stack([inputs] * int(rng.choice([1, 2, 4])))
    return Example(photo, 2, parts, gains.astype(np.float32))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    path = tmp_path / "photos/a.png"
    path.parent.mkdir()
    helpers.write_image(path, helpers.noise(300, 600, 3))
    return [path]


def test_the_network_learns_when_another_kernel_is_better(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "draw", made)
    monkeypatch.setattr(train, "NETWORKS", 2)
    settings = train.Settings(examples=60)
    network = train.train(photos, tmp_path / "run", settings=settings)
    for sign in (-1, 1):
        inputs = np.zeros((1, 3, INPUTS), np.float32)
        inputs[..., 0], inputs[:, 2, 1] = sign, 1
        scores = network.scores(inputs)
        assert (scores[2] - scores[0] > 2) == (sign > 0)
        assert scores[2] - scores[0] == pytest.approx(6 * sign, abs=2)
    log = json.loads((tmp_path / "run/log.json").read_text())
    assert log["all"]["examples"] == 59
    assert log["x2"]["chosen"] > 0.8 * log["x2"]["best"] > 0

    def refuse(*_: object) -> None:
        raise AssertionError("all examples were kept")

    monkeypatch.setattr(examples, "draw", refuse)
    again = train.train(photos, tmp_path / "run", settings=settings)
    np.testing.assert_array_equal(again.hidden, network.hidden)
    with np.load(tmp_path / "run/second_look.npz") as file:
        assert sorted(file.files) == sorted(kernel_scores.Network._fields)


def test_an_example_repeats(photos: list[Path], monkeypatch) -> None:
    monkeypatch.setattr(examples, "SHARES", (0.0, 1.0, 0.0, 0.0))
    monkeypatch.setattr(examples, "SHRINKS", (1, 1))
    monkeypatch.setattr(examples, "LEAST", 192)
    monkeypatch.setattr(examples, "SIDE", 192)
    first, second = (examples.draw((0, 1), photos) for _ in range(2))
    assert first is not None and second is not None
    inputs = len(kernel_scores.network().mean)
    assert first.inputs.shape == (1, len(first.gains), inputs)
    np.testing.assert_array_equal(first.inputs, second.inputs)
    np.testing.assert_array_equal(first.gains, second.gains)
    monkeypatch.setattr(examples, "LEAST", 1000)
    assert examples.draw((0, 1), photos) is None


def test_examples_of_other_photographs_are_not_mixed(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their numbers would be others, and cross-validation no longer one."""
    monkeypatch.setattr(examples, "draw", lambda *_: None)
    settings = train.Settings(examples=2)
    with pytest.raises(ValueError, match="photos are too small"):
        train.train(photos, tmp_path, settings=settings)
    more = [photos[0].with_name("0.png"), *photos]
    for others, seed in ((photos, 1), (more, 0)):
        with pytest.raises(ValueError, match="other photographs or another seed"):
            train.train(others, tmp_path, settings=settings._replace(seed=seed))


@pytest.mark.parametrize("kept", [b"", b"PK\3\4 cut", b"text"])
def test_a_damaged_example_is_named(
    kept: bytes, photos: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "examples/000000.npz"
    file.parent.mkdir()
    file.write_bytes(kept)
    with pytest.raises(ValueError, match=r"000000\.npz: is damaged; remove it"):
        train.train(photos, tmp_path, settings=train.Settings(examples=1))


def test_wrong_settings_are_refused(photos: list[Path], tmp_path: Path) -> None:
    for values in ({"examples": 0}, {"seed": -1}):
        (name,) = values
        with pytest.raises(ValueError, match=f"{name} is"):
            train.train(photos, tmp_path, settings=train.Settings(**values))


def test_photographs_of_no_use_are_named(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "draw", lambda *_: None)
    with pytest.raises(ValueError, match="photos are too small or flat"):
        train.train(photos, tmp_path, settings=train.Settings(examples=2))
