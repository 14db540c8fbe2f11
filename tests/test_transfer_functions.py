"""Transfer functions: they are what correlation does to frequencies, in both forms."""

import numpy as np
import pytest

from kernelgan_jax import kernels, transfer_functions
from kernelgan_jax.degradation import downscale

KERNEL = np.random.default_rng(0).random((5, 6)).astype(np.float32)
IMAGE = np.random.default_rng(1).random((12, 14)).astype(np.float32)


def test_correlation_multiplies_frequencies_by_them():
    found = np.fft.fft2(downscale(IMAGE, KERNEL, 1, boundary="wrap"))
    transfer = np.asarray(transfer_functions.on_grid(KERNEL, IMAGE.shape))
    np.testing.assert_allclose(found, np.fft.fft2(IMAGE) * transfer, rtol=1e-4)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_both_differ_by_the_place_from_which_phases_are_counted(scale):
    waves = [np.fft.fftfreq(side) for side in IMAGE.shape]
    found = transfer_functions.at(KERNEL, *waves, scale=scale)
    middle = np.array(KERNEL.shape) // 2
    down, right = kernels.alignment(KERNEL.shape, scale) - middle
    turned = np.exp(2j * np.pi * (down * waves[0][:, None] + right * waves[1]))
    expected = np.asarray(transfer_functions.on_grid(KERNEL, IMAGE.shape))
    np.testing.assert_allclose(found * turned, expected, atol=1e-5)
