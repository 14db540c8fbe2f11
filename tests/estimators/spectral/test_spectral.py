"""The spectral estimator: its own spectra, its posterior, known kernels."""

import functools
import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernelgan_jax.estimators.spectral.estimator import _compiled, analyse
from PIL import Image as pillow

from kernelgan_jax import blur_kernels, estimate_spectral, kernels, metrics
from kernelgan_jax.app import image_files
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral import estimator
from kernelgan_jax.estimators.spectral.families import (
    FAMILIES,
    GAUSSIAN,
    GENERALISED,
    MOTION,
    families,
)
from kernelgan_jax.estimators.spectral.fit import Fit, fit, unpack_spectrum
from kernelgan_jax.estimators.spectral.likelihood import (
    FREQUENCY_WEIGHTS,
    PRIOR_WEIGHT,
    spectral_likelihood,
)
from kernelgan_jax.estimators.spectral.periodogram import SHAPE, to_gray
from kernelgan_jax.estimators.spectral.posterior import (
    PRIORS,
    SAMPLES,
    SHARPNESS,
    SPREAD,
    posterior,
    sample,
)
from kernelgan_jax.pixels import from_unit, to_unit

PHOTO = Path(__file__).parents[1] / "examples/images/chelsea.png"
VECTOR = np.array(
    [1.6, -0.4, 1.2, 0.2, 5.0, 2.1, 0.1, -0.2, 0.15, -0.05, -1.0], np.float32
)


@pytest.fixture(scope="module")
def photo():
    return to_unit(image_files.read(PHOTO).pixels).astype(np.float64)


def power_law(shape, exponent, seed=0):
    """A stationary image with the spectrum r^-exponent, and its spectrum."""
    rows, columns = np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1])
    radius = np.hypot(rows[:, None], columns)
    radius[0, 0] = np.inf
    noise = np.fft.fft2(np.random.default_rng(seed).standard_normal(shape))
    image = np.fft.ifft2(noise * radius ** (-exponent / 2)).real
    return 0.5 + 0.1 * (image - image.mean()) / image.std()


FIT = jax.jit(jax.vmap(functools.partial(fit, scale=2), in_axes=(0, None)))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_model_says_is_found_again(family):
    """Of its own spectrum, up to the weak priors; under jit and vmap."""
    vector = VECTOR.copy()
    vector[3] = 0.6 if family == GENERALISED else 0
    if family == MOTION:
        vector[:3] = 4.0, -2.0, 0.5
    vector[6:10] = 0
    vector[5] = 2.2
    true = np.asarray(families(2).kernel(family, vector[:4]))
    measured = np.asarray(
        spectral_likelihood(2).expected(true, unpack_spectrum(vector))
    )

    both = FIT(np.stack([measured, 4 * measured]), family)
    assert all(both.ended)
    for kernel in both.kernel:
        assert metrics.kernel_psnr(np.asarray(kernel), true) > 62
    assert max(both.misfit) < 0.05
    values = np.linalg.eigvalsh(both.hessian)
    assert values.min() > 0  # A minimum.


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_of_the_loss(family):
    likelihood, kinds = spectral_likelihood(2), families(2)

    def expected(vector):
        kernel = kinds.kernel(family, vector[:4])
        return likelihood.expected(kernel, unpack_spectrum(vector))

    measured = expected(1.1 * VECTOR)

    @jax.jit
    def loss(vector):
        kernel, spectrum = kinds.kernel(family, vector[:4]), unpack_spectrum(vector)
        misfit = FREQUENCY_WEIGHTS * likelihood.misfit(kernel, spectrum, measured)
        priors = likelihood.priors(spectrum) + kinds.priors(family, vector[:4])
        return misfit.sum() / FREQUENCY_WEIGHTS.sum() + priors

    gradient = jax.jit(jax.grad(loss))(VECTOR)
    for i in range(len(VECTOR)):
        step = np.zeros_like(VECTOR)
        step[i] = 1e-2
        slope = (loss(VECTOR + step) - loss(VECTOR - step)) / 2e-2
        np.testing.assert_allclose(gradient[i], slope, rtol=0.05, atol=1e-3)


def test_it_stays_in_float32_where_jax_is_in_float64():
    with jax.enable_x64(True):
        measured = jax.ShapeDtypeStruct(SHAPE, np.float32)
        family = jax.ShapeDtypeStruct((), np.int32)
        found = jax.eval_shape(functools.partial(fit, scale=2), measured, family)
        assert np.dtype(np.float64) not in {leaf.dtype for leaf in found}
        posterior = functools.partial(posterior, scale=2)
        covariance = jax.eval_shape(posterior, found, measured, family)
        assert covariance.dtype == np.float32
        sample = functools.partial(sample, scale=2)
        assert jax.eval_shape(sample, found, covariance, family).dtype == np.float32


def test_priors_of_the_families():
    """One standard deviation off, in each way, costs PRIOR."""
    priors = families(2).priors

    def ellipse(longer, shorter, log_power=0.0):
        root = np.sqrt(np.array([longer, 0, shorter]) - [0.1, 0, 0.1])
        return priors(GENERALISED, jnp.array([*root, log_power]))

    assert ellipse(2, 2) == pytest.approx(0, abs=1e-7)
    assert ellipse(2 * np.e, 2 * np.e) == pytest.approx(PRIOR_WEIGHT, rel=1e-3)
    assert ellipse(2 / np.e, 2 / np.e) == pytest.approx(PRIOR_WEIGHT, rel=1e-3)
    assert ellipse(2, 2, -1.0) == pytest.approx(PRIOR_WEIGHT, rel=1e-3)
    assert ellipse(2 * 2.37, 2 / 2.37) == pytest.approx(PRIOR_WEIGHT, rel=1e-2)
    # A motion as wide as a pixel (1/3 pixel^2), of variance 12 along: area 2.
    pixel, length = np.sqrt(1 / 3 - 0.1), np.sqrt(12 * (12 - 1 / 3))
    for turn in (0.0, 1.0):
        line = length * np.array([np.sin(turn), np.cos(turn)])
        motion = jnp.array([*line, pixel, 0.0])
        assert priors(MOTION, motion) == pytest.approx(0, abs=1e-7)
        still = jnp.array([0.0, 0.0, np.sqrt(np.e / 3 - 0.1), 0.0])
        expected = PRIOR_WEIGHT * (1 + np.log(np.e / 6) ** 2)
        assert priors(MOTION, still) == pytest.approx(expected, rel=1e-3)


def test_the_posterior_is_the_sandwich():
    """Worked out pair by pair of frequencies."""
    family = GAUSSIAN
    likelihood, kinds = spectral_likelihood(2), families(2)
    vector = VECTOR.copy()
    vector[3] = 0
    kernel = kinds.kernel(family, vector[:4])
    spectrum = unpack_spectrum(vector)
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    measured = likelihood.expected(kernel, spectrum) * np.exp(0.2 * noise)
    measured = measured.astype(np.float32)
    fit = jax.jit(functools.partial(fit, scale=2))(measured, family)
    found = posterior(fit, measured, family, scale=2)

    @jax.jit
    @jax.jacfwd
    def slopes(vector):
        kernel = kinds.kernel(family, vector[:4])
        each = likelihood.misfit(kernel, unpack_spectrum(vector), measured)
        return FREQUENCY_WEIGHTS * each / FREQUENCY_WEIGHTS.sum()

    @jax.jit
    @jax.hessian
    def of_priors(vector):
        spectrum = unpack_spectrum(vector)
        return likelihood.priors(spectrum) + kinds.priors(family, vector[:4])

    each = np.asarray(slopes(fit.vector), np.float64)
    places = [(i, j) for i in range(32) for j in range(17)]
    together = np.zeros((11, 11))
    for i, j in places:
        for k, m in places:
            rows = min(abs(i - k), 32 - abs(i - k))
            near = max(1 - rows / 8, 0) * max(1 - abs(j - m) / 8, 0)
            if near:
                together += near * np.outer(each[i, j], each[k, m])
    inner = SPREAD * together
    inner += PRIORS * np.asarray(of_priors(fit.vector))
    inner[3] = inner[:, 3] = 0  # A Gaussian has no power to be found.
    inverse = np.linalg.inv(np.asarray(fit.hessian, np.float64))
    expected = inverse @ inner @ inverse
    wider = np.array([*fit.vector[:3], *np.zeros(8)]) * SHARPNESS / 2
    expected += np.outer(wider, wider)
    scale = np.sqrt(np.diag(expected) + 1e-12)
    np.testing.assert_allclose(
        found / np.outer(scale, scale), expected / np.outer(scale, scale), atol=0.02
    )


def test_samples_of_a_posterior():
    """They have its mean and spread; a certain one has a single kernel."""
    vector = jnp.array([1.5, 0.0, 1.5, 0, *VECTOR[4:]], jnp.float32)
    kernel = families(2).kernel(GAUSSIAN, vector[:4])
    nothing = jnp.zeros((), jnp.float32)
    fit = Fit(vector, nothing, jnp.eye(11), True, nothing, kernel)
    covariance = np.zeros((11, 11), np.float32)
    covariance[0, 0] = 0.1**2

    def widths(covariance):
        found = sample(fit, covariance, GAUSSIAN, scale=2)
        assert found.shape == (SAMPLES, 25, 25)
        covariances = [kernels.covariance(np.asarray(k, np.float64)) for k in found]
        return np.sqrt([np.diag(c) for c in covariances])

    rows, columns = widths(covariance).T
    # Of sqrt(1.5^2 + 0.1): it grows by 0.98 of what the factor does.
    assert rows.mean() == pytest.approx(1.533, rel=0.02)
    assert rows.std() == pytest.approx(0.098, rel=0.1)
    np.testing.assert_allclose(columns, 1.533, rtol=0.01)
    assert np.ptp(widths(np.zeros((11, 11), np.float32))) < 1e-3


@pytest.mark.parametrize("scale", [1, 3, 4, 8])
def test_kernels_of_stationary_images(scale):
    """With the spectrum that the model assumes: close at every scale."""
    variances = (3.5 * max(scale, 1.2) ** 2 / 4, 1.5 * max(scale, 1.2) ** 2 / 4)
    true = blur_kernels.gaussian(
        8 * scale + 9, variances=variances, angle=0.7, scale=scale
    )
    hr = power_law((256 * min(scale, 4), 256 * min(scale, 4)), 2.2)
    lr = from_unit(downscale(hr, true, scale)[4:-4, 4:-4], np.uint8)
    found = estimate_spectral(lr, scale=scale)
    kernel = found.kernel_x4 if scale == 4 else found.kernel
    assert found.converged and found.scale == (2 if scale == 4 else scale)
    np.testing.assert_allclose(kernel.sum(), 1)
    np.testing.assert_allclose(
        kernels.centre_of_mass(kernel),
        kernels.alignment(kernel.shape, scale),
        atol=0.02,
    )
    assert metrics.covariance_error(kernel, true) < 0.25
    if scale == 4:
        composed = kernels.kernel_x4(found.kernel)
        assert metrics.covariance_error(composed, kernel) < 0.1


def test_a_photograph(photo):
    """Far better than the bicubic kernel; the same bits again."""
    true = blur_kernels.gaussian(11, variances=(3.6, 1.2), angle=0.6, scale=2)
    lr = from_unit(downscale(photo, true, 2), np.uint8)
    found = estimate_spectral(lr)
    bicubic = kernels.centre(blur_kernels.bicubic(2), 2)
    gain = metrics.kernel_psnr(found.kernel, true) - metrics.kernel_psnr(bicubic, true)
    assert gain > 10
    np.testing.assert_array_equal(found.kernel, estimate_spectral(lr).kernel)


@pytest.mark.parametrize(
    ("true", "family"),
    [
        (blur_kernels.disk(13, radius=3.0, scale=2), GENERALISED),
        (blur_kernels.gaussian(13, variances=(2.25, 2.25), scale=2), GAUSSIAN),
        (blur_kernels.motion(13, length=6.0, angle=0.5, scale=2), MOTION),
    ],
    ids=["disk", "gaussian", "motion"],
)
def test_families_are_told_apart(true, family):
    """Another family than the Gaussian is taken where it fits much better alone."""
    lr = from_unit(downscale(power_law((512, 512), 2.2), true, 2), np.uint8)
    found = analyse(255 * to_unit(lr), scale=2)
    assert found.family == family
    assert metrics.kernel_psnr(found.evidence.kernel, true) > 55


def test_a_search_that_does_not_end_is_told(monkeypatch):
    monkeypatch.setattr(estimator, "NEWTON_STEPS", 2)
    _compiled.cache_clear()
    try:
        found = estimate_spectral(power_law((96, 96), 2.2))
    finally:
        _compiled.cache_clear()
    assert not found.converged and not found.sure
    assert found.reason == found.confidence.reason
    assert "did not end" in found.reason
    assert found.confidence.level == "low"


def test_jpeg_is_told(photo):
    true = blur_kernels.gaussian(11, variances=(2.5, 1.2), angle=0.6, scale=2)
    lr = from_unit(downscale(photo, true, 2), np.uint8)
    with io.BytesIO() as file:
        pillow.fromarray(lr).save(file, "JPEG", quality=80)
        compressed = np.asarray(pillow.open(file))
    assert not analyse(to_gray(to_unit(lr)), scale=2).evidence.jpeg
    found = estimate_spectral(compressed).confidence
    assert found.level == "medium" and "JPEG" in found.reason


def test_a_steep_spectrum_does_not_overflow():
    """At frequency 0 it would, which does not count."""
    likelihood, kinds = spectral_likelihood(1), families(1)
    vector = jnp.array([1.2, 0, 1.2, 0, 2, 4.5, 0, 0, 0, 0, -1], jnp.float32)

    def loss(vector):
        kernel = kinds.kernel(GAUSSIAN, vector[:4])
        each = likelihood.misfit(kernel, unpack_spectrum(vector), jnp.ones(SHAPE))
        return (FREQUENCY_WEIGHTS * each).sum()

    assert np.isfinite(jax.jit(jax.hessian(loss))(vector)).all()


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
    with pytest.raises(ValueError, match=message):
        estimate_spectral(image, scale=scale)
