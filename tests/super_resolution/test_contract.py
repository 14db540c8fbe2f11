"""What every super-resolution method promises; each entry of the registry is tested."""

import dataclasses
import functools

import helpers
import jax
import numpy as np
import pytest
import scipy.ndimage

from kernelgan_jax import kernels
from kernelgan_jax.degradation import downscale
from kernelgan_jax.super_resolution import (
    METHODS,
    ZSSRConfig,
    plan,
    super_resolve,
    super_resolve_planned,
)

pytestmark = pytest.mark.quick_compilation

KEY = jax.random.key(0)
SCALES = (1, 2, 3, 4)
LR_SHAPE = (72, 60)  # multiples of all scales, one for all tests: fewer programs
TINY = {ZSSRConfig: ZSSRConfig(**helpers.TINY_ZSSR | {"layers": 2})}
"""Fast settings by class; the defaults of other classes are taken."""
WITH_KERNEL = [name for name, method in METHODS.items() if method.uses_kernel]


def config_of(method, scale=2):
    config = METHODS[method].config
    if method == "usrnet":
        return config(weights=str(helpers.usrnet_file()))
    if method == "onnx":
        return config(weights=str(helpers.onnx_file(scale)))
    if method in ("edsr", "rcan"):
        return config(weights=str(helpers.residual_file(method, scale)))
    if method == "rdn":
        return config(weights=str(helpers.rdn_file(scale)))
    if method == "srmd":
        weights, pca = helpers.srmd_files(scale)
        return config(weights=str(weights), pca=str(pca))
    return None if config is None else TINY.get(config, config())


@functools.cache
def pair(scale, size=9):
    """HR image, kernel, LR image."""
    height, width = LR_SHAPE
    hr = helpers.smooth(scale * height, scale * width)
    hr = scipy.ndimage.gaussian_filter(hr, (2, 2, 0))
    kernel = kernels.centre(helpers.gaussian(scale, size=size), scale)
    return hr, kernel, np.clip(downscale(hr, kernel, scale), 0, 1)


def enlarge(method, image, scale, *, key=KEY, size=9):
    kernel = pair(scale, size)[1]
    return super_resolve(
        key, image, kernel, scale=scale, method=method, config=config_of(method, scale)
    )


@functools.cache
def result(method, scale, size=9):
    return enlarge(method, pair(scale, size)[2], scale, size=size)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", SCALES)
def test_shape_type_and_range(method, scale):
    hr, sr = pair(scale)[0], result(method, scale)
    assert type(sr) is np.ndarray and sr.shape == hr.shape and sr.dtype == np.float32
    assert 0 <= sr.min() and sr.max() <= 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [9, 10])
def test_the_result_lies_on_the_hr_image(method, scale, size):
    """The shift between them, by the linearised image, is under 0.1 HR pixels."""
    hr, sr = pair(scale, size)[0], result(method, scale, size)
    edge = 8 if scale == 1 else 16
    inside = (slice(edge, -edge),) * 2
    a, b = (scipy.ndimage.gaussian_filter(x.mean(-1), 2)[inside] for x in (sr, hr))
    gradients = np.stack([g.ravel() for g in np.gradient(a)])
    shift = np.linalg.solve(gradients @ gradients.T, gradients @ (a - b).ravel())
    assert np.abs(shift).max() < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_the_same_key_gives_the_same_bits(method):
    """Any key does, where the method says that it uses none."""
    key = KEY if METHODS[method].seeded else jax.random.key(1)
    again = enlarge(method, pair(2)[2], 2, key=key)
    np.testing.assert_array_equal(again, result(method, 2))


@pytest.mark.parametrize("method", WITH_KERNEL)
def test_the_kernel_matters(method):
    """A method that says that it uses the kernel does; others take None for it."""
    image = pair(2)[2]
    config = config_of(method)
    narrow = helpers.gaussian(2, size=13, variances=(0.5, 0.5))
    other = super_resolve(KEY, image, narrow, scale=2, method=method, config=config)
    assert np.abs(other - result(method, 2)).max() > 1e-3


@pytest.mark.parametrize(
    "method", [name for name in METHODS if name not in WITH_KERNEL]
)
def test_methods_without_a_kernel_need_none(method):
    image = pair(2)[2]
    config = config_of(method)
    without = super_resolve(KEY, image, None, scale=2, method=method, config=config)
    np.testing.assert_array_equal(without, result(method, 2))


@pytest.mark.parametrize("method", METHODS)
def test_alone_and_in_a_batch_the_bits_are_the_same(method):
    """Images of different sizes, in one call."""
    first, second = pair(2)[2], pair(3)[2][:48, :36]
    plans = [
        plan(
            pair(scale)[1], scale=scale, method=method, config=config_of(method, scale)
        )
        for scale in (2, 3)
    ]
    keys = jax.random.split(KEY, 2)
    together = super_resolve_planned(keys, [first, second], plans)
    alone = [
        enlarge(method, image, scale, key=key)
        for image, scale, key in zip((first, second), (2, 3), keys, strict=True)
    ]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_image_stays_constant(method):
    """Networks learn it, but not in the few steps that do for the other tests."""
    image = np.full((*LR_SHAPE, 3), 0.4, np.float32)
    config = config_of(method)
    if isinstance(config, ZSSRConfig):
        config = dataclasses.replace(config, iterations=200)
    kernel = pair(2)[1]
    sr = super_resolve(KEY, image, kernel, scale=2, method=method, config=config)
    np.testing.assert_allclose(sr, 0.4, atol=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_gray_in_gray_out(method):
    """With and without the axis of channels, in 8 bits or not: the same bits."""
    gray = np.rint(255 * pair(2)[2][..., 0]).astype(np.uint8)
    sr = enlarge(method, gray, 2)
    assert sr.shape == (2 * LR_SHAPE[0], 2 * LR_SHAPE[1], 1)
    unit = gray[..., None] / np.float64(255)
    np.testing.assert_array_equal(enlarge(method, unit, 2), sr)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((64, 64), np.nan), "image has values from nan"),
        (np.full((64, 64), 2.0), "image has values from 2 to 2; scale them to"),
        (np.zeros((64, 64, 5)), r"image has shape \(64, 64, 5\)"),
        (np.zeros((0, 64)), "which holds no pixels"),
    ],
)
def test_images_that_are_refused(method, image, message):
    with pytest.raises(ValueError, match=message):
        enlarge(method, image, 2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [0, -1, 2.5, "2"])
def test_scales_that_are_refused(method, scale):
    image, kernel = pair(2)[2], pair(2)[1]
    with pytest.raises(ValueError, match=f"scale is {scale!r}; it must be a positive"):
        super_resolve(KEY, image, kernel, scale=scale, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_images_that_are_too_small_are_refused(method):
    if METHODS[method].least_side == 0:
        assert enlarge(method, np.zeros((1, 1), np.uint8), 2).shape == (2, 2, 1)
        return
    least = 2 * METHODS[method].least_side
    message = f"image is 100x{least - 1} pixels; the method {method} needs at least"
    with pytest.raises(ValueError, match=f"{message} {least} at each side"):
        enlarge(method, np.zeros((least - 1, 100), np.uint8), 2)


BAD_KERNELS = {
    "empty": (np.ones((0, 3)), "not empty"),
    "flat": (np.ones(9), "height x width"),
    "nan": (np.full((3, 3), np.nan), "not finite"),
    "zero": (np.zeros((3, 3)), "sums to 0"),
    "negative": (-np.ones((3, 3)), "must be positive"),
    "large": (np.ones((73, 3)), "larger than the image"),
    "x4": (helpers.gaussian(4, size=13), "aligned for scale 4, not 2"),
    "text": (np.array([["a"]]), "not real numbers"),
    "none": (None, "estimate is None"),
}


@pytest.mark.parametrize("method", WITH_KERNEL)
@pytest.mark.parametrize("name", BAD_KERNELS)
def test_kernels_that_are_refused(method, name):
    kernel, message = BAD_KERNELS[name]
    with pytest.raises(ValueError, match=message):
        super_resolve(KEY, pair(2)[2], kernel, scale=2, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_settings_of_another_class_are_refused(method):
    with pytest.raises(ValueError, match=f"config is 3; it must be .* method {method}"):
        super_resolve(KEY, pair(2)[2], pair(2)[1], scale=2, method=method, config=3)
