"""The likelihood of a kernel and a spectrum: sums by hand, finite differences."""

import jax
import numpy as np
import pytest

from kernelgan_jax import blur_kernels
from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral.likelihood import (
    HEAVY_TAIL,
    PRIOR_WEIGHT,
    spectral_likelihood,
)
from kernelgan_jax.estimators.spectral.observation import Observation
from kernelgan_jax.estimators.spectral.periodogram import SHAPE, WINDOW

pytestmark = pytest.mark.quick_compilation

DIRECTION = np.array([0.1, -0.2, 0.15, -0.05], np.float32)
SPECTRUM = Spectrum(np.float32(5), np.float32(2.1), DIRECTION, np.float32(-1))


def kernel(scale, variances=(2.5, 1.2), angle=0.4):
    found = blur_kernels.gaussian(
        8 * scale + 9, variances=variances, angle=angle, scale=scale
    )
    # Asymmetric, so that its transfer function is complex.
    return np.asarray(0.8 * found + 0.2 * np.roll(found, (2, 1), (0, 1)), np.float32)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_expected_spectrum_is_the_sum_over_aliases(scale):
    """Formula (2) of likelihood.py, frequency by frequency."""
    true = kernel(scale)
    found = np.asarray(spectral_likelihood(scale).expected(true, SPECTRUM))
    place = np.indices(true.shape)
    c, d, e, f = DIRECTION.astype(np.float64)
    for i, j in [(1, 0), (30, 3), (5, 16), (9, 9)]:
        total = 0.0
        for m in range(scale):
            for n in range(scale):
                u, v = (np.fft.fftfreq(32)[[i, j]] + [m, n]) / scale
                u, v = (u + 0.5) % 1 - 0.5, (v + 0.5) % 1 - 0.5
                transfer = true * np.exp(-2j * np.pi * (u * place[0] + v * place[1]))
                turn = np.arctan2(u, v)
                power = c * np.cos(2 * turn) + d * np.sin(2 * turn)
                power += e * np.cos(4 * turn) + f * np.sin(4 * turn)
                power = np.exp(SPECTRUM.log_amplitude + power)
                power *= (scale * np.hypot(u, v)) ** -SPECTRUM.exponent
                total += np.abs(transfer.sum()) ** 2 * power
        expected = total / scale**2 + np.exp(SPECTRUM.log_noise)
        np.testing.assert_allclose(found[i, j], expected, rtol=1e-4)


def test_kernels_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"kernel has shape \(5, 5\); it must be \(25"):
        spectral_likelihood(2).expected(np.full((5, 5), 0.04, np.float32), SPECTRUM)


def test_what_jpeg_leaves_of_the_expected_spectrum():
    """Formula (1) of observation.py."""
    likelihood, true = spectral_likelihood(2), kernel(2)
    whole = np.asarray(likelihood.expected(true, SPECTRUM))
    noise = np.exp(SPECTRUM.log_noise)
    rng = np.random.default_rng(0)
    parts = (rng.random(SHAPE).astype(np.float32) for _ in range(4))
    observation = Observation(*parts)
    found = np.asarray(likelihood.expected(true, SPECTRUM, observation))
    expected = observation.kept * (whole - noise) + observation.noise_kept * noise
    np.testing.assert_allclose(found, expected + observation.added, rtol=1e-4)
    misfit = likelihood.misfit(true, SPECTRUM, found, observation)
    np.testing.assert_allclose(misfit, 0, atol=1e-6)


def test_a_mirrored_kernel_is_as_likely():
    likelihood, true = spectral_likelihood(2), kernel(2)
    one, other = (likelihood.expected(k, SPECTRUM) for k in (true, true[::-1, ::-1]))
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_the_misfit_has_whittles_curvature_and_heavy_tails():
    """Near the minimum it is half the square of log(P / M); far away it is linear with
    slope `HEAVY_TAIL`."""
    likelihood = spectral_likelihood(2)
    expected = likelihood.expected(kernel(2), SPECTRUM)

    def misfit(log_ratio):
        measured = expected * np.exp(np.float32(log_ratio))
        return likelihood.misfit(kernel(2), SPECTRUM, measured)[3, 5]

    np.testing.assert_allclose(misfit(0.05), 0.05**2 / 2, rtol=0.05)
    np.testing.assert_allclose(misfit(0), 0, atol=1e-6)
    tail = HEAVY_TAIL
    np.testing.assert_allclose(misfit(4) - misfit(3), tail, rtol=0.02)
    np.testing.assert_allclose(misfit(-4) - misfit(-3), tail, rtol=0.02)


def test_penalty():
    """A deviation of one standard deviation costs `PRIOR_WEIGHT`."""
    penalty = spectral_likelihood(2).penalty
    usual = Spectrum(np.float32(9), np.float32(2.2), np.zeros(4, np.float32), 3.0)
    assert penalty(usual) == pytest.approx(0)
    steep = usual._replace(exponent=np.float32(2.4))
    assert penalty(steep) == pytest.approx(PRIOR_WEIGHT, rel=1e-4)
    turned = usual._replace(direction=np.float32([0, 0.1**0.5, 0, 0]))
    assert penalty(turned) == pytest.approx(PRIOR_WEIGHT, rel=1e-4)


def test_the_gradient_by_any_kernel():
    """The likelihood is a loss for kernels of any form."""
    likelihood = spectral_likelihood(2)
    measured = 1.2 * likelihood.expected(kernel(2, (3.0, 2.0)), SPECTRUM)

    @jax.jit
    def loss(values):
        return likelihood.misfit(values, SPECTRUM, measured).mean()

    gradient = jax.jit(jax.grad(loss))(kernel(2))
    for place in [(12, 12), (10, 13), (5, 5)]:
        step = np.zeros((25, 25), np.float32)
        step[place] = 2e-3
        slope = (loss(kernel(2) + step) - loss(kernel(2) - step)) / 4e-3
        np.testing.assert_allclose(gradient[place], slope, rtol=0.03, atol=2e-4)


@pytest.mark.parametrize("scale", [2, 3])
def test_the_loss_of_a_wrong_kernel(scale):
    """Compared with Wiener filters on the full grid of frequencies, in float64."""
    side = WINDOW * scale
    frequency = np.fft.fftfreq(side)
    radius = np.hypot(frequency[:, None], frequency)
    radius[0, 0] = 1
    turn = np.arctan2(frequency[:, None], frequency)
    turns = [f(n * turn) for n in (2, 4) for f in (np.cos, np.sin)]
    signal = np.exp(SPECTRUM.log_amplitude + np.tensordot(DIRECTION, turns, 1))
    signal *= (scale * radius) ** -SPECTRUM.exponent
    slow = (scale * frequency + 0.5) % 1 - 0.5
    counted = np.hypot(slow[:, None], slow) >= 1.5 / WINDOW - 1e-9

    def measured(transfer):
        power = (np.abs(transfer) ** 2 * signal).reshape((scale, 32) * 2)
        once = power.sum((0, 2)) / scale**2 + np.exp(SPECTRUM.log_noise)
        return np.tile(once, (scale, scale))

    def error(believed, true):
        believed, true = (np.fft.fft2(k, (side, side)) for k in (believed, true))
        wiener = np.conj(believed) * signal / scale / measured(believed)
        each = signal - 2 * (wiener * true * signal / scale).real
        each += np.abs(wiener) ** 2 * measured(true)
        return each[counted].sum()

    found, true = kernel(scale), kernel(scale, (3.2, 1.6), 0.7)
    expected = 10 * np.log10(error(found, true) / error(true, true))
    assert expected > 0.05
    loss = jax.jit(spectral_likelihood(scale).sr_loss)
    np.testing.assert_allclose(loss(found, SPECTRUM, true), expected, rtol=0.01)
    np.testing.assert_allclose(loss(true, SPECTRUM, true), 0, atol=1e-6)


def test_the_start_has_the_power_of_the_image():
    """Twice the power gives twice the amplitude; the rest is that of usual images."""
    likelihood = spectral_likelihood(2)
    one, two = (likelihood.start(np.full(SHAPE, p, np.float32)) for p in (5.0, 10.0))
    assert two.log_amplitude - one.log_amplitude == pytest.approx(np.log(2), rel=1e-4)
    assert likelihood.penalty(one) == 0


def test_a_bad_scale_is_refused():
    with pytest.raises(ValueError, match="scale is 0"):
        spectral_likelihood(0)
