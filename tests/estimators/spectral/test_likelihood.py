"""The likelihood of a kernel and a spectrum: sums by hand, finite differences."""

import io
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image as pillow

from kernelgan_jax import blur_kernels
from kernelgan_jax.app import image_files
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral.likelihood import (
    HEAVY_TAIL,
    PRIOR_WEIGHT,
    spectral_likelihood,
)
from kernelgan_jax.estimators.spectral.periodogram import (
    SHAPE,
    WINDOW,
    has_blocks,
    periodogram,
)
from kernelgan_jax.pixels import from_unit, luma, to_unit

PHOTO = Path(__file__).parents[1] / "examples/images/chelsea.png"
DIRECTION = np.array([0.1, -0.2, 0.15, -0.05], np.float32)
SPECTRUM = Spectrum(np.float32(5), np.float32(2.1), DIRECTION, np.float32(-1))


def kernel(scale, variances=(2.5, 1.2), angle=0.4):
    found = blur_kernels.gaussian(
        8 * scale + 9, variances=variances, angle=angle, scale=scale
    )
    # Lopsided, so that its transfer function is complex.
    return np.asarray(0.8 * found + 0.2 * np.roll(found, (2, 1), (0, 1)), np.float32)


def test_periodogram_of_white_noise_and_of_a_wave():
    """White noise has its variance at all frequencies; a constant has nothing."""
    noise = 3 * np.random.default_rng(0).standard_normal((200, 300))
    found = periodogram(noise)
    np.testing.assert_allclose(found[4:-4, 4:-1].mean(), 9, rtol=0.05)
    assert found[0, 0] < 0.5  # The mean is taken out.
    assert periodogram(np.full((40, 50), 7.0)).max() < 1e-20
    wave = np.cos(2 * np.pi * 8 / 32 * np.arange(100))[None] * np.ones((90, 1))
    assert np.unravel_index(periodogram(wave).argmax(), SHAPE)[1] == 8


def test_strong_edges_do_not_stand_for_the_whole_image():
    """Parts count by the root of their power; of equal parts it is the mean power."""
    noise = np.random.default_rng(0).standard_normal((32, 32))
    tiled = np.tile(noise, (8, 8))
    gain = np.ones((256, 256))
    gain[:64, :64] = 100  # of 1/16 of the area
    mean = periodogram(tiled)[5, 5]
    assert periodogram(tiled * gain)[5, 5] < mean * (1 + 99 / 8) ** 2
    assert periodogram(tiled * gain)[5, 5] > mean


def test_blocks_of_jpeg_are_seen_wherever_they_start():
    photo = to_unit(image_files.read(PHOTO).pixels).astype(np.float64)
    true = blur_kernels.gaussian(11, variances=(2.5, 1.2), angle=0.6, scale=2)
    lr = from_unit(downscale(photo, true, 2), np.uint8)
    with io.BytesIO() as file:
        pillow.fromarray(lr).save(file, "JPEG", quality=80)
        compressed = np.asarray(pillow.open(file))
    for pixels, jpeg in ((lr, False), (compressed, True), (compressed[3:, 5:], True)):
        gray = luma(to_unit(pixels))
        assert has_blocks(gray) == jpeg
    assert not has_blocks(np.full((40, 50), 0.5))


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_expected_spectrum_is_the_sum_over_aliases(scale):
    """By the formula at the top of whittle.py, frequency by frequency."""
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


def test_a_mirrored_kernel_is_as_likely():
    likelihood, true = spectral_likelihood(2), kernel(2)
    one, other = (likelihood.expected(k, SPECTRUM) for k in (true, true[::-1, ::-1]))
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_the_misfit_has_whittles_curvature_and_heavy_tails():
    """Near the minimum half the square of log P/M; far away HEAVY_TAIL its size."""
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


def test_priors():
    """One standard deviation off, in each way, costs PRIOR."""
    priors = spectral_likelihood(2).priors
    usual = Spectrum(np.float32(9), np.float32(2.2), np.zeros(4, np.float32), 3.0)
    assert priors(usual) == pytest.approx(0)
    steep = usual._replace(exponent=np.float32(2.4))
    assert priors(steep) == pytest.approx(PRIOR_WEIGHT, rel=1e-4)
    turned = usual._replace(direction=np.float32([0, 0.1**0.5, 0, 0]))
    assert priors(turned) == pytest.approx(PRIOR_WEIGHT, rel=1e-4)


def test_the_gradient_by_any_kernel():
    """The likelihood is a loss for kernels of one's own."""
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
def test_what_a_wrong_kernel_loses(scale):
    """Against Wiener filters on the whole grid of FFT frequencies, in float64."""
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
