"""Kernels as arrays: against the reference, scipy and known answers."""

import math
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from kernelgan_jax import blur_kernels
from kernelgan_jax import kernels

random_gaussian = partial(blur_kernels.random_gaussian, np.random.default_rng(0), 5, scale=2)


def test_post_processing_equals_the_reference(golden):
    golden = golden("postprocess")
    kept = kernels.remove_floor(golden["raw"], 0.75)
    np.testing.assert_allclose(kept, golden["filtered"], rtol=0, atol=1e-12)
    centred = kernels.centre(kept, 2)
    np.testing.assert_allclose(centred, golden["centred"], rtol=0, atol=1e-7)


def test_without_a_floor_only_negative_values_go():
    kernel = np.array([[0.5, -0.25], [1.0, 0.5]])
    expected = np.array([[0.25, 0.0], [0.5, 0.25]])
    np.testing.assert_allclose(kernels.remove_floor(kernel, count=1), expected)


def test_x4_kernel_equals_the_reference(golden):
    golden = golden("postprocess")
    ours = kernels.kernel_x4(golden["centred"].astype(np.float64))
    np.testing.assert_allclose(ours, golden["x4"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_collapse_is_a_chain_of_full_convolutions(wrap):
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = [(3, 4, 1, 2), (2, 5, 2, 3), (4, 1, 3, 1)]
    filters = [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]
    ours = wrap(kernels.collapse)(filters)
    a, b, c = (np.asarray(f, np.float64) for f in filters)
    conv = scipy.signal.convolve2d
    expected = sum(
        conv(conv(a[:, :, 0, i], b[:, :, i, j]), c[:, :, j, 0])
        for i in range(2)
        for j in range(3)
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_collapse_under_vmap_equals_a_loop():
    shapes = [(3, 3, 1, 2), (5, 5, 2, 1)]
    filters = [jax.random.normal(jax.random.key(0), (4, *s)) for s in shapes]
    many = jax.vmap(kernels.collapse)(filters)
    for i in range(4):
        one = kernels.collapse([f[i] for f in filters])
        np.testing.assert_allclose(many[i], one, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(13, 13), (12, 13), (8, 8)])
def test_centre_moves_the_centre_of_mass_to_the_alignment(scale, shape):
    kernel = np.zeros(shape)
    kernel[4:7, 3:6] = [[1, 2, 1], [2, 5, 3], [1, 2, 1]]
    centred = kernels.centre(kernels.normalise(kernel), scale)
    expected = np.array(centred.shape) // 2 + (scale - 1) / 2
    np.testing.assert_allclose(kernels.centre_of_mass(centred), expected, atol=0.02)
    np.testing.assert_allclose(centred.sum(), 1, atol=1e-3)


def test_x4_kernel_is_two_x2_downscalings():
    k2 = blur_kernels.gaussian(21, variances=(2.0, 0.8), angle=0.5, scale=2)
    k4 = kernels.kernel_x4(k2)
    np.testing.assert_allclose(k4.sum(), 1)
    aligned = np.array(k4.shape) // 2 + 1.5
    np.testing.assert_allclose(kernels.centre_of_mass(k4), aligned, atol=1e-3)
    # Downscaling twice adds the covariances, in pixels of the first image.
    twice = kernels.covariance(k2) * (1 + 4)
    np.testing.assert_allclose(kernels.covariance(k4), twice, rtol=1e-3, atol=1e-3)


def test_gaussian_and_its_measures():
    angle = math.radians(30)
    kernel = blur_kernels.gaussian(41, variances=(9.0, 2.25), angle=angle, scale=2)
    np.testing.assert_allclose(kernel.sum(), 1)
    np.testing.assert_allclose(kernels.centre_of_mass(kernel), [20.5, 20.5], atol=1e-6)
    np.testing.assert_allclose(kernels.widths(kernel), (3.0, 1.5, 30.0), rtol=1e-5)
    # Counter-clockwise as seen: an axis at 30 degrees rises to the right.
    row, column = np.unravel_index(kernel[:18].argmax(), (18, 41))
    assert row < 20 and column > 20


def test_random_gaussian_rebuilds_the_kernels_of_the_examples():
    folder = Path(__file__).parent.parent / "examples" / "images"
    for seed, name in enumerate(("chelsea", "coffee", "camera")):
        ours = blur_kernels.random_gaussian(np.random.default_rng(seed), 11, scale=2)
        np.testing.assert_array_equal(ours, np.load(folder / f"{name}_kernel_x2.npy"))


def test_random_gaussian_keeps_to_its_bounds():
    rng = np.random.default_rng(0)
    for _ in range(50):
        kernel = blur_kernels.random_gaussian(
            rng, 25, scale=3, variances=(1.0, 4.0), noise=0.0
        )
        longer, shorter, _ = kernels.widths(kernel)
        assert 0.99 < shorter <= longer < 2.01
        np.testing.assert_allclose(kernels.centre_of_mass(kernel), 13, atol=1e-3)


def test_centre_of_mass_in_jax():
    kernel = jnp.zeros((5, 7)).at[1, 4].set(2.0).at[3, 4].set(2.0)
    np.testing.assert_allclose(jax.jit(kernels.centre_of_mass)(kernel), [2, 4])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.remove_floor(np.ones((3, 3)), -1), "fraction is -1"),
        (lambda: kernels.remove_floor(np.ones((3, 3)), 1, 0), "count is 0"),
        (lambda: kernels.remove_floor(np.ones((3, 3)), 1, 9), "count is 9"),
        (lambda: kernels.remove_floor(np.zeros((13, 13))), "sum is 0"),
        (lambda: kernels.normalise(np.full((3, 3), np.nan)), "sum is nan"),
        (lambda: blur_kernels.gaussian(0, variances=(1, 1)), "size is 0"),
        (lambda: blur_kernels.gaussian(5, variances=(1, 0)), "variances are"),
        (lambda: blur_kernels.gaussian(5, variances=(math.nan, 1)), "variances are"),
        (lambda: random_gaussian(variances=(2.0, 1.0)), "variances are"),
        (lambda: random_gaussian(noise=1.5), "noise is 1.5"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_stretch_changes_the_width_and_keeps_the_place(factor):
    kernel = blur_kernels.gaussian(21, variances=(6.0, 3.0), angle=0.4, scale=2)
    found = kernels.scale_width(kernel, factor)
    np.testing.assert_allclose(found.sum(), 1)
    pad = (len(found) - len(kernel)) / 2
    np.testing.assert_allclose(
        kernels.centre_of_mass(found) - pad, kernels.centre_of_mass(kernel), atol=0.02
    )
    longer, shorter, angle = kernels.widths(found)
    expected = kernels.widths(kernel)
    np.testing.assert_allclose(longer, factor * expected[0], rtol=0.04)
    np.testing.assert_allclose(shorter, factor * expected[1], rtol=0.06)
    np.testing.assert_allclose(angle, expected[2], atol=1)
    if factor == 1:
        np.testing.assert_allclose(found, kernel, atol=1e-12)


def test_margins_that_hold_nothing_are_taken_off():
    """As many at either side: the kernel stays where it is."""
    true = blur_kernels.gaussian(33, variances=(2.0, 0.5), angle=0.3, scale=4)
    found = kernels.trim(true)
    assert max(found.shape) < 20
    np.testing.assert_allclose(
        kernels.centre_of_mass(found), kernels.alignment(found.shape, 4), atol=1e-2
    )
    middle = [n // 2 for n in found.shape]
    assert found[tuple(middle)] == pytest.approx(true[16, 16], rel=1e-3)
    np.testing.assert_array_equal(kernels.trim(np.ones((1, 1))), [[1]])


def test_the_bicubic_kernel_of_scale_1_changes_nothing():
    kernel = blur_kernels.bicubic(1)
    assert kernel.shape == (3, 3) and kernel[1, 1] == 1 and kernel.sum() == 1
    assert blur_kernels.bicubic(3).shape == (11, 11) and blur_kernels.bicubic(2).shape == (8, 8)
