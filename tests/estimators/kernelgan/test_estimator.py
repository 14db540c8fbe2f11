"""KernelGAN from images to kernels, small: results, restarts, batches, divergence."""

import dataclasses
import os
import threading

import jax
import numpy as np
import pytest
from helpers import TINY_KERNELGAN, noise, run_on_8_devices, texture

from kernelgan_jax import analyse, blur_kernels, kernels
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.estimators.kernelgan import KernelGANConfig, estimator, train
from kernelgan_jax.estimators.kernelgan.crops import Training

pytestmark = pytest.mark.quick_compilation

TINY = KernelGANConfig(**TINY_KERNELGAN)


def unit(pixels):
    return pixels / np.float32(255)


IMAGES = [unit(noise(90, 120, 3, seed=1)), unit(noise(200, 84, 3, seed=2))]
IMAGES.append(unit(noise(84, 85, 1, seed=3)))


def estimate(keys, images, *, scale=4, config=TINY, **options):
    evidence = [None] * len(images)
    return estimator.estimate(
        keys, images, scale=scale, config=config, evidence=evidence, **options
    )


def same_keys(seed, count=3):
    return [jax.random.key(seed)] * count


@pytest.fixture(scope="module")
def alone():
    """Each image by itself, with key 0."""
    train.compiled.cache_clear()  # Other files' programs are compiled otherwise.
    return [estimate(same_keys(0, 1), [image])[0] for image in IMAGES]


def test_what_an_estimate_holds(alone):
    for found in alone:
        assert found.scale == 4 and found.evidence is None
        ((smaller, x2),) = found.intermediate
        assert smaller == 2
        np.testing.assert_array_equal(found.kernel, kernels.kernel_x4(x2))
        np.testing.assert_allclose(x2.sum(), 1)
        aligned = np.array(x2.shape) // 2 + 0.5
        np.testing.assert_allclose(kernels.centre_of_mass(x2), aligned, atol=0.05)
        assert found.diagnostics.raw_kernel.shape == (7, 7)
        for name, values in found.diagnostics.losses.items():
            assert values.shape == (6,) and np.isfinite(values).all(), name
        assert "warm start" in found.failure and not found.trusted
        assert "--" not in found.failure  # a library knows no flags


def test_scale_2_is_the_kernel_that_leads_to_scale_4(alone):
    (x2,) = estimate(same_keys(0, 1), IMAGES[:1], scale=2)
    assert x2.scale == 2 and x2.intermediate == ()
    np.testing.assert_array_equal(x2.kernel, alone[0].intermediate[0][1])


def test_each_image_is_as_alone_bit_for_bit(alone):
    together = estimate(same_keys(0), IMAGES)
    for one, found in zip(alone, together, strict=True):
        np.testing.assert_array_equal(found.kernel, one.kernel)
        assert found.failure == one.failure
        for name, values in one.diagnostics.losses.items():
            np.testing.assert_array_equal(found.diagnostics.losses[name], values)


def test_vectorised_is_the_same_up_to_rounding(alone):
    together = estimate(same_keys(0), IMAGES, vectorised=True)
    for one, found in zip(alone, together, strict=True):
        np.testing.assert_allclose(
            found.diagnostics.raw_kernel, one.diagnostics.raw_kernel, atol=1e-6
        )
        for name, values in one.diagnostics.losses.items():
            np.testing.assert_allclose(
                found.diagnostics.losses[name], values, rtol=1e-3
            )


def test_images_of_all_sizes_share_one_compilation(alone):
    _, steps = train.compiled(TINY, False)
    before = len(steps._compiled)
    estimate(same_keys(0, 1), [unit(texture(84, 97))])
    assert len(steps._compiled) == before == 1


def test_programs_are_loaded_ahead(alone):
    train.compiled.cache_clear()
    estimator.preload(TINY)
    programs = train.compiled(TINY, False)
    assert [len(program._compiled) for program in programs] == [1, 1]
    (again,) = estimate(same_keys(0, 1), IMAGES[:1])
    assert [len(program._compiled) for program in programs] == [1, 1]
    np.testing.assert_array_equal(again.kernel, alone[0].kernel)


def test_other_keys_give_other_kernels(alone):
    (other,) = estimate(same_keys(1, 1), IMAGES[:1])
    assert not np.array_equal(other.kernel, alone[0].kernel)


@pytest.mark.parametrize("vectorised", [False, True])
def test_restarts_are_trainings_of_their_own(vectorised, alone):
    """Progress is that of images."""
    config = dataclasses.replace(TINY, restarts=2)
    key = jax.random.key(0)
    seen = []
    found = estimate(
        [key] * 2,
        IMAGES[:2],
        config=config,
        vectorised=vectorised,
        progress=seen.append,
    )
    for i, image in enumerate(IMAGES[:2]):
        (second,) = estimate([jax.random.fold_in(key, 1001)], [image])
        single = [e.diagnostics.raw_kernel for e in (alone[i], second)]
        assert np.abs(single[0] - single[1]).max() > 1e-3
        raw = found[i].diagnostics.raw_kernel
        assert sum(np.allclose(raw, kernel, atol=1e-6) for kernel in single) == 1
        steps = [done.step for done in seen if done.image == i]
        assert steps == sorted(steps) and steps[-1] == TINY.iterations
    assert {done.image for done in seen} == {0, 1}
    assert {(done.phase, done.total) for done in seen} == {("kernelgan", 6)}


def test_progress_has_the_latest_losses(monkeypatch):
    monkeypatch.setattr(train, "CHUNK", 4)
    seen = []
    (found,) = estimate(same_keys(0, 1), IMAGES[:1], progress=seen.append)
    assert [done.step for done in seen] == [4, 6]
    losses = found.diagnostics.losses
    for done in seen:
        assert done.losses == {n: float(v[done.step - 1]) for n, v in losses.items()}


@pytest.mark.parametrize("vectorised", [False, True])
def test_one_that_diverges_does_not_touch_the_others(monkeypatch, vectorised):
    monkeypatch.setattr(train, "CHUNK", 2)
    whole = estimate(same_keys(0), IMAGES, vectorised=vectorised)
    cut = Training.crops

    def spoiled(training, start, end, config):
        generator, discriminator = cut(training, start, end, config)
        if training.image.shape[0] > 150 and start == 2:
            generator = np.full_like(generator, np.nan)
        return generator, discriminator

    monkeypatch.setattr(Training, "crops", spoiled)
    seen = []
    found = estimate(same_keys(0), IMAGES, vectorised=vectorised, progress=seen.append)
    assert found[1].failure == "training diverged within 4 steps"
    assert all(np.isfinite(one.kernel).all() for one in found)
    sums = found[1].diagnostics.losses["sum_loss"]
    assert sums.shape == (4,) and np.isfinite(sums[:2]).all()
    for i in (0, 2):
        np.testing.assert_array_equal(found[i].kernel, whole[i].kernel)
        assert found[i].failure == whole[i].failure
    steps = sorted((done.image, done.step) for done in seen)
    assert steps == [(0, 2), (0, 4), (0, 6), (1, 2), (2, 2), (2, 4), (2, 6)]


def test_an_exception_of_progress_ends_all(monkeypatch):
    monkeypatch.setattr(train, "CHUNK", 1)

    def progress(done):
        if done.step == 2:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        estimate(same_keys(0, 9), IMAGES * 3, progress=progress)
    assert threading.active_count() == before


def test_kernel_sum_far_from_one_is_a_failure():
    losses = {
        "generator_loss": np.zeros(3000),
        "bicubic_weight": np.full(3000, 5e-6),
    }
    good = blur_kernels.gaussian(13, variances=(2, 2), scale=2)
    assert estimator.finish(KernelGANConfig(), good, losses).failure == ""
    bad = estimator.finish(KernelGANConfig(), 0.05 * good, losses)
    assert "sums to 0.05" in bad.failure
    none = estimator.finish(KernelGANConfig(), -good, losses)
    assert none.failure and np.isfinite(none.kernel).all()


def test_among_restarts_the_most_trusted_is_taken():
    """Among those that did not fail, if there is one."""
    evidence = analyse(texture(120, 150), scale=2)
    wide, near, failed = (
        KernelEstimate(kernels.scale_width(evidence.kernel, factor), 2)
        for factor in (1.5, 1.1, 1.0)
    )
    failed = failed._replace(failure="training diverged")
    for restarts in ([wide, near, failed], [failed, near, wide]):
        assert estimator.most_trusted(restarts, evidence) is near
    assert estimator.most_trusted([failed], evidence) is failed
    # Without evidence the first one that did not fail.
    assert estimator.most_trusted([failed, wide, near], None) is wide


def test_memory_of_a_device_is_counted():
    crops_of_a_chunk = 4 * 3 * TINY.iterations * (64**2 + 29**2)
    one = estimator.device_bytes(TINY)
    assert 2 * crops_of_a_chunk < one < 2**28
    assert estimator.device_bytes(dataclasses.replace(TINY, restarts=3)) == 3 * one


_ON_8_DEVICES = """
import jax, numpy as np, sys
sys.path[:0] = sys.argv[1:3]
from test_estimator import IMAGES, estimate, noise, same_keys, unit
assert len(jax.devices()) == 8
images = IMAGES + [unit(noise(84, 84, 3, seed=s)) for s in range(7)]  # no multiple of 8
found = estimate(same_keys(7, 10), images, vectorised=True)
np.save(sys.argv[3], np.stack([one.diagnostics.raw_kernel for one in found]))
"""


def test_eight_devices_and_an_uneven_batch(tmp_path):
    folder = os.path.dirname(__file__)
    tests = os.path.dirname(os.path.dirname(folder))
    saved = tmp_path / "kernels.npy"
    run_on_8_devices(_ON_8_DEVICES, folder, tests, saved)
    images = IMAGES + [unit(noise(84, 84, 3, seed=s)) for s in range(7)]
    found = estimate(same_keys(7, 10), images)
    expected = np.stack([one.diagnostics.raw_kernel for one in found])
    np.testing.assert_allclose(np.load(saved), expected, atol=1e-6)
