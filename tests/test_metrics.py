"""Metrics against numbers worked out by hand, and against scikit-image."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics

from kernelgan_jax import blur_kernels, kernels, metrics
from kernelgan_jax.degradation import downscale


@pytest.mark.parametrize(
    ("scale", "frame", "grid"), [(2, 25, 11), (3, 33, 15), (4, 41, 21)]
)
def test_kernel_psnr_of_two_impulses(scale, frame, grid):
    """One on the middle, one beside it: the squared error is 2 in all."""
    a, b = np.zeros((11, 11)), np.zeros((13, 13))
    a[5, 5] = b[6, 7] = 1
    expected = 10 * np.log10(frame**2 / 2)
    np.testing.assert_allclose(metrics.kernel_psnr(a, b, scale=scale), expected)
    size = metrics.kernel_grid(scale)
    found = metrics.kernel_psnr(a, b, scale=scale, size=size)
    np.testing.assert_allclose(found, 10 * np.log10(grid**2 / 2))


def test_kernel_psnr_puts_middles_together_and_crops():
    large = np.zeros((31, 31))
    large[15, 15] = 1
    small = np.ones((1, 1))
    assert metrics.kernel_psnr(large, small, scale=2) == float("inf")


def test_frame_cuts_and_pads_around_the_middle():
    kernel = np.arange(1.0, 31 * 8 + 1).reshape(31, 8)
    frame = metrics.pad_to_frame(kernel, scale=2)
    assert frame.shape == (kernels.frame_size(2),) * 2
    np.testing.assert_array_equal(frame[:, 8:16], kernel[3:28])
    assert frame[:, :8].max() == frame[:, 16:].max() == 0


def test_covariance_error():
    a = blur_kernels.gaussian(41, variances=(4.0, 4.0), scale=2)
    b = blur_kernels.gaussian(41, variances=(2.0, 4.0), scale=2)
    expected = 2 / np.hypot(2, 4)
    np.testing.assert_allclose(metrics.covariance_error(a, b), expected, rtol=1e-3)
    assert metrics.covariance_error(b, b) == 0


def pair(channels):
    rng = np.random.default_rng(0)
    truth = rng.random((40, 50, channels))
    return np.clip(truth + 0.1 * rng.standard_normal(truth.shape), 0, 1), truth


def luma(image):
    """Y by MATLAB's table of rgb2ycbcr, in whole gray levels."""
    r, g, b = np.moveaxis(np.rint(255 * np.broadcast_to(image, (40, 50, 3))), -1, 0)
    return np.rint(16 + 0.256788 * r + 0.504129 * g + 0.097906 * b)[2:-2, 2:-2]


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_of_y(channels):
    image, truth = pair(channels)
    a, b = luma(image), luma(truth)
    np.testing.assert_allclose(
        metrics.psnr_y(image, truth, scale=2),
        skimage.metrics.peak_signal_noise_ratio(a, b, data_range=255),
        atol=1e-4,
    )
    np.testing.assert_allclose(metrics.ssim_y(image, truth, scale=2), ssim(a, b))


def ssim(a, b):
    """By hand (Wang et al. 2004, equation 13), where the window lies inside."""

    def mean(x):
        window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
        window /= window.sum()
        for axis in (0, 1):
            x = scipy.ndimage.correlate1d(x, window, axis)
        return x[5:-5, 5:-5]

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (variances + c2)
    return similarity.mean()


@pytest.mark.parametrize("scale", [1, 4])
def test_images_of_the_smallest_size(scale):
    """Of 11 pixels inside of the border SSIM has one window; PSNR takes a pixel."""
    _, truth = pair(3)
    side = 11 + 2 * scale
    assert metrics.ssim_y(truth[:side, :side], truth[:side, :side], scale=scale) == 1
    least = truth[: 2 * scale + 1, : 2 * scale + 1]
    assert metrics.psnr_y(0 * least, least, scale=scale) < 40


def test_psnr_and_ssim_of_equal_and_of_unequal_shapes():
    _, truth = pair(3)
    assert metrics.psnr_y(truth, truth, scale=2) == float("inf")
    assert metrics.ssim_y(truth, truth, scale=2) == pytest.approx(1)
    with pytest.raises(ValueError, match="shapes"):
        metrics.psnr_y(truth[1:], truth, scale=2)


@pytest.mark.parametrize("moved", [(0.0, 0.0), (0.25, 0.0), (-0.1, 0.4)])
def test_a_shift_is_measured(moved):
    """Of a smooth picture sampled anew at a distance."""
    rows, columns = np.indices((80, 90))

    def picture(down, right):
        y, x = rows - down, columns - right
        waves = np.sin(y / 9 + x / 14) + np.cos(x / 11) * np.sin(y / 16)
        return np.stack([waves, 2 * waves], -1)

    found = metrics.shift(picture(*moved), picture(0, 0))
    np.testing.assert_allclose(found, moved, atol=0.02)
    with pytest.raises(ValueError, match="shapes"):
        metrics.shift(picture(0, 0)[:32], picture(0, 0)[:32])


def test_lr_consistency():
    """The true HR image explains its LR image; a brighter one does not."""
    hr = np.random.default_rng(0).integers(50, 200, (40, 48, 1)) / 255
    kernel = blur_kernels.gaussian(7, variances=(1.0, 2.0), scale=2)
    lr = np.rint(255 * downscale(hr, kernel, 2)) / 255
    assert metrics.lr_psnr_y(hr, lr, kernel, scale=2) == float("inf")
    # 10 gray levels are 10 * 219/255 of Y.
    expected = 20 * np.log10(255 / (10 * 219 / 255))
    off = metrics.lr_psnr_y(hr + 10 / 255, lr, kernel, scale=2)
    assert off == pytest.approx(expected, abs=0.3)  # Y is rounded
    with pytest.raises(ValueError, match="shapes"):
        metrics.lr_psnr_y(hr, lr[1:], kernel, scale=2)


ONES, EYE = np.ones((40, 50, 3)), np.eye(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.kernel_psnr(EYE, EYE, scale=0), "scale is 0"),
        (lambda: metrics.kernel_psnr(EYE * np.nan, EYE), "estimate has values"),
        (lambda: metrics.kernel_psnr(EYE, np.ones(3)), r"truth has shape \(3,\)"),
        (lambda: metrics.covariance_error(EYE, EYE + np.inf), "truth has values"),
        (lambda: metrics.pad_to_frame(EYE, scale=2.0), "scale is 2.0"),
        (lambda: metrics.shift(ONES * np.nan, ONES), "image has values"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("measure", [metrics.psnr_y, metrics.ssim_y])
@pytest.mark.parametrize(
    ("image", "truth", "scale", "message"),
    [
        (ONES.astype(np.uint8), ONES, 2, "image holds uint8; .* floating point"),
        (ONES, 255 * ONES, 2, "truth has values from 255 to 255"),
        (ONES * np.nan, ONES, 2, "image has values from nan"),
        (ONES[..., 0], ONES[..., 0], 2, "image has 2 axes"),
        (ONES, ONES, 0, "scale is 0"),
        (ONES, ONES, 1.5, "scale is 1.5"),
        (ONES, ONES, 100, "40 x 50: 0 pixels are left without 100"),
        (ONES, ONES, 20, "40 x 50: 0 pixels are left without 20"),
    ],
)
def test_images_that_cannot_be_measured(measure, image, truth, scale, message):
    with pytest.raises(ValueError, match=message):
        measure(image, truth, scale=scale)


def test_ssim_needs_a_window():
    with pytest.raises(ValueError, match="10 pixels are left .* 11 are needed"):
        metrics.ssim_y(ONES[:14], ONES[:14], scale=2)
    with pytest.raises(ValueError, match="image has values from 255"):
        metrics.lr_psnr_y(255 * ONES, ONES[::2, ::2], EYE / 3, scale=2)
