"""Kernels that are made: shapes, moments, alignment, bounds."""

import math
import tracemalloc
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import blur_kernels, kernels

random_gaussian = partial(
    blur_kernels.random_gaussian, np.random.default_rng(0), 5, scale=2
)


def test_the_bicubic_kernel_of_scale_1_changes_nothing():
    kernel = blur_kernels.bicubic(1)
    assert kernel.shape == (3, 3) and kernel[1, 1] == 1 and kernel.sum() == 1


@pytest.mark.parametrize(("scale", "side"), [(2, 8), (3, 11), (4, 16)])
def test_the_bicubic_kernel_is_symmetric(scale, side):
    kernel = blur_kernels.bicubic(scale)
    assert kernel.shape == (side, side)
    np.testing.assert_allclose(kernel.sum(), 1)
    np.testing.assert_allclose(kernel, kernel[::-1])
    np.testing.assert_allclose(kernel, kernel.T)


@pytest.mark.parametrize("kind", [np.float32, jnp.float32])
def test_kernels_of_variances_of_any_type_are_float64(kind):
    pair = kind(2.0), kind(1.0)
    found = blur_kernels.gaussian(9, variances=pair, scale=2)
    expected = blur_kernels.gaussian(9, variances=(2.0, 1.0), scale=2)
    np.testing.assert_array_equal(found, expected, strict=True)


def test_gaussian_and_its_measures():
    angle = math.radians(30)
    kernel = blur_kernels.gaussian(41, variances=(9.0, 2.25), angle=angle, scale=2)
    np.testing.assert_allclose(kernel.sum(), 1)
    np.testing.assert_allclose(kernels.centre_of_mass(kernel), [20.5, 20.5], atol=1e-6)
    np.testing.assert_allclose(kernels.widths(kernel), (3.0, 1.5, 30.0), rtol=1e-5)
    # Counter-clockwise as seen: an axis at 30 degrees rises to the right.
    row, column = np.unravel_index(kernel[:18].argmax(), (18, 41))
    assert row < 20 and column > 20


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("variance", [1e-3, 1e-4, 1e-300])
def test_a_gaussian_of_no_width_is_the_nearest_pixels(scale, variance):
    """At even scales it was 0 everywhere."""
    kernel = blur_kernels.gaussian(
        5, variances=(variance, variance), angle=0.3, scale=scale
    )
    expected = np.zeros((5, 5))
    expected[2 : 2 + scale, 2 : 2 + scale] = 1 / scale**2
    np.testing.assert_allclose(kernel, expected, atol=1e-12)


def test_random_gaussian_rebuilds_the_kernels_of_the_examples():
    folder = Path(__file__).parents[1] / "examples/images"
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


def test_noise_of_random_gaussians_is_multiplicative():
    clean, noisy = (
        blur_kernels.random_gaussian(np.random.default_rng(3), 11, scale=2, noise=noise)
        for noise in (0.0, 0.25)
    )
    ratio = (noisy / clean) / np.median(noisy / clean)
    assert 1.4 < ratio.max() / ratio.min() < 1.25 / 0.75 + 1e-6


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_disks_and_motions(scale):
    """Second moments: r^2/4 of a disk; L^2/12 along a line, s^2/12 of an LR pixel."""
    disk = blur_kernels.disk(6 * scale + 1, radius=1.5 * scale, scale=scale)
    np.testing.assert_allclose(
        kernels.covariance(disk),
        (1.5 * scale) ** 2 / 4 * np.eye(2),
        rtol=0.1,
        atol=0.02,
    )
    length, angle = 3.0 * scale, math.radians(30)
    line = blur_kernels.motion(6 * scale + 1, length=length, angle=angle, scale=scale)
    longer, shorter, found = kernels.widths(line)
    assert abs(found - 30) < 1
    np.testing.assert_allclose(longer**2, (length**2 + scale**2) / 12, rtol=0.1)
    np.testing.assert_allclose(shorter**2, scale**2 / 12, rtol=0.35)
    for kernel in (disk, line):
        assert kernel[0].max() == kernel[:, 0].max() == 0  # Nothing is cut off.
        assert kernel[-1].max() == kernel[:, -1].max() == 0
        np.testing.assert_allclose(
            kernels.centre_of_mass(kernel),
            kernels.alignment(kernel.shape, scale),
            atol=0.01,
        )


def test_a_path_is_where_the_picture_was():
    points = np.array([[-2.0, -2.0], [2.0, 2.0], [2.0, 2.0], [2.0, 2.0]])
    found = blur_kernels.path(11, points=points, scale=1)
    expected = np.zeros((11, 11))
    expected[3, 3], expected[7, 7] = 0.25, 0.75
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_path_is_the_time_that_points_spend_under_the_moving_pixel():
    points, scale, fine = np.array([[-1.3, 0.2], [0.0, 0.4], [1.1, -2.0]]), 3, 8
    place = np.indices((72, 72)) / fine + 0.5 / fine - 0.5 - 5.0  # of 9 x 9 pixels
    away = np.abs(place[:, None] - points.T[..., None, None])
    time = (away <= scale / 2).all(0).sum(0)
    expected = time.reshape(9, fine, 9, fine).sum((1, 3))
    found = blur_kernels.path(9, points=points, scale=scale)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-12)


def test_a_path_needs_no_fine_picture_in_memory():
    tracemalloc.start()
    blur_kernels.path(256, points=np.zeros((3, 2)), scale=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 256**2 * 8  # twenty kernels


def test_still_motion_is_an_lr_pixel():
    still = blur_kernels.motion(5, length=0.0, scale=2)
    expected = np.zeros((5, 5))
    expected[2:4, 2:4] = 1 / 4
    np.testing.assert_allclose(still, expected, atol=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: blur_kernels.bicubic(0), "scale is 0"),
        (lambda: blur_kernels.gaussian(0, variances=(1, 1), scale=2), "size is 0"),
        (lambda: blur_kernels.gaussian(5, variances=(1, 0), scale=2), "variances are"),
        (
            lambda: blur_kernels.gaussian(5, variances=(math.nan, 1), scale=2),
            "variances are",
        ),
        (lambda: random_gaussian(variances=(2.0, 1.0)), "variances are"),
        (lambda: random_gaussian(noise=1.5), "noise is 1.5"),
        (lambda: blur_kernels.disk(0, radius=1.0, scale=2), "size is 0"),
        (lambda: blur_kernels.disk(5, radius=0.0, scale=2), "radius is 0"),
        (lambda: blur_kernels.motion(5, length=-1.0, scale=2), "length is -1"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
