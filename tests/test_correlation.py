"""Correlation at every s-th pixel."""

import numpy as np
import pytest
import scipy.ndimage

from kernelgan_jax.correlation import correlate
from kernelgan_jax.degradation import downscale


@pytest.mark.parametrize(("ours", "theirs"), [("symmetric", "reflect"), ("wrap",) * 2])
@pytest.mark.parametrize("sides", [(5, 4), (1, 3), (29, 30)])
@pytest.mark.parametrize("scale", [1, 2, 5])
def test_it_is_every_nth_pixel_of_scipys_bit_for_bit(
    ours, theirs, sides, scale, monkeypatch
):
    monkeypatch.setattr("kernelgan_jax.correlation._BLOCK", 50)  # several blocks
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(17, 12, 3)), rng.normal(size=sides)
    expected = scipy.ndimage.correlate(image, kernel[..., None], mode=theirs)
    found = correlate(image, kernel, scale=scale, mode=ours)
    np.testing.assert_array_equal(found, expected[::scale, ::scale])
    gray = correlate(image[..., 0], kernel, scale=scale, mode=ours)
    np.testing.assert_array_equal(gray, found[..., 0])
    assert found.flags.c_contiguous


def test_an_infinite_pixel_stays_where_the_kernel_puts_it():
    image = np.zeros((4, 4))
    image[0, 0] = np.inf
    found = correlate(image, np.diag([0.0, 1.0, 0.0]), scale=1, mode="wrap")
    np.testing.assert_array_equal(found, image)


def test_wide_kernels_need_little_memory():
    """SciPy asks for 8 bytes for each pair of a kernel's values: here 32 GB."""
    kernel = np.full((251, 251), 1 / 251**2)
    image = np.full((251, 251), 0.25)
    np.testing.assert_allclose(downscale(image, kernel, 256), 0.25, rtol=1e-9)


def test_downscale_is_linear_in_tiny_kernels():
    """SciPy takes weights below 2.2e-16 for 0."""
    found = downscale(np.ones((4, 4)), np.full((2, 2), 1e-17), 2)
    np.testing.assert_allclose(found, 4e-17)
