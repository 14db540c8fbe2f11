"""How sure a kernel is: the posterior's measures, and the words."""

from pathlib import Path

import numpy as np
import pytest

from kernelgan_jax import blur_kernels, estimate_spectral, kernels
from kernelgan_jax.app import image_files
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import Evidence, Spectrum
from kernelgan_jax.estimators.spectral.confidence import channel_noise, judge
from kernelgan_jax.estimators.spectral.posterior import SAMPLES
from kernelgan_jax.pixels import from_unit

ROOT = Path(__file__).parents[1]


def gaussian(*variances, angle=0.0):
    return blur_kernels.gaussian(25, variances=variances, angle=angle, scale=2)


def evidence(kernel=None, spread=0.03, **values):
    """Of a kernel with samples around it, whose variances differ by the spread."""
    kernel = gaussian(2.0, 1.0) if kernel is None else kernel
    rng = np.random.default_rng(0)
    first = np.diag(kernels.covariance(kernel))[::-1]
    samples = np.stack(
        [gaussian(*(first * np.exp(spread * rng.standard_normal(2)))) for _ in "a" * 50]
    )
    log_noise = np.float32(2 * np.log(values.pop("noise", 0.3)))
    nothing = np.zeros(4, np.float32)
    spectrum = Spectrum(np.float32(4), np.float32(2.2), nothing, log_noise)
    known = dict(misfit=0.2, contrast=40.0, spectrum=spectrum, jpeg=False)
    return Evidence(kernel, samples, **(known | values))


def test_the_errors_are_those_of_the_samples():
    found = evidence(spread=0.1)
    said = judge(found.kernel, found, scale=2)
    # Of v exp(0.1 n) the relative deviation is 0.1, of its root 0.05.
    assert said.longer == pytest.approx(0.05 * 2**0.5, rel=0.3)
    assert said.shorter == pytest.approx(0.05, rel=0.3)
    assert said.covariance_error == pytest.approx(0.1, rel=0.3)
    wider = judge(found.kernel, evidence(spread=0.3), scale=2)
    assert wider.kernel_psnr < said.kernel_psnr - 6
    assert wider.covariance_error > 2 * said.covariance_error
    assert wider.sr_loss > 4 * said.sr_loss > 0
    np.testing.assert_array_equal(said.samples, found.samples)


def test_the_angle_of_a_round_kernel_is_unknown():
    thin = evidence(gaussian(4.0, 0.7))
    assert judge(thin.kernel, thin, scale=2).angle < 3
    round_ = evidence(gaussian(1.5, 1.5))
    assert judge(round_.kernel, round_, scale=2).angle > 30


@pytest.mark.parametrize(
    ("values", "level", "reason"),
    [
        ({}, "high", ""),
        ({"contrast": 1.0}, "low", "the image is almost flat"),
        ({"misfit": 0.6}, "low", "its spectrum is unlike that of photographs"),
        ({"spread": 0.7}, "low", "many kernels explain the spectrum"),
        (
            {"kernel": gaussian(0.15, 0.15), "spread": 1.5},
            "low",
            "the kernel is narrower than a pixel",
        ),
        ({"jpeg": True}, "medium", "the image bears the blocks of JPEG"),
        ({"noise": 3.0}, "medium", "the image is noisy"),
        ({"spread": 0.35}, "medium", "several kernels explain the spectrum"),
        (
            {"kernel": gaussian(5, 4), "spread": 0.2},
            "medium",
            "small errors of this kernel would show",
        ),
    ],
)
def test_levels_and_reasons(values, level, reason):
    found = evidence(**values)
    assert judge(found.kernel, found, scale=2)[:2] == (level, reason)


def test_a_kernel_is_as_far_off_as_from_the_spectrum():
    found = evidence()
    near = judge(gaussian(2.6, 1.2), found, scale=2)
    assert near[:2] == ("medium", "spectrum and GAN differ")
    far = judge(gaussian(5.0, 1.0), found, scale=2)
    assert far[:2] == ("low", "spectrum and GAN disagree")
    own = judge(found.kernel, found, scale=2)
    assert far.covariance_error > near.covariance_error > own.covariance_error
    assert far.kernel_psnr < near.kernel_psnr < own.kernel_psnr
    assert far.sr_loss > near.sr_loss > own.sr_loss
    assert own.sr_loss == pytest.approx(0, abs=0.02)


def test_without_a_posterior_the_confidence_is_low():
    """None of its samples finite, or a search that did not end."""
    small = kernels.trim(gaussian(2.0, 1.0))
    found = evidence(small)
    nothing = found._replace(samples=np.full_like(found.samples, np.nan))
    said = judge(small, nothing, scale=2)
    assert said.level == "low" and said.covariance_error == said.sr_loss == np.inf
    unended = judge(small, found._replace(ended=False), scale=2)
    assert unended.level == "low" and "did not end" in unended.reason


def test_noise_of_channels():
    noisy = evidence(noise=2.0)
    colour = np.random.default_rng(0).random((4, 4, 3))
    assert channel_noise(noisy, colour[..., :1]) == pytest.approx(2 / 255)
    assert channel_noise(noisy, colour) == pytest.approx(2 / 255 / 0.669, rel=1e-3)
    same = np.broadcast_to(colour[..., :1], (4, 4, 3))
    assert channel_noise(noisy, same) == pytest.approx(2 / 255)
    assert channel_noise(evidence(jpeg=True), colour) == pytest.approx(3 / 255)


def test_drawn_images_are_of_low_confidence():
    """An edge and a ramp have hardly any spectrum; nothing of it is NaN."""
    edge = np.zeros((64, 64))
    edge[:, 32:] = 1
    for drawn in (edge, np.tile(np.linspace(0, 1, 64), (64, 1))):
        found = estimate_spectral(drawn)
        assert found.confidence.level == "low" and not found.sure
        assert np.isfinite(found.kernel).all()
        assert np.isfinite(found.confidence.samples).all()
        assert not np.isnan(found.confidence[2:7]).any()


def test_noise_is_found_and_lowers_the_confidence():
    rng = np.random.default_rng(0)
    rows = np.fft.fftfreq(384)
    radius = np.hypot(rows[:, None], rows)
    radius[0, 0] = np.inf
    hr = np.fft.ifft2(np.fft.fft2(rng.standard_normal((384, 384))) / radius**1.1).real
    hr = 0.5 + 0.15 * hr / hr.std()
    true = blur_kernels.gaussian(11, variances=(1.6, 0.9), angle=0.4, scale=2)
    lr = downscale(hr, true, 2)
    expected = []
    for noise in (0.0, 6.0, 20.0):
        noisy = lr + noise / 255 * rng.standard_normal(lr.shape)
        found = estimate_spectral(from_unit(noisy, np.uint8))
        assert 255 * found.noise == pytest.approx(max(noise, 0.3), rel=0.2, abs=0.2)
        expected.append(found.confidence.covariance_error)
        if noise:
            assert found.confidence.level != "high"
    assert expected == sorted(expected)


def test_samples_are_kernels_of_the_scale():
    photo = image_files.read(ROOT / "examples/images/chelsea.png").pixels
    samples = estimate_spectral(photo, scale=3).confidence.samples
    assert samples.shape == (SAMPLES, 33, 33)
    np.testing.assert_allclose(samples.sum((1, 2)), 1, rtol=1e-5)
    for sample in samples[:3]:
        centre = kernels.centre_of_mass(sample)
        np.testing.assert_allclose(centre, kernels.alignment((33, 33), 3), atol=0.01)
