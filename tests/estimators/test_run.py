"""Many images at once: the same results, whatever is beside them and wherever."""

import dataclasses
import os
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest

from kernelgan_jax import Config, estimate_kernel, estimate_kernels
from kernelgan_jax.estimators import run
from kernelgan_jax.estimators.kernelgan.train import Prepared, device_bytes
from kernelgan_jax.estimators.run import prepare

TINY = Config(
    iterations=6,
    scale=4,
    generator_kernels=(5, 3),
    generator_channels=4,
    discriminator_channels=4,
    discriminator_blocks=1,
)


def noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


IMAGES = [noise(90, 120, 1), noise(200, 84, 2), noise(84, 85, 3)[..., :1]]


@pytest.mark.parametrize("one_key", [True, False])
def test_each_image_is_as_alone_bit_for_bit(one_key):
    keys = jax.random.split(jax.random.key(7), 3)
    found = estimate_kernels(keys[0] if one_key else keys, IMAGES, config=TINY)
    assert found.kernel.shape[0] == found.kernel_x4.shape[0] == 3
    assert found.converged.tolist() == [False] * 3
    for i, image in enumerate(IMAGES):
        alone = estimate_kernel(keys[0 if one_key else i], image, config=TINY)
        for stacked, kernel in (
            (found.kernel[i], alone.kernel),
            (found.kernel_x4[i], alone.kernel_x4),
        ):
            pad = (len(stacked) - len(kernel)) // 2
            np.testing.assert_array_equal(stacked, np.pad(kernel, pad))
        np.testing.assert_array_equal(found.raw_kernel[i], alone.raw_kernel)
        assert found.reason[i] == alone.reason
        for name, values in alone.history.items():
            np.testing.assert_array_equal(found.history[name][i], values)


def test_vectorised_is_the_same_up_to_rounding():
    together = estimate_kernels(jax.random.key(0), IMAGES, config=TINY, vectorised=True)
    apart = estimate_kernels(jax.random.key(0), IMAGES, config=TINY)
    np.testing.assert_allclose(together.raw_kernel, apart.raw_kernel, atol=1e-6)
    for name, values in apart.history.items():
        np.testing.assert_allclose(together.history[name], values, rtol=1e-3)


@pytest.mark.parametrize("vectorised", [False, True])
def test_restarts_are_trainings_of_their_own(vectorised):
    """Progress is told of images."""
    config = dataclasses.replace(TINY, restarts=2)
    key = jax.random.key(3)
    told = []
    found = estimate_kernels(
        key,
        IMAGES[:2],
        config=config,
        vectorised=vectorised,
        progress=lambda image, step, _: told.append((image, step)),
    )
    for i, image in enumerate(IMAGES[:2]):
        single = [
            estimate_kernel(k, image, config=TINY).raw_kernel
            for k in (key, jax.random.fold_in(key, 1001))
        ]
        assert np.abs(single[0] - single[1]).max() > 1e-3
        near = [np.allclose(found.raw_kernel[i], k, atol=1e-6) for k in single]
        assert sum(near) == 1
        steps = [step for row, step in told if row == i]
        assert steps == sorted(steps) and steps[-1] == TINY.iterations
    assert {row for row, _ in told} == {0, 1}


def test_the_first_training_is_that_of_no_restarts():
    key, config = jax.random.key(3), dataclasses.replace(TINY, restarts=3)
    alone = prepare(key, IMAGES[0], TINY)
    first = prepare(key, IMAGES[0], config)
    assert alone.restarts == () and len(first.restarts) == 2
    everything = [alone, first, *first.restarts]
    keys = [
        tuple(
            np.concatenate([jax.random.key_data(k) for k in (p.init_key, p.train_key)])
        )
        for p in everything
    ]
    assert keys[0] == keys[1] and len(set(keys)) == 3
    for a, b in zip(alone.corners, first.corners, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.corners[0], first.restarts[0].corners[0])


def test_restarts_of_one_image_differ():
    keys = jax.random.split(jax.random.key(0), 2)
    found = estimate_kernels(keys, [IMAGES[0]] * 2, config=TINY)
    assert not np.array_equal(found.raw_kernel[0], found.raw_kernel[1])


def test_legacy_keys():
    new = estimate_kernels(jax.random.key(3), IMAGES[:2], config=TINY)
    old = estimate_kernels(jax.random.PRNGKey(3), IMAGES[:2], config=TINY)
    np.testing.assert_array_equal(new.kernel, old.kernel)


@pytest.mark.parametrize("vectorised", [False, True])
def test_one_that_diverges_does_not_touch_the_others(monkeypatch, vectorised):
    monkeypatch.setattr(run, "CHUNK", 2)
    settings = dict(config=TINY, vectorised=vectorised)
    whole = estimate_kernels(jax.random.key(0), IMAGES, **settings)
    cut = Prepared.crops

    def spoiled(prepared, start, config):
        generator, discriminator = cut(prepared, start, config)
        if prepared.image.shape[0] > 150 and start == 2:
            generator = np.full_like(generator, np.nan)
        return generator, discriminator

    monkeypatch.setattr(Prepared, "crops", spoiled)
    steps = []
    found = estimate_kernels(
        jax.random.key(0),
        IMAGES,
        progress=lambda image, step, losses: steps.append((image, step)),
        **settings,
    )
    assert found.reason[1] == "training diverged within 4 steps"
    assert np.isfinite(found.kernel).all()
    assert np.isfinite(found.history["sum_loss"][1][:2]).all()
    assert np.isnan(found.history["sum_loss"][1][4:]).all()
    for i in (0, 2):
        np.testing.assert_array_equal(found.kernel[i], whole.kernel[i])
        assert found.reason[i] == whole.reason[i]
    assert sorted(steps) == [(0, 2), (0, 4), (0, 6), (1, 2), (2, 2), (2, 4), (2, 6)]


def test_refusals_name_the_image():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"images\[1\]: image is 83x90"):
        estimate_kernels(key, [IMAGES[0], noise(90, 83)], config=TINY)
    with pytest.raises(ValueError, match="images is empty"):
        estimate_kernels(key, [], config=TINY)
    with pytest.raises(ValueError, match="2 keys for 3 images"):
        estimate_kernels(jax.random.split(key, 2), IMAGES, config=TINY)


def test_what_progress_raises_ends_all(monkeypatch):
    monkeypatch.setattr(run, "CHUNK", 1)

    def progress(image, step, losses):
        if step == 2:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        estimate_kernels(jax.random.key(0), IMAGES * 9, config=TINY, progress=progress)
    assert threading.active_count() == before


def test_memory_of_a_device_is_counted():
    crops_of_a_chunk = 4 * 3 * TINY.iterations * (64**2 + 26**2)
    assert 2 * crops_of_a_chunk < device_bytes(TINY) < 2**28


_ON_8_DEVICES = """
import jax, numpy as np, sys
sys.path.insert(0, sys.argv[1])
from test_estimate_kernels import IMAGES, TINY, noise
from kernelgan_jax import estimate_kernels
assert len(jax.devices()) == 8
images = IMAGES + [noise(84, 84, seed) for seed in range(7)]  # 10: not a multiple
found = estimate_kernels(jax.random.key(7), images, config=TINY, vectorised=True)
np.save(sys.argv[2], found.raw_kernel)
"""


def test_eight_devices_and_an_uneven_batch(tmp_path):
    flags = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
    }
    folder = os.path.dirname(__file__)
    subprocess.run(
        [sys.executable, "-c", _ON_8_DEVICES, folder, tmp_path / "k.npy"],
        env=environment,
        check=True,
    )
    images = IMAGES + [noise(84, 84, seed) for seed in range(7)]
    expected = estimate_kernels(jax.random.key(7), images, config=TINY).raw_kernel
    np.testing.assert_allclose(np.load(tmp_path / "k.npy"), expected, atol=1e-6)
