"""Kernels that do not depend on the image."""

import jax
import numpy as np
import pytest
from helpers import gaussian, noise

from kernelgan_jax import blur_kernels, estimate_kernel, kernels
from kernelgan_jax.estimators import ConstantConfig, GivenConfig

IMAGE = noise(56, 64, 3)


def estimate(name, **options):
    return estimate_kernel(jax.random.key(0), IMAGE, estimator=name, **options)


def test_a_given_kernel_is_used_as_it_is():
    kernel = gaussian(3, size=11)
    config = GivenConfig(kernel=2 * kernel, source="my.npy")
    found = estimate("given", scale=3, config=config)
    np.testing.assert_allclose(found.kernel, kernel, rtol=1e-12)
    assert found.trusted and found.confidence is None
    assert hash(config) == hash(GivenConfig(kernel=2 * kernel, source="my.npy"))


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (np.zeros((3, 3)), "sums to 0"),
        (np.full((3, 3), np.nan), "not finite"),
        (np.ones((99, 99)), "larger than the image"),
        (gaussian(4), "aligned for scale 4, not 2"),
        (np.zeros((0, 0)), "must be height x width"),
    ],
)
def test_an_unusable_given_kernel_is_refused(kernel, message):
    with pytest.raises(ValueError, match=message):
        estimate("given", config=GivenConfig(kernel=kernel))


def test_a_given_kernel_that_is_missing_is_asked_for():
    with pytest.raises(ValueError, match="^config.kernel is missing; .* GivenConfig"):
        estimate("given")


def test_the_bicubic_kernel_is_aligned():
    found = estimate("bicubic", scale=3)
    expected = kernels.centre(blur_kernels.bicubic(3), 3)
    np.testing.assert_array_equal(found.kernel, expected)
    assert found.trusted


@pytest.mark.parametrize(("scale", "variance"), [(2, 2.8), (3, 2.8 * 8 / 3), (4, 14.0)])
def test_the_constant_gaussian_grows_with_the_scale(scale, variance):
    found = estimate("constant", scale=scale)
    np.testing.assert_allclose(
        np.diag(kernels.covariance(found.kernel)), variance, rtol=0.02
    )
    assert not found.trusted
    assert [s for s, _ in found.intermediate] == ([2] if scale == 4 else [])


@pytest.mark.parametrize(("name", "side"), [("constant", 49), ("bicubic", 22)])
def test_an_image_smaller_than_the_kernel_is_refused(name, side):
    """In words that hold for kernels that nobody can crop."""
    message = f"^kernel is {side}x{side}, larger than the image, 20x20; use a larger im"
    with pytest.raises(ValueError, match=message):
        estimate_kernel(jax.random.key(0), noise(20, 20), scale=4, estimator=name)


def test_the_variance_of_the_constant_gaussian_is_a_setting():
    found = estimate("constant", config=ConstantConfig(variance=1.0))
    np.testing.assert_allclose(np.diag(kernels.covariance(found.kernel)), 1, rtol=0.02)
    for bad in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="config.constant.variance is "):
            ConstantConfig(variance=bad)
