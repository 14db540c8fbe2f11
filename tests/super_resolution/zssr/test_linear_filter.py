"""The linear enlargement, and the fit of its filter."""

import helpers
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import blur_kernels
from kernelgan_jax.degradation import downscale
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution.zssr import linear_filter
from kernelgan_jax.super_resolution.zssr.linear_filter import (
    fit_linear,
    linear_enlargement,
)
from kernelgan_jax.super_resolution.zssr.pairs import blur

ROUNDING = 0.5 / 255


def blurred(image, kernel):
    return blur(np.random.default_rng(0), image, kernel, 0.0)


@pytest.fixture(scope="module")
def example():
    """HR image, LR image, and the filter fitted to the LR image."""
    hr, kernel = helpers.smooth(192, 192), helpers.gaussian(2)
    lr = np.clip(downscale(hr, kernel, 2), 0, 1)
    return hr, lr, fit_linear([(lr, blurred(lr, kernel))], 2, ROUNDING)


def test_the_linear_filter_alone_beats_bicubic_by_far(example):
    hr, lr, linear = example
    assert linear.shape == (11, 11, 1, 4) and linear.dtype == np.float32
    errors = [
        np.mean((linear_enlargement(lr, f, 2) - hr)[8:-8, 8:-8] ** 2)
        for f in (None, linear)
    ]
    assert errors[1] < 0.5 * errors[0]


def test_in_jax_it_is_the_same(example):
    _, lr, linear = example
    expected = linear_enlargement(lr, linear, 2)
    found = linear_enlargement(jnp.asarray(lr), linear, 2)
    assert type(expected) is np.ndarray
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_without_a_filter_it_is_bicubic():
    image = helpers.smooth(20, 16)
    np.testing.assert_array_equal(
        linear_enlargement(image, None, 3), bicubic_resize(image, 3)
    )


def test_the_ridge_is_strong_where_patches_are_few(monkeypatch):
    """Otherwise what is there by chance is learned, and does harm elsewhere."""
    kernel = blur_kernels.gaussian(33, variances=(10.0, 10.0), scale=4)

    def pair(side, seed, kernel):
        image = helpers.smooth(side, side, 1, seed=seed)
        return image, blurred(image, kernel)

    def filters(pair, scale):
        found = fit_linear([pair], scale, ROUNDING)
        with monkeypatch.context() as patch:
            patch.setattr(linear_filter, "RIDGE_FACTORS", (1.0,))
            return found, fit_linear([pair], scale, ROUNDING)

    target, all_inputs = pair(80, 1, kernel)
    lr = all_inputs[::4, ::4]
    chosen, least = (
        np.square(linear_enlargement(lr, linear, 4) - target).mean()
        for linear in filters(pair(64, 0, kernel), 4)
    )
    assert chosen < 0.7 * least
    # Where they are many the filter is that of the weakest ridge.
    np.testing.assert_array_equal(*filters(pair(192, 0, helpers.gaussian(2)), 2))
