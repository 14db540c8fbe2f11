"""Confidence in a kernel: expected errors, levels and reasons, from made evidence."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import (
    analyse,
    blur_kernels,
    equivalent_gaussian,
    kernels,
    metrics,
    programs,
)
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import Evidence, Spectrum
from kernelgan_jax.estimators.spectral import confidence
from kernelgan_jax.estimators.spectral.confidence import judge
from kernelgan_jax.estimators.spectral.posterior import SAMPLES
from kernelgan_jax.pixels import from_unit


def gaussian(*variances, angle=0.0):
    return blur_kernels.gaussian(25, variances=variances, angle=angle, scale=2)


def evidence(kernel=None, spread=0.03, noise=0.3, **values):
    """Evidence with samples whose variances differ from the kernel's by the spread.

    `noise` is in gray levels.
    """
    kernel = gaussian(2.0, 1.0) if kernel is None else kernel
    rng = np.random.default_rng(0)
    first = np.diag(kernels.covariance(kernel))[::-1]
    samples = np.stack(
        [gaussian(*(first * np.exp(spread * rng.standard_normal(2)))) for _ in "a" * 50]
    )
    log_noise = np.float32(2 * np.log(noise))
    known = dict(
        scale=2,
        kernel=kernel,
        raw_kernel=kernel,
        intermediate=(),
        samples=samples,
        spectrum=Spectrum(
            np.float32(4), np.float32(2.2), np.zeros(4, np.float32), log_noise
        ),
        misfit=0.2,
        contrast=40.0,
        noise_std=noise / 255,
        jpeg=False,
        converged=True,
    )
    return Evidence(**(known | values))


def test_the_program_that_is_loaded_ahead_is_the_one_that_is_used(monkeypatch):
    shapes = []

    def note(self, *arguments, **_):
        shapes.append(
            jax.tree.map(lambda x: (np.shape(x), jnp.result_type(x)), arguments)
        )
        return np.zeros(SAMPLES)

    monkeypatch.setattr(programs.Program, "preload", note)
    monkeypatch.setattr(programs.Program, "__call__", note)
    confidence.preload(2)
    samples = np.stack([gaussian(2.0, 1.0)] * SAMPLES)
    judge(gaussian(2.0, 1.0), evidence(samples=samples))
    assert shapes[0] == shapes[1]


def test_the_errors_are_those_of_the_samples():
    found = evidence(spread=0.1)
    narrow = judge(found.kernel, found)
    # v exp(0.1 n) has the relative deviation 0.1, its root 0.05.
    assert narrow.longer_std == pytest.approx(0.05 * 2**0.5, rel=0.3)
    assert narrow.shorter_std == pytest.approx(0.05, rel=0.3)
    assert narrow.covariance_error == pytest.approx(0.1, rel=0.3)
    wide = judge(found.kernel, evidence(spread=0.3))
    assert wide.kernel_psnr < narrow.kernel_psnr - 6
    assert wide.covariance_error > 2 * narrow.covariance_error
    assert wide.sr_loss > 4 * narrow.sr_loss > 0
    np.testing.assert_array_equal(narrow.samples, found.samples)


def test_the_errors_are_those_of_single_samples():
    """All samples at once, that of a resampler among them."""
    made, own = evidence(spread=0.3), gaussian(1.5, 1.5)
    lobes = metrics.pad_to_frame(blur_kernels.bicubic(2), scale=2)
    samples = np.stack([*made.samples[:5], kernels.normalise(lobes)])
    found = judge(own, made._replace(samples=samples))
    mse = [10 ** (-metrics.kernel_psnr(own, k, scale=2) / 10) for k in samples]
    assert found.kernel_psnr == pytest.approx(-10 * np.log10(np.mean(mse)))
    centre, *covariances = (
        equivalent_gaussian.covariance(k, scale=2) for k in (own, *samples)
    )
    errors = [metrics.relative_error(centre, each) for each in covariances]
    rms = np.mean(np.square(errors)) ** 0.5
    assert found.covariance_error == pytest.approx(rms)
    longer, shorter, _ = np.transpose([kernels.Widths.of(c) for c in covariances])
    assert found.longer_std == pytest.approx(longer.std())
    assert found.shorter_std == pytest.approx(shorter.std())


def test_a_kernel_without_width_is_certain_if_all_samples_are():
    """One pixel of nine (nearest neighbour): its covariance is 0 but for rounding."""
    one = kernels.centre(blur_kernels.nearest(3), 3)
    samples = np.stack([metrics.pad_to_frame(one, scale=3)] * 10)
    certain = judge(one, evidence()._replace(scale=3, kernel=one, samples=samples))
    assert certain.covariance_error < 1e-3 and certain.level == "high"
    samples[:1] = metrics.pad_to_frame(kernels.centre(blur_kernels.box(3), 3), scale=3)
    doubted = judge(one, evidence()._replace(scale=3, kernel=one, samples=samples))
    assert doubted.covariance_error == pytest.approx(0.1**0.5, rel=1e-3)
    assert doubted.level == "medium"


def test_the_angle_of_a_round_kernel_is_unknown():
    thin = evidence(gaussian(4.0, 0.7))
    assert judge(thin.kernel, thin).angle_std < 3
    round_ = evidence(gaussian(1.5, 1.5))
    assert judge(round_.kernel, round_).angle_std > 30


@pytest.mark.parametrize(
    ("values", "level", "reason"),
    [
        ({}, "high", ""),
        (
            {"converged": False},
            "low",
            "the search for the spectral kernel did not converge",
        ),
        ({"contrast": 1.0}, "low", "the image is almost flat or has few levels"),
        (
            {"misfit": 0.6},
            "low",
            "no usual kernel explains it: long motion, pattern, drawing or text",
        ),
        ({"misfit": 1.3}, "low", "its spectrum is unlike that of photographs"),
        ({"spread": 0.7}, "low", "many kernels explain the spectrum"),
        ({"spread": 0.7, "noise": 3.0}, "low", "the image is noisy"),
        (
            {"kernel": gaussian(0.15, 0.15), "spread": 1.5},
            "low",
            "the kernel is narrower than a pixel",
        ),
        ({"misfit": 0.45}, "medium", "its spectrum is explained only roughly"),
        ({"rivalled": True}, "medium", "several kernels explain the spectrum"),
        ({"jpeg": True}, "medium", "the image shows the blocks of JPEG"),
        ({"noise": 3.0}, "medium", "the image is noisy"),
        ({"spread": 0.35}, "medium", "several kernels explain the spectrum"),
        ({"spread": 0.1}, "high", ""),  # Expected losses of 0.15 and 0.33 dB.
        ({"spread": 0.15}, "medium", "small errors of this kernel would show"),
        (
            {"kernel": gaussian(5, 4), "spread": 0.2},
            "medium",
            "small errors of this kernel would show",
        ),
    ],
)
def test_levels_and_reasons(values, level, reason):
    found = evidence(**values)
    assert judge(found.kernel, found)[:2] == (level, reason)


@pytest.mark.parametrize("cause", ["noise", "motion"])
def test_the_reason_is_the_cause(cause):
    """A picture to which one thing was done, of which the reason speaks."""
    kernel = gaussian(2.0, 1.0)
    if cause == "motion":
        kernel = blur_kernels.motion(31, length=15, angle=0.8, scale=2)
    lr = downscale(helpers.power_law(512, 512, contrast=0.15), kernel, 2)
    if cause == "noise":
        lr += 20 / 255 * np.random.default_rng(0).standard_normal(lr.shape)
    found = analyse(from_unit(lr, np.uint8), scale=2)
    reason = judge(found.kernel, found).reason
    if cause == "noise":
        assert reason == "the image is noisy"
        assert 18 < 255 * found.noise_std < 22
    else:
        assert "noisy" not in reason and "unlike" not in reason


def test_a_kernel_is_rated_by_its_distance_from_the_spectrum():
    found = evidence()
    near = judge(gaussian(2.6, 1.2), found)
    assert near[:2] == ("medium", "the kernel and the spectrum differ")
    far = judge(gaussian(5.0, 1.0), found)
    assert far[:2] == ("low", "the kernel and the spectrum disagree")
    own = judge(found.kernel, found)
    assert far.covariance_error > near.covariance_error > own.covariance_error
    assert far.kernel_psnr < near.kernel_psnr < own.kernel_psnr
    assert far.sr_loss > near.sr_loss > own.sr_loss
    assert own.sr_loss == pytest.approx(0, abs=0.02)
    with pytest.raises(ValueError, match="kernel sums to 3; it must be 1"):
        judge(3 * found.kernel, found)


def test_without_a_posterior_the_confidence_is_low():
    """None of the samples is finite, or one of them is not."""
    small = kernels.trim(gaussian(2.0, 1.0))
    found = evidence(small)
    some = found.samples.copy()
    some[3] = np.nan
    for samples in (np.full_like(found.samples, np.nan), some):
        rated = judge(small, found._replace(samples=samples))
        assert rated.level == "low"
        assert rated.covariance_error == rated.sr_loss == np.inf
        assert rated.kernel_psnr == -np.inf
        assert np.isfinite(rated.samples).all()


def test_a_certain_kernel_has_no_expected_error():
    found = evidence()
    certain = found._replace(samples=found.kernel[None])
    rated = judge(found.kernel, certain)
    assert rated.level == "high"
    assert rated.kernel_psnr == np.inf and rated.covariance_error == 0


def test_noise_of_the_gray_image_counts():
    """Colour images have more noise in each channel than in gray."""
    rated = judge(gaussian(2.0, 1.0), evidence(noise=2.4, noise_std=3.6 / 255))
    assert rated.level == "high"


def test_a_kernel_that_the_picture_chose_is_expected_to_lose():
    """By how much the second look misses, also where its samples are all alike."""
    found = evidence(spread=0.001, by_picture=True)
    narrow = judge(found.kernel, found)
    assert narrow.level == "medium"
    assert narrow.sr_loss == confidence.PICTURE_SR_LOSSES[2]
    wide = judge(gaussian(6.0, 6.0), found)
    assert wide.sr_loss > narrow.sr_loss


def test_what_jpeg_hides_is_no_loss_of_the_kernel():
    kernel = gaussian(2.6, 1.6)
    found = [
        judge(kernel, evidence(jpeg_strength=strength)).sr_loss
        for strength in (0.0, 0.05, 0.15, 0.4)
    ]
    assert found[0] > 1.5 * found[1] > 2 * found[2] > 0
    assert found[2] == found[3]
    noisy = judge(kernel, evidence(noise=3.0)).sr_loss
    assert found[2] == pytest.approx(noisy, rel=1e-4)
