"""The fit of a family to spectra of the model itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import metrics
from kernelgan_jax.estimators.spectral.families import (
    FAMILIES,
    GAUSSIAN,
    GENERALISED,
    MOTION,
    families,
    unpack,
)
from kernelgan_jax.estimators.spectral.fit import fit, objective
from kernelgan_jax.estimators.spectral.likelihood import spectral_likelihood
from kernelgan_jax.estimators.spectral.observation import UNCOMPRESSED
from kernelgan_jax.estimators.spectral.periodogram import SHAPE

pytestmark = pytest.mark.quick_compilation


@pytest.mark.parametrize("family", FAMILIES)
def test_a_spectrum_of_the_model_gives_its_kernel(family, vector, fit_two):
    """Up to the weak penalties; compiled, and in a batch."""
    vector = vector.copy()
    vector[3] = 0.6 if family == GENERALISED else 0
    if family == MOTION:
        vector[:3] = 4.0, -2.0, 0.5
    vector[6:10] = 0
    vector[5] = 2.2
    shape, spectrum = unpack(jnp.asarray(vector))
    true = np.asarray(families(2).kernel(family, shape))
    measured = np.asarray(spectral_likelihood(2).expected(true, spectrum))

    both = fit_two(np.stack([measured, 4 * measured]), family)
    assert all(both.converged)
    for kernel in both.kernel:
        assert metrics.kernel_psnr(np.asarray(kernel), true) > 62
    assert max(both.misfit) < 0.05
    values = np.linalg.eigvalsh(both.hessian)
    assert values.min() > 0  # A minimum.


def test_a_search_without_a_minimum_does_not_converge(vector, fit_two):
    """A spectrum that is not a number; the other one of the batch is fitted."""
    shape, spectrum = unpack(jnp.asarray(vector))
    kernel = families(2).kernel(GAUSSIAN, shape)
    measured = np.asarray(spectral_likelihood(2).expected(kernel, spectrum))
    found = fit_two(np.stack([np.full(SHAPE, np.nan, np.float32), measured]), GAUSSIAN)
    np.testing.assert_array_equal(found.converged, [False, True])
    assert not np.isfinite(found.loss[0]) and np.isfinite(found.loss[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_of_the_loss(family, vector):
    likelihood, kinds = spectral_likelihood(2), families(2)
    shape, spectrum = unpack(jnp.asarray(1.1 * vector))
    measured = likelihood.expected(kinds.kernel(family, shape), spectrum)
    parts = objective(measured, family, scale=2)

    @jax.jit
    def loss(vector):
        return parts.loss(vector)

    gradient = jax.jit(jax.grad(loss))(vector)
    for i in range(len(vector)):
        step = np.zeros_like(vector)
        step[i] = 1e-2
        slope = (loss(vector + step) - loss(vector - step)) / 2e-2
        np.testing.assert_allclose(gradient[i], slope, rtol=0.05, atol=1e-3)


def test_the_loss_is_the_weighted_misfit_and_the_penalties(vector):
    likelihood, kinds = spectral_likelihood(2), families(2)
    shape, spectrum = unpack(jnp.asarray(vector))
    kernel = kinds.kernel(GENERALISED, shape)
    measured = 2 * likelihood.expected(kernel, spectrum)
    weights = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    observation = UNCOMPRESSED._replace(weights=weights)
    parts = objective(measured, GENERALISED, observation=observation, scale=2)
    misfit = np.asarray(likelihood.misfit(kernel, spectrum, measured))
    expected = (weights * misfit).sum() / weights.sum()
    expected += likelihood.penalty(spectrum) + kinds.penalty(GENERALISED, shape)
    found = parts.loss(jnp.asarray(vector))
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_a_steep_spectrum_does_not_overflow():
    """At frequency 0, which has no weight, it would."""
    parts = objective(jnp.ones(SHAPE), GAUSSIAN, scale=1)
    vector = jnp.array([1.2, 0, 1.2, 0, 2, 4.5, 0, 0, 0, 0, -1], jnp.float32)

    @jax.jit
    def second_derivative(vector):
        gradient = jax.grad(parts.loss)
        return jax.jvp(gradient, (vector,), (jnp.ones_like(vector),))

    for values in second_derivative(vector):
        assert np.isfinite(values).all()


def test_it_stays_in_float32_where_jax_is_in_float64():
    with jax.enable_x64(True):
        measured = jax.ShapeDtypeStruct(SHAPE, np.float32)
        family = jax.ShapeDtypeStruct((), np.int32)
        found = jax.eval_shape(functools.partial(fit, scale=2), measured, family)
    assert np.dtype(np.float64) not in {leaf.dtype for leaf in found}


def test_a_bad_scale_is_refused():
    with pytest.raises(ValueError, match="scale is 0"):
        fit(np.ones(SHAPE, np.float32), GAUSSIAN, scale=0)
