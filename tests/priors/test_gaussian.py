"""Gaussians and generalised Gaussians: covariance, place, special cases."""

import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import kernels
from kernelgan_jax.priors.gaussian import (
    MIN_VARIANCE,
    covariance,
    gaussian,
    generalised_gaussian,
)


def test_gaussian_has_the_covariance_and_place_it_says():
    model = gaussian((41, 43), scale=2)
    params = {"cholesky": jnp.array([2.0, 1.0, 1.5]), "shift": jnp.array([1.0, -0.5])}
    kernel = np.asarray(model.kernel(params), np.float64)
    lower = np.array([[2.0, 0.0], [1.0, 1.5]])
    expected = lower @ lower.T + MIN_VARIANCE * np.eye(2)
    np.testing.assert_allclose(kernels.covariance(kernel), expected, rtol=1e-4)
    np.testing.assert_allclose(
        kernels.centre_of_mass(kernel), [20.5 + 1, 21.5 - 0.5], rtol=1e-5
    )


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_covariance_of_parameters(array):
    found = covariance(array([2.0, 1.0, 1.5]))
    lower = np.array([[2.0, 0.0], [1.0, 1.5]])
    expected = lower @ lower.T + MIN_VARIANCE * np.eye(2)
    np.testing.assert_allclose(
        [[found.rows, found.mixed], [found.mixed, found.columns]], expected, rtol=1e-6
    )


def test_generalised_gaussian_is_a_gaussian_or_a_disk():
    params = {"cholesky": jnp.array([2.0, -0.5, 1.5]), "shift": jnp.zeros(2)}
    model = generalised_gaussian(25, scale=2)
    one = model.kernel({**params, "log_power": jnp.zeros(())})
    np.testing.assert_allclose(one, gaussian(25).kernel(params), rtol=1e-5)
    params["cholesky"] = jnp.array([3.0, 0.0, 3.0])
    even = model.kernel({**params, "log_power": jnp.log(40.0)})
    inside = np.asarray(even)[np.asarray(even) > 0.5 * even.max()]
    np.testing.assert_allclose(inside, inside.max(), rtol=0.4)
    radius = np.sqrt(9 + MIN_VARIANCE)
    np.testing.assert_allclose(len(inside), np.pi * radius**2, rtol=0.15)
