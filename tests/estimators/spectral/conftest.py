"""Programs and analysed images that several tests of the spectral estimator share."""

import functools

import helpers
import jax
import numpy as np
import pytest

from kernelgan_jax import blur_kernels
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral.estimator import estimate_spectral
from kernelgan_jax.estimators.spectral.fit import fit
from kernelgan_jax.pixels import from_unit

PHOTO_KERNEL = blur_kernels.gaussian(11, variances=(3.6, 1.2), angle=0.6, scale=2)


@pytest.fixture(scope="session")
def vector():
    """Unknowns of a kernel and a usual spectrum, 11 numbers."""
    return np.array(
        [1.6, -0.4, 1.2, 0.2, 5.0, 2.1, 0.1, -0.2, 0.15, -0.05, -1.0], np.float32
    )


@pytest.fixture(scope="session")
def fit_two():
    """`fit` at scale 2 for two periodograms and one family, compiled once."""
    return jax.jit(jax.vmap(functools.partial(fit, scale=2), in_axes=(0, None)))


@pytest.fixture(scope="session")
def photo_lr():
    """The photograph downscaled by `PHOTO_KERNEL`, uint8."""
    image = helpers.photo().astype(np.float64)
    return from_unit(downscale(image, PHOTO_KERNEL, 2), np.uint8)


@pytest.fixture(scope="session")
def photo_kernel():
    return PHOTO_KERNEL


@pytest.fixture(scope="session")
def photo_estimate(photo_lr):
    """Estimate of the kernel of `photo_lr`."""
    return estimate_spectral(photo_lr, scale=2)
