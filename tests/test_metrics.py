"""Metrics against numbers worked out by hand, and against scikit-image."""

import numpy as np
import pytest
import skimage.metrics

from kernelgan_jax.degradation import downscale
from kernelgan_jax import blur_kernels
from kernelgan_jax import metrics


@pytest.mark.parametrize(("scale", "frame"), [(2, 25), (3, 33), (4, 41)])
def test_kernel_psnr_of_two_impulses(scale, frame):
    """One on the middle, one beside it: the squared error is 2 in all."""
    a, b = np.zeros((11, 11)), np.zeros((13, 13))
    a[5, 5] = b[6, 7] = 1
    expected = 10 * np.log10(frame**2 / 2)
    np.testing.assert_allclose(metrics.kernel_psnr(a, b, scale=scale), expected)


def test_kernel_psnr_puts_middles_together_and_crops():
    large = np.zeros((31, 31))
    large[15, 15] = 1
    small = np.ones((1, 1))
    assert metrics.kernel_psnr(large, small) == float("inf")


def test_covariance_error():
    a = blur_kernels.gaussian(41, variances=(4.0, 4.0), scale=2)
    b = blur_kernels.gaussian(41, variances=(2.0, 4.0), scale=2)
    expected = 2 / np.hypot(2, 4)
    np.testing.assert_allclose(metrics.covariance_error(a, b), expected, rtol=1e-3)
    assert metrics.covariance_error(b, b) == 0


def test_unknown_scale():
    with pytest.raises(ValueError, match="scale is 0"):
        metrics.kernel_psnr(np.ones((3, 3)), np.ones((3, 3)), scale=0)


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
    expected = skimage.metrics.structural_similarity(
        a, b, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    np.testing.assert_allclose(
        metrics.ssim_y(image, truth, scale=2), expected, atol=1e-4
    )


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
