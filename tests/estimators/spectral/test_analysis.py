"""The spectral estimator on images whose kernel, noise or compression is known."""

import functools
import io

import chex
import helpers
import jax
import numpy as np
import pytest
from PIL import Image as pillow

from kernelgan_jax import blur_kernels, kernels, metrics
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral.analysis import analyse
from kernelgan_jax.estimators.spectral.confidence import judge
from kernelgan_jax.estimators.spectral.estimator import (
    check,
    estimate,
    estimate_spectral,
)
from kernelgan_jax.estimators.spectral.families import (
    FAMILY_NAMES,
    GAUSSIAN,
    GENERALISED,
    MOTION,
)
from kernelgan_jax.estimators.spectral.measured import measure
from kernelgan_jax.estimators.spectral.noise import JPEG_NOISE, channel_noise_std
from kernelgan_jax.estimators.spectral.observation import Observation
from kernelgan_jax.estimators.spectral.periodogram import (
    SHAPE,
    to_gray,
)
from kernelgan_jax.estimators.spectral.posterior import SAMPLES
from kernelgan_jax.estimators.spectral.search import fit_families
from kernelgan_jax.levels import count_steps, to_own_range
from kernelgan_jax.pixels import from_unit, to_unit


@pytest.mark.parametrize("scale", [1, 3, 4, 8])
def test_kernels_of_stationary_images(scale):
    """Images with the spectrum of the model: close at every scale."""
    width = max(scale, 1.2)
    true = blur_kernels.gaussian(
        8 * scale + 9,
        variances=(3.5 * width**2 / 4, 1.5 * width**2 / 4),
        angle=0.7,
        scale=scale,
    )
    side = 256 * min(scale, 4)
    hr = helpers.power_law(side, side)
    lr = from_unit(downscale(hr, true, scale)[4:-4, 4:-4], np.uint8)
    found = estimate_spectral(lr, scale=scale)
    assert found.failure == "" and found.scale == scale
    np.testing.assert_allclose(found.kernel.sum(), 1)
    np.testing.assert_allclose(
        kernels.centre_of_mass(found.kernel),
        kernels.alignment(found.kernel.shape, scale),
        atol=0.02,
    )
    assert metrics.covariance_error(found.kernel, true) < 0.25
    frame = kernels.frame_size(scale)
    assert found.diagnostics.raw_kernel.shape == (frame, frame)
    samples = found.confidence.samples
    assert samples.shape == (SAMPLES, frame, frame)
    np.testing.assert_allclose(samples.sum((1, 2)), 1, rtol=1e-5)
    for sample in samples[:3]:
        centre = kernels.centre_of_mass(sample)
        expected = kernels.alignment(sample.shape, scale)
        np.testing.assert_allclose(centre, expected, atol=0.01)
    if scale == 4:
        ((half_scale, half),) = found.intermediate
        assert half_scale == 2
        composed = kernels.kernel_x4(half)
        assert metrics.covariance_error(composed, found.kernel) < 0.1
    else:
        assert found.intermediate == ()


def test_a_photograph(photo_lr, photo_kernel, photo_estimate):
    """Far better than the bicubic kernel; the same bits when repeated."""
    found = photo_estimate
    bicubic = kernels.centre(blur_kernels.bicubic(2), 2)
    gain = metrics.kernel_psnr(found.kernel, photo_kernel)
    gain -= metrics.kernel_psnr(bicubic, photo_kernel)
    assert gain > 10
    again = estimate_spectral(photo_lr)
    chex.assert_trees_all_equal(again.evidence, found.evidence)
    np.testing.assert_array_equal(again.kernel, found.kernel)


def test_an_estimate_is_its_evidence(photo_lr, photo_estimate):
    found, evidence = photo_estimate, photo_estimate.evidence
    np.testing.assert_array_equal(found.kernel, evidence.kernel)
    np.testing.assert_array_equal(found.diagnostics.raw_kernel, evidence.raw_kernel)
    assert found.scale == evidence.scale == 2
    assert found.noise_std == evidence.noise_std > 0
    assert found.trusted == (found.confidence.level != "low")
    assert found.diagnostics.losses == {}
    gray = to_gray(to_own_range(photo_lr)[0])
    steps = count_steps(photo_lr) / 255  # Of fewer levels than 256.
    assert evidence.contrast == pytest.approx(steps * gray.std())


@pytest.mark.parametrize(
    "dtype, a, b",
    [
        ("uint16", 257, 0),
        ("uint16", 4, 999),
        ("uint8", -1, 255),
        ("float64", 1e-5, 0.4),
    ],
)
def test_levels_do_not_matter(photo_lr, photo_estimate, dtype, a, b):
    evidence = analyse((a * photo_lr.astype(np.float64) + b).astype(dtype), scale=2)
    expected = photo_estimate.evidence
    np.testing.assert_allclose(evidence.kernel, expected.kernel, atol=1e-4)
    own = (evidence.noise_std / evidence.span, evidence.contrast, evidence.misfit)
    np.testing.assert_allclose(
        own,
        (expected.noise_std / expected.span, expected.contrast, expected.misfit),
        rtol=1e-2,
    )
    assert judge(evidence.kernel, evidence)[:2] == photo_estimate.confidence[:2]


@pytest.mark.parametrize(
    ("true", "family"),
    [
        (blur_kernels.disk(13, radius=3.0, scale=2), GENERALISED),
        (blur_kernels.gaussian(13, variances=(2.25, 2.25), scale=2), GAUSSIAN),
        (blur_kernels.motion(13, length=6.0, angle=0.5, scale=2), MOTION),
    ],
    ids=["disk", "gaussian", "motion"],
)
def test_families_are_distinguished(true, family):
    """A family other than the Gaussian is chosen only where it fits much better."""
    lr = from_unit(downscale(helpers.power_law(512, 512), true, 2), np.uint8)
    found = analyse(lr, scale=2)
    assert found.family == FAMILY_NAMES[family]
    assert metrics.kernel_psnr(found.kernel, true) > 55


def test_jpeg_is_recognised(photo_estimate):
    true = blur_kernels.gaussian(11, variances=(2.5, 1.2), angle=0.6, scale=2)
    image = helpers.photo().astype(np.float64)
    lr = from_unit(downscale(image, true, 2), np.uint8)
    with io.BytesIO() as file:
        pillow.fromarray(lr).save(file, "JPEG", quality=80)
        compressed = np.asarray(pillow.open(file))
    assert not photo_estimate.evidence.jpeg
    found = estimate_spectral(compressed)
    assert found.evidence.jpeg
    assert found.confidence.level == "medium" and "JPEG" in found.confidence.reason
    assert found.noise_std >= found.evidence.span * JPEG_NOISE / 255


def test_noise_is_found_and_lowers_the_confidence():
    rng = np.random.default_rng(0)
    hr = helpers.power_law(384, 384, contrast=0.15)
    true = blur_kernels.gaussian(11, variances=(1.6, 0.9), angle=0.4, scale=2)
    lr = downscale(hr, true, 2)
    expected = []
    for noise in (0.0, 6.0, 20.0):
        noisy = lr + noise / 255 * rng.standard_normal(lr.shape)
        found = estimate_spectral(from_unit(noisy, np.uint8))
        measured = 255 * found.noise_std
        assert measured == pytest.approx(max(noise, 0.3), rel=0.2, abs=0.2)
        own = found.evidence.span * found.evidence.gray_noise_std
        assert measured == pytest.approx(own)
        expected.append(found.confidence.covariance_error)
        if noise:
            assert found.confidence.level != "high"
    assert expected == sorted(expected)


def test_noise_of_channels():
    """Independent noise of three channels is smaller in the gray image."""
    nothing = np.zeros(4, np.float32)
    log_noise = np.float32(2 * np.log(2.0))
    spectrum = Spectrum(np.float32(4), np.float32(2.2), nothing, log_noise)
    colour = np.random.default_rng(0).random((4, 4, 3))
    gray, copied = colour[..., :1], np.broadcast_to(colour[..., :1], (4, 4, 3))
    for image, expected in ((gray, 2), (colour, 2 / 0.669), (copied, 2)):
        found = channel_noise_std(spectrum, image, jpeg=False)
        assert found == pytest.approx(expected / 255, rel=1e-3)
    assert channel_noise_std(spectrum, gray, jpeg=True) == pytest.approx(3 / 255)
    loud = spectrum._replace(log_noise=np.float32(2 * np.log(5.0)))
    assert channel_noise_std(loud, gray, jpeg=True) == pytest.approx(5 / 255)


def test_drawn_images_have_low_confidence():
    """An edge and a ramp have hardly any spectrum; no result is NaN."""
    edge = np.zeros((64, 64))
    edge[:, 32:] = 1
    for drawn in (edge, np.tile(np.linspace(0, 1, 64), (64, 1))):
        found = estimate_spectral(drawn)
        assert found.confidence.level == "low" and not found.trusted
        assert np.isfinite(found.kernel).all()
        assert np.isfinite(found.confidence.samples).all()
        assert not np.isnan(found.confidence[2:8]).any()


def test_a_search_that_does_not_converge_is_a_failure(photo_estimate):
    evidence = photo_estimate.evidence._replace(converged=False)
    (found,) = estimate(
        [None], [None], scale=2, config=None, evidence=[evidence], progress=None
    )
    assert "did not converge" in found.failure and not found.trusted
    assert found.failure == found.confidence.reason
    assert found.confidence.level == "low"


def test_the_estimator_reads_the_evidence(photo_lr, photo_estimate, monkeypatch):
    """Nothing is analysed a second time; without evidence it is analysed."""
    calls, reports = [], []

    def analysed(image, *, scale):
        calls.append(scale)
        return photo_estimate.evidence

    monkeypatch.setattr(f"{estimate.__module__}.analyse", analysed)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # One after the other.
    unit = to_unit(photo_lr)
    found = estimate(
        [None, None],
        [unit, unit],
        scale=2,
        config=None,
        evidence=[photo_estimate.evidence, None],
        progress=reports.append,
    )
    assert calls == [2]
    for one in found:
        np.testing.assert_array_equal(one.kernel, photo_estimate.kernel)
        assert one.confidence.level == photo_estimate.confidence.level
    assert [r.image for r in reports] == [0, 1]
    assert all(r.step == r.total and r.phase == "spectral" for r in reports)


def test_evidence_of_another_scale_is_refused(photo_estimate):
    with pytest.raises(ValueError, match=r"evidence\[0\] is of scale 2; .* scale 3"):
        estimate(
            [None],
            [None],
            scale=3,
            config=None,
            evidence=[photo_estimate.evidence],
            progress=None,
        )


def test_a_model_that_does_not_fit_is_an_error(photo_lr, monkeypatch):
    def nan_power(gray, **_):
        return np.full(SHAPE, np.nan)

    monkeypatch.setattr(f"{measure.__module__}.mean_window_power", nan_power)
    with pytest.raises(ValueError, match="does not fit at all"):
        analyse(photo_lr, scale=2)


def test_the_program_of_one_image_can_be_batched():
    """`fit_families` has no batch axis; `jax.vmap` gives it one."""
    many = jax.ShapeDtypeStruct((2, *SHAPE), np.float32)
    program = jax.vmap(functools.partial(fit_families, scale=1))
    fits, samples = jax.eval_shape(program, many, Observation(*[many] * 4))
    assert fits.kernel.shape == (2, 3, 17, 17)
    assert samples.shape == (2, 3, SAMPLES, 17, 17)


@pytest.mark.parametrize(
    ("image", "scale", "message"),
    [
        (np.zeros((64, 64)), 2, "constant"),
        (np.zeros((31, 64)), 2, "at least 32"),
        (np.zeros((64, 64)), 0, "scale is 0"),
        (np.zeros((64, 64)), 1.5, "scale is 1.5"),
        (np.zeros((64, 64, 4)), 2, "alpha"),
    ],
)
def test_bad_arguments(image, scale, message):
    for function in (estimate_spectral, analyse):
        with pytest.raises(ValueError, match=message):
            function(image, scale=scale)
    if image.ndim == 2:
        with pytest.raises(ValueError, match=message):
            check(image[..., None].astype(np.float32), scale=scale, config=None)
