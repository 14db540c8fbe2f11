"""The posterior: its covariance pair by pair of frequencies, and its samples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import kernels
from kernelgan_jax.estimators.spectral import paths
from kernelgan_jax.estimators.spectral.families import (
    GAUSSIAN,
    GENERALISED,
    PARAMETERS,
    families,
    unpack,
)
from kernelgan_jax.estimators.spectral.fit import Fit
from kernelgan_jax.estimators.spectral.likelihood import (
    FREQUENCY_WEIGHTS,
    spectral_likelihood,
)
from kernelgan_jax.estimators.spectral.newton import minimise
from kernelgan_jax.estimators.spectral.observation import UNCOMPRESSED
from kernelgan_jax.estimators.spectral.periodogram import SHAPE
from kernelgan_jax.estimators.spectral.posterior import (
    DRAWS,
    MISFIT_FACTOR,
    PENALTY_FACTOR,
    SAMPLES,
    SHARPNESS_STD,
    posterior,
    quasi_normal,
    sample,
)


def test_the_kept_draws_are_those_of_scipy():
    with np.load(DRAWS) as kept:
        assert set(kept) == {str(PARAMETERS), str(paths.UNKNOWNS)}
        for name, draws in kept.items():
            np.testing.assert_allclose(draws, quasi_normal(int(name)), rtol=1e-12)


def test_no_product_is_rounded_to_fewer_bits_on_gpus():
    """As TF32 would: neither those of fits nor those of the posterior."""

    def made(power, start):
        path = paths.describe(start, power, UNCOMPRESSED, scale=2)
        return path, minimise(lambda x: (x**2).sum(), start)

    start = np.ones(paths.UNKNOWNS, np.float32)
    program = str(jax.make_jaxpr(made)(np.ones(SHAPE, np.float32), start))
    products = program.count("dot_general[")
    assert products > 50 and program.count("Precision.HIGHEST") == 2 * products


def test_the_posterior_is_the_sandwich(vector, fit_two):
    """Formula (1) of posterior.py, worked out pair by pair of frequencies."""
    likelihood, kinds = spectral_likelihood(2), families(2)
    vector = vector.copy()
    vector[3] = 0
    shape, spectrum = unpack(jnp.asarray(vector))
    kernel = kinds.kernel(GAUSSIAN, shape)
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    measured = likelihood.expected(kernel, spectrum) * np.exp(0.2 * noise)
    measured = measured.astype(np.float32)
    both = fit_two(np.stack([measured, measured]), GAUSSIAN)
    fit = jax.tree.map(lambda x: x[0], both)
    found = jax.jit(functools.partial(posterior, scale=2))(fit, measured, GAUSSIAN)

    @jax.jit
    @jax.jacfwd
    def slopes(vector):
        shape, spectrum = unpack(vector)
        each = likelihood.misfit(kinds.kernel(GAUSSIAN, shape), spectrum, measured)
        return FREQUENCY_WEIGHTS * each / FREQUENCY_WEIGHTS.sum()

    @jax.jit
    @jax.hessian
    def of_penalties(vector):
        shape, spectrum = unpack(vector)
        return likelihood.penalty(spectrum) + kinds.penalty(GAUSSIAN, shape)

    each = np.asarray(slopes(fit.vector), np.float64)
    rows, columns = np.indices(SHAPE).reshape(2, -1)
    apart = np.abs(rows[:, None] - rows)
    near = np.maximum(1 - np.minimum(apart, 32 - apart) / 8, 0)
    near *= np.maximum(1 - np.abs(columns[:, None] - columns) / 8, 0)
    each = each.reshape(-1, 11)
    inner = MISFIT_FACTOR * each.T @ near @ each
    inner += PENALTY_FACTOR * np.asarray(of_penalties(fit.vector))
    inner[3] = inner[:, 3] = 0  # A Gaussian has no power to be found.
    inverse = np.linalg.inv(np.asarray(fit.hessian, np.float64))
    expected = inverse @ inner @ inverse
    wider = np.array([*fit.vector[:3], *np.zeros(8)]) * SHARPNESS_STD / 2
    expected += np.outer(wider, wider)
    scale = np.sqrt(np.diag(expected) + 1e-12)
    np.testing.assert_allclose(
        found / np.outer(scale, scale), expected / np.outer(scale, scale), atol=0.02
    )


def gaussian_fit(vector):
    """A fit of a round Gaussian of width 1.533 pixels."""
    vector = jnp.array([1.5, 0.0, 1.5, 0, *vector[4:]], jnp.float32)
    kernel = families(2).kernel(GAUSSIAN, vector[:4])
    nothing = jnp.zeros((), jnp.float32)
    return Fit(vector, nothing, jnp.eye(11), jnp.array(True), nothing, kernel)


@pytest.fixture(scope="module")
def sample_gaussian():
    return jax.jit(functools.partial(sample, scale=2))


def widths(samples):
    """Standard deviations along rows and columns, `SAMPLES x 2`."""
    assert samples.shape == (SAMPLES, 25, 25)
    covariances = [kernels.covariance(np.asarray(k, np.float64)) for k in samples]
    return np.sqrt([np.diag(c) for c in covariances])


def test_samples_have_the_mean_and_spread_of_the_posterior(vector, sample_gaussian):
    fit = gaussian_fit(vector)
    covariance = np.zeros((11, 11), np.float32)
    covariance[0, 0] = 0.1**2
    rows, columns = widths(sample_gaussian(fit, covariance, GAUSSIAN)).T
    # The width sqrt(1.5^2 + 0.1) grows by 0.98 of the growth of the factor.
    assert rows.mean() == pytest.approx(1.533, rel=0.02)
    assert rows.std() == pytest.approx(0.098, rel=0.1)
    np.testing.assert_allclose(columns, 1.533, rtol=0.01)


def test_a_certain_posterior_has_one_kernel(vector, sample_gaussian):
    nothing = np.zeros((11, 11), np.float32)
    found = widths(sample_gaussian(gaussian_fit(vector), nothing, GAUSSIAN))
    assert np.ptp(found) < 1e-3


def test_it_stays_in_float32_where_jax_is_in_float64(vector):
    fit = gaussian_fit(vector)
    with jax.enable_x64(True):
        measured = jax.ShapeDtypeStruct(SHAPE, np.float32)
        family = jax.ShapeDtypeStruct((), np.int32)
        covariance = jax.eval_shape(
            functools.partial(posterior, scale=2), fit, measured, family
        )
        assert covariance.dtype == np.float32
        drawn = functools.partial(sample, scale=2)
        assert jax.eval_shape(drawn, fit, covariance, family).dtype == np.float32


def test_draws_are_always_the_same(vector, sample_gaussian):
    covariance = np.diag(np.full(11, 0.01, np.float32))
    one, other = (
        sample_gaussian(gaussian_fit(vector), covariance, GENERALISED) for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)
    assert len(np.unique(np.asarray(one).reshape(SAMPLES, -1), axis=0)) == SAMPLES
