"""What JPEG does to spectra, and kernels of compressed images."""

import io

import helpers
import numpy as np
import pytest
from PIL import Image

from kernelgan_jax import blur_kernels, equivalent_gaussian
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral import analyse, mean_periodogram
from kernelgan_jax.estimators.spectral.jpeg_strength import Jpeg
from kernelgan_jax.estimators.spectral.measured import measure
from kernelgan_jax.estimators.spectral.observation import (
    FREQUENCY_WEIGHTS,
    UNCOMPRESSED,
    WITH_BLOCKS,
    Observation,
    compressed,
    jpeg_effect,
)
from kernelgan_jax.estimators.spectral.periodogram import SHAPE
from kernelgan_jax.pixels import from_unit

KERNEL = blur_kernels.gaussian(11, variances=(3.6, 1.2), angle=0.6, scale=2)
RADIUS = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32))


@pytest.fixture(scope="module")
def lr():
    return from_unit(downscale(helpers.power_law(512, 512), KERNEL, 2), np.uint8)


def saved(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("quality", [40, 75, 90])
def test_it_compresses_as_jpeg_does(lr, quality):
    """To the rounding of the decoder, for sides that are no multiple of 8, too."""
    image = lr[:90, :101]
    ratio = 50 / quality if quality < 50 else 2 - quality / 50
    theirs = saved(image, quality)[: 88 - 8, : 96 - 8].astype(float)
    ours = compressed(image.astype(float), ratio, corner=(0, 0))
    assert ours.shape == image.shape
    off = np.abs(ours[: 88 - 8, : 96 - 8] - theirs)
    # A transform in the middle between two steps may be rounded either way.
    assert (off > 1).mean() < 0.04 and off.mean() < 0.3
    moved = compressed(image[5:, 2:].astype(float), ratio, corner=(3, 6))
    np.testing.assert_array_equal(moved[3:75, 6:78], ours[8:80, 8:80])


@pytest.mark.parametrize("quality", [50, 75, 90])
def test_a_second_compression_does_what_the_first_did(lr, quality):
    image = saved(lr, quality).astype(float)
    effect = jpeg_effect(image, Jpeg((100 - quality) / 50, (0, 0)))
    true, power = mean_periodogram(lr.astype(float)), mean_periodogram(image)
    expected = effect.gain**2 * true + effect.added * power
    off = np.log(power / expected)[FREQUENCY_WEIGHTS > 0]
    assert np.sqrt((off**2).mean()) < 0.35
    assert abs(off.mean()) < 0.2
    # Low frequencies are kept, and of high ones next to nothing is the scene's.
    assert effect.gain[(RADIUS > 0.05) & (RADIUS < 0.1)].min() > 0.95
    assert effect.added[RADIUS > 0.6].mean() > 0.7
    observed = effect.observation(power)
    np.testing.assert_allclose(observed.added, effect.added * power, rtol=1e-6)
    np.testing.assert_allclose(observed.kept, effect.gain**2, rtol=1e-6)


def test_where_blocks_start_and_what_is_not_used_do_not_matter(lr):
    image = saved(lr, 75).astype(float)
    whole = jpeg_effect(image, Jpeg(0.5, (0, 0)))
    moved = jpeg_effect(image[5:, 2:], Jpeg(0.5, (3, 6)))
    near = RADIUS < 0.3
    np.testing.assert_allclose(moved.gain[near], whole.gain[near], atol=0.05)
    np.testing.assert_allclose(moved.added[near], whole.added[near], atol=0.1)
    spoilt, unusable = image.copy(), np.zeros(image.shape, bool)
    unusable[:, :60] = True
    spoilt[unusable] = 255 * np.random.default_rng(0).integers(0, 2, unusable.sum())
    without = jpeg_effect(spoilt, Jpeg(0.5, (0, 0)), unusable=unusable)
    np.testing.assert_allclose(without.gain[near], whole.gain[near], atol=0.06)
    np.testing.assert_allclose(without.added[near], whole.added[near], atol=0.12)


@pytest.mark.parametrize(("quality", "most"), [(90, 1.65), (75, 1.95), (50, 2.1)])
def test_compression_is_not_taken_for_blur(lr, quality, most):
    """Of a variance of 1.2 pixels^2 across, 1.85 to 2.6 were found without this."""
    found = analyse(saved(lr, quality), scale=2, rare=False).kernel
    covariance = equivalent_gaussian.covariance(found, scale=2)
    narrow, wide = np.linalg.eigvalsh(covariance)
    assert 1.0 < narrow < most
    assert 2.9 < wide < 4.1


def test_how_an_image_is_observed(lr):
    assert measure(lr).observation is UNCOMPRESSED
    observed = measure(saved(lr, 75)).observation
    assert observed.kept.min() < 0.1 and observed.added.max() > 1
    for each in (*observed, *UNCOMPRESSED, *WITH_BLOCKS):
        assert each.shape == SHAPE and each.dtype == np.float32
    assert (WITH_BLOCKS.weights > 0).sum() < (UNCOMPRESSED.weights > 0).sum()


def test_blocks_whose_steps_are_not_known(lr):
    """As after a curve was applied."""
    changed = np.rint(255 * np.sqrt(saved(lr, 30) / 255)).astype(np.uint8)
    found = measure(changed)
    assert found.jpeg and found.observation is WITH_BLOCKS


def test_clarity():
    power = np.full(SHAPE, 2.0)
    assert UNCOMPRESSED.clarity(power) == 1
    ones = np.ones(SHAPE)
    half = Observation(FREQUENCY_WEIGHTS, ones, ones, ones)
    assert half.clarity(power) == pytest.approx(0.5)
    nothing = half._replace(added=3 * ones)
    assert nothing.clarity(power) == 0
