"""The training program of KernelGAN's start: tasks, resumed runs, settings."""

import dataclasses
import json
from pathlib import Path

import helpers
import jax
import numpy as np
import pytest
from PIL import Image

from kernelgan_jax import kernels
from kernelgan_jax.app import photographs
from kernelgan_jax.app.kernelgan_start import tasks, train
from kernelgan_jax.estimators.kernelgan import META, generator_prior, start

pytestmark = pytest.mark.quick_compilation

TINY = dataclasses.replace(
    META,
    start="random",
    **helpers.TINY_KERNELGAN | {"iterations": 4, "generator_crop": 32},
)
SETTINGS = train.Settings(
    steps=3,
    tasks=1,
    held_out=1,
    validation_tasks=1,
    save_every=2,
    decay=0.0,
    kernelgan=TINY,
)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setattr(tasks, "SIDE", 192)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        pixels = rng.integers(0, 256, (192, 256, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return photographs.find(tmp_path)


def test_a_resumed_run_ends_in_the_same_state(
    photos: list[Path], tmp_path: Path
) -> None:
    whole = train.train(photos, tmp_path / "run", settings=SETTINGS)
    lines = (tmp_path / "run/log.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["step"] for record in records] == [2, 3]
    assert len(records[1]["validation_kernel_psnr"]) == 2
    saved = start.load(tmp_path / "run/start.npz")
    for x, y in zip(
        jax.tree.leaves(saved), jax.tree.leaves(whole.average), strict=True
    ):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-6)
    # The generator begins as a Gaussian, and three small steps leave it there.
    kernel = generator_prior(TINY).kernel(whole.average.generator)
    assert abs(float(kernel.sum()) - 1) < 0.1
    train.train(photos, tmp_path / "parts", settings=SETTINGS._replace(steps=2))
    parts = train.train(photos, tmp_path / "parts", settings=SETTINGS)
    for x, y in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(x, y)


def test_tasks_have_aligned_kernels_and_depend_on_the_seed(photos: list[Path]) -> None:
    data = photographs.load(photos, least=192, pages=0)
    drawn = tasks.draw((0, 1), data, count=2, config=META)
    assert drawn.crops.generator.shape == (2, 200, 1, 64, 64, 3)
    for kernel in np.asarray(drawn.kernels):
        assert kernel.shape == (13, 13) and abs(kernel.sum() - 1) < 1e-5
        np.testing.assert_allclose(kernels.centre_of_mass(kernel), 6.5, atol=0.05)
    again = tasks.draw((0, 1), data, count=1, config=META)
    np.testing.assert_array_equal(again.kernels[0], drawn.kernels[0])
    assert not np.array_equal(drawn.kernels[0], drawn.kernels[1])


def test_flat_photographs_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (512, 512), "gray").save(tmp_path / "flat.png")
    with pytest.raises(ValueError, match="photos are flat; they must show something"):
        photographs.load(photographs.find(tmp_path), least=512, pages=0)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"steps": 0}, "steps is 0; it must be at least 1"),
        ({"tasks": 0}, "tasks is 0; it must be at least 1"),
        ({"save_every": 0}, "save_every is 0; it must be at least 1"),
        ({"decay": 2.0}, "decay is 2.0; it must be from 0 to 1"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"held_out": 3}, "held_out is 3; it must be from 1 to 2"),
    ],
)
def test_bad_settings(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train.check(SETTINGS._replace(**change), 3)
