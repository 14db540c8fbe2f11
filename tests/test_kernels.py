"""Kernels as arrays: against the reference, composition, and known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.degradation import downscale


def test_post_processing_equals_the_reference(golden):
    golden = golden("postprocess")
    kept = kernels.remove_floor(golden["raw"], fraction=0.75)
    np.testing.assert_allclose(kept, golden["filtered"], rtol=0, atol=1e-12)
    centred = kernels.centre(kept, 2)
    np.testing.assert_allclose(centred, golden["centred"], rtol=0, atol=1e-7)


def test_without_a_floor_only_negative_values_go():
    kernel = np.array([[0.5, -0.25], [1.0, 0.5]])
    expected = np.array([[0.25, 0.0], [0.5, 0.25]])
    np.testing.assert_allclose(kernels.remove_floor(kernel, count=1), expected)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(13, 13), (12, 13), (8, 8)])
def test_centre_moves_the_centre_of_mass_to_the_alignment(scale, shape):
    kernel = np.zeros(shape)
    kernel[4:7, 3:6] = [[1, 2, 1], [2, 5, 3], [1, 2, 1]]
    centred = kernels.centre(kernels.normalise(kernel), scale)
    expected = np.array(centred.shape) // 2 + (scale - 1) / 2
    np.testing.assert_allclose(kernels.centre_of_mass(centred), expected, atol=0.02)
    np.testing.assert_allclose(centred.sum(), 1, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
def test_half_precision_is_normalised_in_float32(dtype):
    found = kernels.normalise(np.full((40, 41), 100, dtype))  # float16 has no sum
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1 / 1640, rtol=1e-5)


def test_long_floating_point_becomes_float64():
    """SciPy's shifts and NumPy's eigenvalues do not know it."""
    kernel = np.ones((3, 5), np.longdouble) / 15
    assert kernels.centre(kernel, 2).dtype == np.float64
    assert kernels.scale_width(kernel, 1.5).dtype == np.float64
    assert kernels.widths(kernel).longer > kernels.widths(kernel).shorter


def test_kernels_whose_values_cancel_or_that_would_be_huge_are_refused():
    with pytest.raises(ValueError, match="kernel sums to 1e-06, nearly 0"):
        kernels.centre(np.array([[1, -0.999999], [0, 0]]), 2)
    with pytest.raises(ValueError, match="factor is 1000000.0; .* at most 100"):
        kernels.scale_width(np.eye(3), 1e6)


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_scale_width_changes_the_width_and_keeps_the_place(factor):
    kernel = blur_kernels.gaussian(21, variances=(6.0, 3.0), angle=0.4, scale=2)
    found = kernels.scale_width(kernel, factor)
    np.testing.assert_allclose(found.sum(), 1)
    pad = (len(found) - len(kernel)) / 2
    np.testing.assert_allclose(
        kernels.centre_of_mass(found) - pad, kernels.centre_of_mass(kernel), atol=0.02
    )
    longer, shorter, angle = kernels.widths(found)
    expected = kernels.widths(kernel)
    np.testing.assert_allclose(longer, factor * expected.longer, rtol=0.04)
    np.testing.assert_allclose(shorter, factor * expected.shorter, rtol=0.06)
    np.testing.assert_allclose(angle, expected.angle, atol=1)
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


def test_stacked_kernels_stay_aligned():
    made = [
        blur_kernels.gaussian(n, variances=(1.0, 1.0), scale=3) for n in (25, 21, 29)
    ]
    stacked = kernels.stack(made)
    assert stacked.shape == (3, 29, 29)
    for kernel, found in zip(made, stacked, strict=True):
        pad = (29 - len(kernel)) // 2
        np.testing.assert_array_equal(found, np.pad(kernel, pad))
        np.testing.assert_allclose(kernels.centre_of_mass(found), 15, atol=1e-3)


# --- Composing ---


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_compose_is_a_convolution_with_the_spread_kernel(scale):
    rng = np.random.default_rng(0)
    first, second = rng.random((5, 4)), rng.random((3, 6))
    spread = np.zeros((2 * scale + 1, 5 * scale + 1))
    spread[::scale, ::scale] = second
    found = kernels.compose(first, second, scale=scale)
    np.testing.assert_allclose(found, scipy.signal.convolve2d(first, spread))


def test_composed_kernels_are_two_downscalings():
    """By 2 and then by 3 is by 6, away from the borders."""
    first, second = (
        blur_kernels.gaussian(9, variances=(2.0, 1.0), angle=0.5, scale=s)
        for s in (2, 3)
    )
    image = np.random.default_rng(0).random((120, 120))
    twice = downscale(downscale(image, first, 2), second, 3)
    once = downscale(image, kernels.compose(first, second, scale=2), 6)
    np.testing.assert_allclose(once[4:-4, 4:-4], twice[4:-4, 4:-4])


def test_x4_kernel_equals_the_reference(golden):
    golden = golden("postprocess")
    ours = kernels.kernel_x4(golden["centred"].astype(np.float64))
    np.testing.assert_allclose(ours, golden["x4"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("size", [20, 21])
def test_x4_kernel_is_two_x2_downscalings(size):
    k2 = blur_kernels.gaussian(size, variances=(2.0, 0.8), angle=0.5, scale=2)
    k4 = kernels.kernel_x4(k2)
    np.testing.assert_allclose(k4.sum(), 1)
    aligned = np.array(k4.shape) // 2 + 1.5
    np.testing.assert_allclose(kernels.centre_of_mass(k4), aligned, atol=1e-3)
    # Downscaling twice adds the covariances, in pixels of the first image.
    twice = kernels.covariance(k2) * kernels.variance_growth(4)
    np.testing.assert_allclose(kernels.covariance(k4), twice, rtol=2e-3, atol=1e-3)
    image = np.random.default_rng(0).random((160, 160))
    both = downscale(downscale(image, k2, 2), k2, 2)[10:-10, 10:-10]
    np.testing.assert_allclose(downscale(image, k4, 4)[10:-10, 10:-10], both, atol=1e-4)


# --- Measuring ---


@pytest.mark.parametrize("shape", [(5, 7), (8, 8)])
def test_centre_of_mass_in_numpy_and_in_jax(shape):
    kernel = np.zeros(shape)
    kernel[1, 4] = kernel[3, 4] = 2.0
    found = kernels.centre_of_mass(kernel)
    assert isinstance(found, np.ndarray) and found.tolist() == [2, 4]
    traced = jax.jit(kernels.centre_of_mass)(jnp.asarray(kernel, jnp.float32))
    assert isinstance(traced, jax.Array) and traced.tolist() == [2, 4]
    assert kernels.centre_of_mass(0 * kernel).tolist() == [0, 0]


def test_widths_are_named():
    kernel = np.zeros((5, 5))
    kernel[2, 0] = kernel[2, 4] = kernel[1, 2] = kernel[3, 2] = 0.25
    found = kernels.widths(kernel)
    assert found == (found.longer, found.shorter, found.angle)
    np.testing.assert_allclose(found[:2], [2**0.5, 0.5**0.5])
    assert abs(found.angle) < 1e-6
    # Negative values: a variance below 0 counts as 0.
    assert kernels.widths(np.array([[-0.5, 2.0, -0.5]])).longer == 0


def test_frame_and_variance_grow_with_the_scale():
    assert [kernels.frame_size(s) for s in (1, 2, 3, 4, 8)] == [17, 25, 33, 41, 73]
    for scale in (1, 2, 4):  # Another downscaling by 2, on pixels of this scale.
        twice = kernels.variance_growth(scale) + scale**2
        assert kernels.variance_growth(2 * scale) == twice


# --- Refusals ---


@pytest.mark.parametrize(
    ("kernel", "options", "message"),
    [
        (np.ones(3), {}, r"shape \(3,\)"),
        (np.ones((0, 0)), {}, "not empty"),
        (np.eye(3, dtype=complex), {}, "complex128"),
        (np.full((3, 3), np.nan), {}, "not finite"),
        (np.full((3, 3), 1e308), {}, r"up to 1e\+308; they must be at most 1e\+30"),
        (np.zeros((3, 3)), {}, "sums to 0"),
        (-np.eye(3), {}, "sums to -3"),
        (np.eye(5), {"image_shape": (4, 9)}, "5x5, larger than the image, 9x4"),
        (
            blur_kernels.gaussian(13, variances=(2, 1), scale=4),
            {},
            "aligned for scale 4, not 2 .* use scale 4, or the kernel of scale 2",
        ),
        (
            blur_kernels.gaussian(41, variances=(2, 1), scale=8),
            {},
            "aligned for scale 8, not 2",
        ),
    ],
)
def test_kernels_that_cannot_be_used(kernel, options, message):
    with pytest.raises(ValueError, match=message):
        kernels.check(kernel, scale=2, **options)


def test_kernels_that_can_be_used():
    """Aligned ones, and those that are symmetric about their own middle."""
    for scale in range(1, kernels.MAX_SCALE + 1):
        aligned = blur_kernels.gaussian(25, variances=(4, 2), scale=scale)
        kernels.check(aligned, scale=scale, image_shape=(25, 25))
        kernels.check(blur_kernels.bicubic(scale), scale=scale)
        kernels.check(np.ones((5, 5), np.uint8), scale=scale)
        kernels.check(1e29 * aligned, scale=scale)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.remove_floor(np.ones((3, 3)), fraction=-1), "fraction is -1"),
        (lambda: kernels.remove_floor(np.ones((3, 3)), count=0), "count is 0"),
        (lambda: kernels.remove_floor(np.ones((3, 3)), count=9), "count is 9"),
        (lambda: kernels.remove_floor(np.zeros((13, 13))), "sum is 0"),
        (lambda: kernels.normalise(np.full((3, 3), np.nan)), "sum is nan"),
        (lambda: kernels.scale_width(np.eye(3), 0.0), "factor is 0.0"),
        (lambda: kernels.scale_width(np.eye(3), -1.0), "factor is -1.0"),
        (lambda: kernels.scale_width(np.eye(3), np.nan), "factor is nan"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
