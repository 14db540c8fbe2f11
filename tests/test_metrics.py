"""Metrics against numbers worked out by hand."""

import numpy as np
import pytest

from kernelgan_jax import kernels, metrics


@pytest.mark.parametrize(("scale", "frame"), [(2, 25), (4, 41)])
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
    a = kernels.gaussian(41, variances=(4.0, 4.0), scale=2)
    b = kernels.gaussian(41, variances=(2.0, 4.0), scale=2)
    expected = 2 / np.hypot(2, 4)
    np.testing.assert_allclose(metrics.covariance_error(a, b), expected, rtol=1e-3)
    assert metrics.covariance_error(b, b) == 0


def test_unknown_scale():
    with pytest.raises(ValueError, match="scale is 3"):
        metrics.kernel_psnr(np.ones((3, 3)), np.ones((3, 3)), scale=3)
