"""ZSSR as a method: quality, tiles, noise, widths, steps, compiled programs."""

import dataclasses

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import ZSSRConfig, super_resolve
from kernelgan_jax.super_resolution.planning import WIDTHS
from kernelgan_jax.super_resolution.zssr import method as zssr_method

KEY = jax.random.key(0)
K2 = helpers.gaussian(2)
TINY = ZSSRConfig(**helpers.TINY_ZSSR | {"layers": 2})


def enlarge(image, kernel=K2, *, key=KEY, config=TINY, **options):
    options = {"method": "zssr_fast"} | options
    return super_resolve(key, image, kernel, scale=2, config=config, **options)


@pytest.fixture(scope="module")
def example():
    """HR and LR image."""
    hr = scipy.ndimage.gaussian_filter(helpers.smooth(192, 192), (1, 1, 0))
    return hr, np.clip(downscale(hr, K2, 2), 0, 1)


def error(sr, hr):
    return np.mean((sr - hr) ** 2)


def test_a_known_kernel_beats_the_bicubic_one(example):
    hr = helpers.smooth(192, 192)
    lr = np.clip(downscale(hr, K2, 2), 0, 1)
    config = dataclasses.replace(TINY, iterations=100)
    right, wrong = (
        error(enlarge(lr, kernel, config=config), hr)
        for kernel in (K2, blur_kernels.bicubic(2))
    )
    assert right < 0.8 * wrong


@pytest.mark.parametrize("method", ["zssr", "zssr_fast"])
def test_tiles_leave_no_seam(method):
    image = helpers.smooth(125, 101)
    results = [
        enlarge(image, method=method, config=dataclasses.replace(TINY, tile=tile))
        for tile in (32, 512)  # 32 is enlarged to four margins, about 84
    ]
    np.testing.assert_allclose(*results, atol=1e-5)


def test_another_key_gives_other_bits(example):
    lr = example[1]
    a, b = (enlarge(lr, key=jax.random.key(seed)) for seed in (0, 1))
    assert np.any(a != b)
    np.testing.assert_allclose(a, b, atol=0.1)


def test_noise_is_not_amplified(example):
    """Unless training is adapted to it, the result is worse than bicubic."""
    hr = example[0]
    noise = np.random.default_rng(0).normal(0, 8 / 255, (96, 96, 1))
    lr = np.clip(downscale(hr, K2, 2) + noise, 0, 1)
    blind, adapted = (
        error(enlarge(lr, KernelEstimate(K2, 2, noise_std=std, trusted=True)), hr)
        for std in (0.0, 8 / 255)
    )
    assert adapted < error(bicubic_resize(lr, 2), hr) < blind


def test_a_kernel_that_is_too_wide_does_less_harm_if_it_is_not_trusted(example):
    hr, lr = example
    wide = kernels.scale_width(helpers.gaussian(2, size=17), 1.5)
    trusted, uncertain = (
        error(enlarge(lr, KernelEstimate(wide, 2, trusted=trust)), hr)
        for trust in (True, False)
    )
    assert len(WIDTHS) == 3 and uncertain < 0.5 * trusted


def test_few_pixels_get_few_steps():
    steps = {
        side: zssr_method.fast_settings(ZSSRConfig(), side**2 // 4).iterations
        for side in (64, 96, 160, 1000)
    }
    assert steps == {64: 60, 96: 60, 160: 250, 1000: 1000}
    assert zssr_method.fast_settings(TINY, 10**6).iterations == 20
    seen = []
    config = dataclasses.replace(TINY, iterations=0)
    enlarge(helpers.smooth(64, 56), config=config, progress=seen.append)
    assert (seen[-1].step, seen[-1].total) == (60, 60)


def test_images_of_similar_size_and_of_any_noise_share_the_training_program(
    monkeypatch,
):
    counts = {"made": 0, "traced": 0}
    zero_shot = zssr_method.zero_shot

    def counting(*arguments, **options):
        counts["made"] += 1
        algorithm = zero_shot(*arguments, **options)

        def step(*arguments):
            counts["traced"] += 1
            return algorithm.step(*arguments)

        return algorithm._replace(step=step)

    zssr_method.compiled.cache_clear()
    monkeypatch.setattr(zssr_method, "zero_shot", counting)
    traced = set()
    for shape, std in (((64, 56), 0.0), ((60, 50), 0.02), ((90, 64), 0.03)):
        estimate = KernelEstimate(K2, 2, trusted=True, noise_std=std)
        enlarge(helpers.smooth(*shape), estimate)
        traced.add(counts["traced"])
    assert counts["made"] == 1
    assert len(traced) == 1 and traced != {0}
    zssr_method.compiled.cache_clear()


def test_training_that_diverges_is_an_error(monkeypatch):
    def compiled(network, training):
        init = zssr_method.zero_shot(network, training).init

        def train(key, state, pairs, until):
            return state._replace(step=jnp.int32(20), loss=jnp.float32(np.nan))

        return init, train

    monkeypatch.setattr(zssr_method, "compiled", compiled)
    with pytest.raises(ValueError, match=r"diverged; learning_rate is 0\.001"):
        enlarge(helpers.smooth(64, 56))
