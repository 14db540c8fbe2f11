"""The training program: photographs, resumed runs, settings."""

import functools
import json
import re
import types
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
import pytest
from PIL import Image

from kernelgan_jax.app import photographs
from kernelgan_jax.app.deep_wiener import train
from kernelgan_jax.app.kernelgan_start import train as start_train
from kernelgan_jax.super_resolution.deep_wiener import optimizer, weights
from kernelgan_jax.super_resolution.deep_wiener.network import DeepWiener

pytestmark = pytest.mark.quick_compilation

TINY = DeepWiener(channels=8, coarse_channels=8, stages=2, blocks=1)

draw = jax.jit(photographs.draw, static_argnames=("size", "count"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(3):
        pixels = photographs.render(rng, 320)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return photographs.find(folder)


def test_patches_are_drawn_where_something_is(tmp_path: Path) -> None:
    pixels = np.full((256, 512, 3), 128, np.uint8)
    pixels[:, 384:] = np.random.default_rng(0).integers(0, 256, (256, 128, 3))
    Image.fromarray(pixels).save(tmp_path / "half.png")
    data = photographs.load(photographs.find(tmp_path), least=128)
    patches = draw(jax.random.key(1), data, size=128, count=40)
    assert patches.shape == (40, 128, 128, 3) and patches.dtype == np.uint8
    assert (np.asarray(patches, float).std((1, 2, 3)) > 10).mean() > 0.6
    with pytest.raises(ValueError, match="at least 600 pixels"):
        photographs.load(photographs.find(tmp_path), least=600)
    with pytest.raises(ValueError, match="photos is .*must hold image files"):
        photographs.find(tmp_path.parent / tmp_path.name / "..")


def test_more_pixels_than_their_places_can_count_are_refused(
    photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert photographs.MAX_PIXELS == np.iinfo(np.int32).max
    options = {"least": 100, "sizes": (1.0, 0.5), "pages": 2}
    count = len(photographs.load(photos, **options).pixels)
    monkeypatch.setattr(photographs, "MAX_PIXELS", count)
    photographs.load(photos, **options)
    monkeypatch.setattr(photographs, "MAX_PIXELS", count - 1)
    with pytest.raises(ValueError, match=f"photos have {count} .* most {count - 1}:"):
        photographs.load(photos, **options)


def test_patches_are_parts_of_photographs(tmp_path: Path) -> None:
    # Each pixel tells where it is.
    rows, columns = np.mgrid[:160, :200]
    pixels = np.stack([rows, columns, 0 * rows], -1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "places.png")
    data = photographs.load(photographs.find(tmp_path), least=100)
    patches = np.asarray(draw(jax.random.key(0), data, size=100, count=40), int)
    of_photo = [patch for patch in patches if not patch[..., 2].any()]
    assert len(of_photo) > 20
    orders = set()
    for patch in of_photo:
        steps = [tuple(patch[place] - patch[0, 0]) for place in ((1, 0), (0, 1))]
        assert sorted(abs(a) + abs(b) for a, b, _ in steps) == [1, 1]
        assert set(np.unique(np.diff(patch, axis=0))) <= {-1, 0, 1}
        assert set(np.unique(np.diff(patch, axis=1))) <= {-1, 0, 1}
        orders.add(tuple(steps))
    assert len(orders) == 8  # turned and mirrored


SETTINGS = train.Settings(
    steps=4, batch=2, save_every=2, chunk=2, held_out=1, shares={2: 1.0}, network=TINY
)


def same(a: optimizer.State, b: optimizer.State) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def compile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings with the same photographs and of one form share their programs."""
    chunk, validation = train._chunk_program, train._validation
    found: dict[Any, Any] = {}

    def measured(data: photographs.Photographs, *form: Any) -> Any:
        if form not in found:
            found[form] = validation(data, *form)
        return found[form]

    monkeypatch.setattr(train, "_chunk_program", functools.cache(chunk))
    monkeypatch.setattr(train, "_validation", measured)


def test_resumed_training_ends_in_the_same_state(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "VALIDATION_PATCHES", 8)
    monkeypatch.setattr(train, "WRAPPING", 1.0)  # one program
    few = functools.partial(photographs.load, pages=4)
    monkeypatch.setattr(photographs, "load", few)
    compile_once(monkeypatch)
    whole = train.train(photos, tmp_path / "whole", settings=SETTINGS)

    def killed(file: Path, state: optimizer.State) -> None:
        save(file, state)
        raise KeyboardInterrupt

    save = train.save
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train, "save", killed)
        train.train(photos, tmp_path / "parts", settings=SETTINGS)
    same(whole, train.train(photos, tmp_path / "parts", settings=SETTINGS))
    assert int(whole.step) == 4
    records = (tmp_path / "whole/log.jsonl").read_text().splitlines()
    assert [json.loads(r)["step"] for r in records] == [2, 4]
    assert "validation_x2" in json.loads(records[1])
    loaded = weights.load(tmp_path / "whole/weights.npz")
    assert loaded.network == TINY and loaded.about["steps"] == 4
    ema = optimizer.merge(whole.ema)
    for x, y in zip(jax.tree.leaves(ema), jax.tree.leaves(loaded.params), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-6)
    # Another run begins with these weights: the first steps hardly change them.
    known = loaded._replace(about={"steps": 4, "scales": [2, 3]})
    begun = train.train(
        photos, tmp_path / "begun", settings=SETTINGS._replace(start=known)
    )
    # Those of another scale come along as they are.
    assert weights.load(tmp_path / "begun/weights.npz").about["scales"] == [2, 3]
    for x, y in zip(
        jax.tree.leaves(optimizer.merge(begun.groups)),
        jax.tree.leaves(loaded.params),
        strict=True,
    ):
        np.testing.assert_allclose(x, y, atol=1e-4)
    # A checkpoint of another network is refused.
    other = SETTINGS._replace(
        network=DeepWiener(channels=4, coarse_channels=8, stages=2, blocks=1)
    )
    with pytest.raises(ValueError, match="checkpoint of"):
        train.train(photos, tmp_path / "whole", settings=other)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"steps": 0}, "steps is 0; it must be at least 1"),
        ({"steps": 5}, "steps is 5; it must be a multiple of chunk, 2"),
        ({"save_every": 3}, "save_every is 3; it must be a multiple of chunk, 2"),
        ({"minutes": -1.0}, "minutes is -1.0; it must be at least 0"),
        ({"batch": 0}, "batch is 0; it must be at least 1"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"learning_rate": 1.0}, "learning_rate is 1.0; .*at most 0.1"),
        ({"decay": 2.0}, "decay is 2.0; it must be from 0 to 1"),
        ({"held_out": 3}, "held_out is 3; it must be from 1 to 2"),
        ({"shares": {5: 1.0}}, "shares is .*5.*scales of 1, 2, 3, 4"),
        ({"shares": {}}, "shares is .*positive"),
        ({"shares": {2: np.inf}}, "shares is .*positive"),
    ],
)
def test_bad_settings(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train.check(SETTINGS._replace(**change), 3)


def test_shares_of_scales(
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = str(photos[0].parent)
    flags = mock.MagicMock(weights=None, photos=folder, scales="2:0.7,4:0.3")
    trained = mock.MagicMock()
    monkeypatch.setattr(train, "FLAGS", flags)
    monkeypatch.setattr(train, "train", trained)
    assert train.main([]) == 0
    assert trained.call_args.kwargs["settings"].shares == {2: 0.7, 4: 0.3}
    for text in ("2:1,2:3", "2", "2:x"):
        flags.scales = text
        assert train.main([]) == 2
        message = f"error: --scales is '{text}'; it must be like .*, each scale once$"
        assert re.match(message, capsys.readouterr().err)
    assert trained.call_count == 1


@pytest.mark.parametrize("program", [train, start_train])
def test_a_wrong_folder_is_one_line(
    program: types.ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    missing = str(tmp_path / "missing")
    flags = mock.MagicMock(weights=None, fast=False, scales="2:1", photos=missing)
    monkeypatch.setattr(program, "FLAGS", flags)
    assert program.main([]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and missing in error and error.count("\n") == 1
