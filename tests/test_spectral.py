"""The spectral likelihood: sums by hand, finite differences, known kernels."""

import functools
import io
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image as pillow

from kernelgan_jax import (
    crops,
    estimate_spectral,
    images,
    kernels,
    metrics,
    spectral,
)
from kernelgan_jax.resize import downscale

PHOTO = Path(__file__).parents[1] / "examples/images/chelsea.png"
VECTOR = np.array(
    [1.6, -0.4, 1.2, 0.2, 5.0, 2.1, 0.1, -0.2, 0.15, -0.05, -1.0], np.float32
)


@pytest.fixture(scope="module")
def photo():
    return images.to_unit(images.read(PHOTO).pixels).astype(np.float64)


def power_law(shape, exponent, seed=0):
    """A stationary image with the spectrum r^-exponent, and its spectrum."""
    rows, columns = np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1])
    radius = np.hypot(rows[:, None], columns)
    radius[0, 0] = np.inf
    noise = np.fft.fft2(np.random.default_rng(seed).standard_normal(shape))
    image = np.fft.ifft2(noise * radius ** (-exponent / 2)).real
    return 0.5 + 0.1 * (image - image.mean()) / image.std()


def test_periodogram_of_white_noise_and_of_a_wave():
    """White noise has its variance at all frequencies; a constant has nothing."""
    noise = 3 * np.random.default_rng(0).standard_normal((200, 300))
    found = spectral.periodogram(noise)
    np.testing.assert_allclose(found[4:-4, 4:-1].mean(), 9, rtol=0.05)
    assert found[0, 0] < 0.5  # The mean is taken out.
    assert spectral.periodogram(np.full((40, 50), 7.0)).max() < 1e-20
    wave = np.cos(2 * np.pi * 8 / 32 * np.arange(100))[None] * np.ones((90, 1))
    assert np.unravel_index(spectral.periodogram(wave).argmax(), spectral.SHAPE)[1] == 8


def test_strong_edges_do_not_stand_for_the_whole_image():
    """Parts count by the root of their power; of equal parts it is the mean power."""
    noise = np.random.default_rng(0).standard_normal((32, 32))
    tiled = np.tile(noise, (8, 8))
    gain = np.ones((256, 256))
    gain[:64, :64] = 100  # of 1/16 of the area
    mean = spectral.periodogram(tiled)[5, 5]
    assert spectral.periodogram(tiled * gain)[5, 5] < mean * (1 + 99 / 8) ** 2
    assert spectral.periodogram(tiled * gain)[5, 5] > mean


@pytest.mark.parametrize("family", spectral.FAMILIES)
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_expected_spectrum_is_the_sum_over_aliases(scale, family):
    """By the formula at the top of spectral.py, frequency by frequency."""
    likelihood = spectral.whittle(scale)
    kernel = np.asarray(likelihood.kernel(family, VECTOR), np.float64)
    found = np.asarray(likelihood.expected(family, VECTOR))
    place = np.indices(kernel.shape)
    amplitude, exponent, c, d, e, f, noise = VECTOR[4:].astype(np.float64)
    for i, j in [(1, 0), (30, 3), (5, 16), (9, 9)]:
        total = 0.0
        for m in range(scale):
            for n in range(scale):
                u, v = (np.fft.fftfreq(32)[[i, j]] + [m, n]) / scale
                u, v = (u + 0.5) % 1 - 0.5, (v + 0.5) % 1 - 0.5
                transfer = kernel * np.exp(-2j * np.pi * (u * place[0] + v * place[1]))
                turn = np.arctan2(u, v)
                power = c * np.cos(2 * turn) + d * np.sin(2 * turn)
                power += e * np.cos(4 * turn) + f * np.sin(4 * turn)
                power = np.exp(amplitude + power)
                power *= (scale * np.hypot(u, v)) ** -exponent
                total += np.abs(transfer.sum()) ** 2 * power
        expected = total / scale**2 + np.exp(noise)
        np.testing.assert_allclose(found[i, j], expected, rtol=1e-4)


def test_the_loss_has_whittles_curvature_and_heavy_tails():
    """Near the minimum half the square of log P/M; far away HEAVY_TAIL its size."""
    likelihood, family = spectral.whittle(2), spectral.GAUSSIAN
    expected = np.asarray(likelihood.expected(family, VECTOR), np.float64)
    place = (3, 5)

    def loss(log_ratio):
        measured = expected.copy()
        measured[place] *= np.exp(log_ratio)
        used = np.zeros(spectral.SHAPE)
        used[place] = 1
        arguments = (measured.astype(np.float32), used.astype(np.float32))
        return float(likelihood.loss(family, VECTOR, *arguments))

    least = loss(0.0)
    np.testing.assert_allclose(loss(0.05) - least, 0.05**2 / 2, rtol=0.05)
    tail = spectral.HEAVY_TAIL
    np.testing.assert_allclose(loss(4.0) - loss(3.0), tail, rtol=0.02)
    np.testing.assert_allclose(loss(-4.0) - loss(-3.0), tail, rtol=0.02)


@pytest.mark.parametrize("family", spectral.FAMILIES)
def test_the_gradient_of_the_loss(family):
    likelihood = spectral.whittle(2)
    measured = np.asarray(likelihood.expected(family, 1.1 * VECTOR))
    rest = (measured, spectral.USED)
    loss = jax.jit(likelihood.loss)
    gradient = jax.jit(jax.grad(likelihood.loss, 1))(family, VECTOR, *rest)
    for i in range(len(VECTOR)):
        step = np.zeros_like(VECTOR)
        step[i] = 1e-2
        slope = loss(family, VECTOR + step, *rest) - loss(family, VECTOR - step, *rest)
        slope /= 2e-2
        np.testing.assert_allclose(gradient[i], slope, rtol=0.05, atol=1e-3)


FIT = jax.jit(jax.vmap(functools.partial(spectral.fit, scale=2), in_axes=(0, None)))


@pytest.mark.parametrize("family", spectral.FAMILIES)
def test_what_the_model_says_is_found_again(family):
    """Of its own spectrum, up to the weak priors; under jit and vmap."""
    vector = VECTOR.copy()
    vector[3] = 0.6 if family == spectral.GENERALISED else 0
    if family == spectral.MOTION:
        vector[:3] = 4.0, -2.0, 0.5
    vector[6:10] = 0
    vector[5] = 2.2
    likelihood = spectral.whittle(2)
    measured = np.asarray(likelihood.expected(family, vector))

    both = FIT(np.stack([measured, 4 * measured]), family)
    true = likelihood.kernel(family, vector)
    for kernel in both.kernel:
        assert metrics.kernel_psnr(np.asarray(kernel), np.asarray(true)) > 62
    assert max(both.misfit) < 0.05
    values = np.linalg.eigvalsh(both.hessian)
    assert values.min() > 0  # A minimum.


def test_it_stays_in_float32_where_jax_is_in_float64():
    with jax.enable_x64(True):
        measured = jax.ShapeDtypeStruct(spectral.SHAPE, np.float32)
        family = jax.ShapeDtypeStruct((), np.int32)
        found = jax.eval_shape(
            functools.partial(spectral.fit, scale=2), measured, family
        )
        assert {leaf.dtype for leaf in found} == {np.dtype(np.float32)}
        sample = functools.partial(spectral.sample, scale=2)
        assert jax.eval_shape(sample, found, family).dtype == np.float32


@pytest.mark.parametrize("scale", [1, 3, 4, 8])
def test_kernels_of_stationary_images(scale):
    """With the spectrum that the model assumes: close at every scale."""
    variances = (3.5 * max(scale, 1.2) ** 2 / 4, 1.5 * max(scale, 1.2) ** 2 / 4)
    true = kernels.gaussian(8 * scale + 9, variances=variances, angle=0.7, scale=scale)
    hr = power_law((256 * min(scale, 4), 256 * min(scale, 4)), 2.2)
    lr = images.from_unit(downscale(hr, true, scale)[4:-4, 4:-4], np.uint8)
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
    true = kernels.gaussian(11, variances=(3.6, 1.2), angle=0.6, scale=2)
    lr = images.from_unit(downscale(photo, true, 2), np.uint8)
    found = estimate_spectral(lr)
    bicubic = kernels.centre(kernels.bicubic(2), 2)
    gain = metrics.kernel_psnr(found.kernel, true) - metrics.kernel_psnr(bicubic, true)
    assert gain > 10
    np.testing.assert_array_equal(found.kernel, estimate_spectral(lr).kernel)


@pytest.mark.parametrize(
    ("true", "family"),
    [
        (kernels.disk(13, radius=3.0, scale=2), spectral.GENERALISED),
        (kernels.gaussian(13, variances=(2.25, 2.25), scale=2), spectral.GAUSSIAN),
        (kernels.motion(13, length=6.0, angle=0.5, scale=2), spectral.MOTION),
    ],
    ids=["disk", "gaussian", "motion"],
)
def test_families_are_told_apart(true, family):
    """Another family than the Gaussian is taken where it fits much better alone."""
    lr = images.from_unit(downscale(power_law((512, 512), 2.2), true, 2), np.uint8)
    found = spectral.analyse(255 * images.to_unit(lr), scale=2)
    assert found.family == family
    assert metrics.kernel_psnr(found.evidence.kernel, true) > 55


def test_blocks_of_jpeg_are_seen_wherever_they_start(photo):
    true = kernels.gaussian(11, variances=(2.5, 1.2), angle=0.6, scale=2)
    lr = images.from_unit(downscale(photo, true, 2), np.uint8)
    with io.BytesIO() as file:
        pillow.fromarray(lr).save(file, "JPEG", quality=80)
        compressed = np.asarray(pillow.open(file))
    for pixels, jpeg in ((lr, False), (compressed, True), (compressed[3:, 5:], True)):
        gray = crops.gray(images.to_unit(pixels))
        assert spectral.has_blocks(gray) == jpeg
    assert not spectral.has_blocks(np.full((40, 50), 0.5))
    found = estimate_spectral(compressed).confidence
    assert found.level == "medium" and "JPEG" in found.reason


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
