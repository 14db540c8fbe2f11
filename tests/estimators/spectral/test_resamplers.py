"""Images that were downscaled with the kernels of usual resamplers."""

import helpers
import numpy as np
import pytest

from kernelgan_jax import (
    analyse,
    blur_kernels,
    equivalent_gaussian,
    kernels,
    metrics,
)
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral import judge
from kernelgan_jax.estimators.spectral.families import PARAMETERS
from kernelgan_jax.estimators.spectral.fit import Fit
from kernelgan_jax.estimators.spectral.noise import flat_noise_std
from kernelgan_jax.estimators.spectral.resamplers import RESAMPLERS, resampler_kernels
from kernelgan_jax.estimators.spectral.search import choose
from kernelgan_jax.pixels import from_unit


@pytest.fixture(scope="module")
def hr():
    return helpers.power_law(512, 512)


@pytest.mark.parametrize("name", ["bicubic", "lanczos"])
def test_resamplers_are_found(hr, name):
    true = kernels.centre(RESAMPLERS[name].make(2), 2)
    evidence = analyse(from_unit(downscale(hr, true, 2), np.uint8), scale=2)
    assert 255 * evidence.noise_std < 1
    assert evidence.family == name
    assert metrics.kernel_psnr(evidence.kernel, true, scale=2) > 100
    assert judge(evidence.kernel, evidence).level == "high"


@pytest.mark.parametrize("scale", [3, 4])
def test_nearest_neighbours_are_found(hr, scale):
    """Of even scales one of the four pixels about the middle is taken."""
    # Without a part that is nearly flat aliasing looks like noise.
    rows, columns = np.indices(hr.shape)
    smooth = 0.5 + 0.1 * np.sin(rows / 61 + columns / 83)
    hr = np.where(columns < 170, smooth, hr)
    lr = hr[scale // 2 :: scale, scale // 2 :: scale]
    evidence = analyse(from_unit(lr, np.uint8), scale=scale)
    assert evidence.family == "nearest"
    side = 2 - scale % 2
    true = kernels.centre(np.full((side, side), side**-2.0), scale)
    assert metrics.kernel_psnr(evidence.kernel, true, scale=scale) > 100
    side = len(hr) // scale * scale
    boxes = downscale(hr[:side, :side], blur_kernels.box(scale), scale)
    assert analyse(from_unit(boxes, np.uint8), scale=scale).family == "box"


def test_nearest_neighbours_at_scale_2_are_the_box():
    assert len(resampler_kernels(2)) == len(resampler_kernels(3)) - 1
    np.testing.assert_array_equal(blur_kernels.nearest(2), blur_kernels.box(2))


@pytest.mark.parametrize("side", [1, 2])
def test_a_narrow_kernel_is_not_taken_for_noise(side):
    """Averages of 2 x 2 pixels, and no blur at all, leave aliasing of a photograph."""
    lr = downscale(helpers.photo(), np.full((side, side), side**-2.0), 2)
    evidence = analyse(from_unit(lr, np.uint8), scale=2)
    assert 255 * evidence.noise_std < 2
    assert "noisy" not in judge(evidence.kernel, evidence).reason


def test_a_gaussian_is_no_resampler(hr):
    true = blur_kernels.gaussian(13, variances=(1.5, 0.9), scale=2)
    evidence = analyse(from_unit(downscale(hr, true, 2), np.uint8), scale=2)
    assert evidence.family == "Gaussian"


def fits(losses, log_noise=0.0):
    """Fits with these losses; the kernels are their numbers."""
    count = len(losses)
    vectors = np.zeros((count, PARAMETERS), np.float32)
    vectors[:, -1] = log_noise
    numbers = np.arange(count, dtype=np.float32)[:, None, None] * np.ones((1, 3, 3))
    converged = np.isfinite(losses)
    return Fit(vectors, np.array(losses), None, converged, np.zeros(count), numbers)


@pytest.mark.parametrize(
    ("losses", "resampler", "shares"),
    [
        ((0.112, 0.2, 0.2), None, (0.5, 0, 0)),
        ((0.111, 0.2, 0.2), 0, (0.56, 0, 0)),
        ((0.105, 0.1, 0.2), 1, (0.35, 0.58, 0)),
        ((0.2, 0.2, 0.2), None, (0, 0, 0)),
        ((np.nan, np.nan, 0.05), 2, (0, 0, 1)),
        ((np.nan, np.nan, np.nan), None, (0, 0, 0)),
    ],
)
def test_samples_are_shared_as_the_kernels_are_likely(losses, resampler, shares):
    family_fits = fits((0.1, 0.2, 0.2))
    samples = np.full((3, 64, 3, 3), 7.0)
    found = choose(family_fits, samples, fits(losses))
    assert found.resampler == resampler
    for number, share in enumerate(shares):
        with_it = (found.samples == number).all((1, 2)).mean()
        assert with_it == pytest.approx(share, abs=0.02)
    own = (found.samples == 7).all((1, 2)).mean()
    assert own == pytest.approx(1 - sum(shares), abs=0.02)
    assert (samples == 7).all()


def test_a_resampler_is_rivalled_unless_it_explains_the_spectrum_better():
    samples = np.full((3, 64, 3, 3), 7.0)
    for loss, rivalled in ((0.105, True), (0.0995, True), (0.0985, False)):
        found = choose(fits((0.1, 0.2, 0.2)), samples, fits((loss, 0.2, 0.2)))
        assert found.resampler == 0 and found.rivalled == rivalled
    assert not choose(fits((0.1, 0.2, 0.2)), samples, fits((0.2,) * 3)).rivalled


def test_no_resampler_is_taken_in_noise_or_without_candidates():
    samples = np.full((3, 64, 3, 3), 7.0)
    good = fits((0.05, 0.05, 0.05))
    noisy = fits((0.1, 0.2, 0.2), log_noise=2 * np.log(3.1))
    for families, resampled in ((noisy, good), (fits((0.1, 0.2, 0.2)), None)):
        found = choose(families, samples, resampled)
        assert found.resampler is None and (found.samples == 7).all()


def test_aliasing_is_not_taken_for_noise():
    """Noise is the same everywhere, aliasing is where the picture has detail."""
    rng = np.random.default_rng(0)
    flat = np.full((96, 128), 120.0)
    busy = flat + np.where(np.arange(128) < 64, 0, 30) * rng.standard_normal((96, 128))
    for noise_std in (1.0, 4.0):
        for image in (flat, busy):
            noisy = image + noise_std * rng.standard_normal(image.shape)
            assert flat_noise_std(noisy) == pytest.approx(noise_std, rel=0.25)
    assert flat_noise_std(flat) == flat_noise_std(np.clip(busy, 250, 255)) == np.inf
    samples = np.full((3, 64, 3, 3), 7.0)
    noisy = fits((0.1, 0.2, 0.2), log_noise=2 * np.log(9.0))
    good = fits((0.05, 0.05, 0.05))
    assert choose(noisy, samples, good, flat_noise_std=1.0).resampler == 0


def test_the_equivalent_gaussian():
    plain = blur_kernels.gaussian(25, variances=(2.0, 1.0), angle=0.4, scale=2)
    np.testing.assert_array_equal(
        equivalent_gaussian.covariance(plain, scale=2), kernels.covariance(plain)
    )
    # A tiny lobe changes the way it is found, and hardly the result.
    lobed = plain - 0.02 * plain.max() * (np.indices(plain.shape).sum(0) == 0)
    np.testing.assert_allclose(
        equivalent_gaussian.covariance(lobed, scale=2),
        kernels.covariance(plain),
        atol=0.05,
    )
    wide = equivalent_gaussian.widths(blur_kernels.bicubic(4), scale=4)
    narrow = equivalent_gaussian.widths(blur_kernels.bicubic(2), scale=2)
    assert wide.longer == pytest.approx(2 * narrow.longer, rel=0.05)
