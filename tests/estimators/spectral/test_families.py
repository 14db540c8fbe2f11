"""Families of kernels: their shapes, penalties, and the vector of unknowns."""

import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import kernels
from kernelgan_jax.estimators.spectral.families import (
    FAMILIES,
    GAUSSIAN,
    GENERALISED,
    MOTION,
    SHAPE_PARAMETERS,
    families,
    free_parameters,
    halve,
    pack,
    unpack,
)
from kernelgan_jax.estimators.spectral.likelihood import PRIOR_WEIGHT


def test_pack_and_unpack_are_inverse(vector):
    parameters = unpack(jnp.asarray(vector))
    np.testing.assert_array_equal(pack(parameters), vector)
    np.testing.assert_array_equal(parameters.shape, vector[:4])
    assert parameters.spectrum.log_amplitude == vector[4]
    assert parameters.spectrum.exponent == vector[5]
    np.testing.assert_array_equal(parameters.spectrum.direction, vector[6:10])
    assert parameters.spectrum.log_noise == vector[10]


def test_only_the_generalised_gaussian_has_a_power(vector):
    for family in FAMILIES:
        expected = np.ones(len(vector))
        expected[SHAPE_PARAMETERS - 1] = family == GENERALISED
        np.testing.assert_array_equal(free_parameters(family), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_starts_are_kernels_of_three_directions(family):
    kinds = families(2)
    found = [
        np.asarray(kinds.kernel(family, s), np.float64) for s in kinds.starts(family)
    ]
    for kernel in found:
        assert kernel.shape == (25, 25)
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(
            kernels.centre_of_mass(kernel), kernels.alignment((25, 25), 2), atol=1e-3
        )
    covariances = [kernels.covariance(kernel) for kernel in found]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(covariances[i] - covariances[j]).max() > 0.5


def test_penalties_of_the_families():
    """A deviation of one standard deviation, of each kind, costs `PRIOR_WEIGHT`."""
    penalty = families(2).penalty

    def ellipse(longer, shorter, log_power=0.0):
        root = np.sqrt(np.array([longer, 0, shorter]) - [0.1, 0, 0.1])
        return penalty(GENERALISED, jnp.array([*root, log_power]))

    assert ellipse(2, 2) == pytest.approx(0, abs=1e-7)
    assert ellipse(2 * np.e, 2 * np.e) == pytest.approx(PRIOR_WEIGHT, rel=1e-3)
    assert ellipse(2 / np.e, 2 / np.e) == pytest.approx(PRIOR_WEIGHT, rel=1e-3)
    assert ellipse(2, 2, -1.0) == pytest.approx(PRIOR_WEIGHT, rel=1e-3)
    assert ellipse(2 * 2.37, 2 / 2.37) == pytest.approx(PRIOR_WEIGHT, rel=1e-2)
    # A motion as wide as a pixel (1/3 pixel^2), of variance 12 along it: area 2.
    pixel, length = np.sqrt(1 / 3 - 0.1), np.sqrt(12 * (12 - 1 / 3))
    for turn in (0.0, 1.0):
        line = length * np.array([np.sin(turn), np.cos(turn)])
        motion = jnp.array([*line, pixel, 0.0])
        assert penalty(MOTION, motion) == pytest.approx(0, abs=1e-7)
        still = jnp.array([0.0, 0.0, np.sqrt(np.e / 3 - 0.1), 0.0])
        expected = PRIOR_WEIGHT * (1 + np.log(np.e / 6) ** 2)
        assert penalty(MOTION, still) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("family", "shape"),
    [(GAUSSIAN, [4.0, 1.0, 3.0, 0.0]), (MOTION, [9.0, -5.0, 2.5, 0.0])],
)
def test_the_halved_kernel_leads_to_the_x4_kernel(family, shape):
    """Its variance is a fifth, and twice in a row it is the x4 kernel's."""
    half = halve(family, np.array(shape, np.float32))
    assert half.dtype == np.float32
    whole = families(4).kernel(family, jnp.array(shape))
    small = kernels.normalise(
        np.asarray(families(2).kernel(family, jnp.asarray(half)), np.float64)
    )
    expected = kernels.covariance(np.asarray(whole, np.float64))
    np.testing.assert_allclose(5 * kernels.covariance(small), expected, rtol=0.05)
    twice = kernels.covariance(kernels.kernel_x4(small))
    np.testing.assert_allclose(twice, expected, rtol=0.05)


def test_the_half_of_a_narrow_kernel_is_a_kernel():
    """A fifth of its variance may be less than any kernel of the family has."""
    for family in (GAUSSIAN, MOTION):
        half = halve(family, np.array([0.1, 0.0, 0.1, 0.0], np.float32))
        kernel = np.asarray(families(2).kernel(family, jnp.asarray(half)))
        assert np.isfinite(kernel).all()
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
