"""Camera shake: paths on images whose kernel is known."""

import functools

import helpers
import jax
import numpy as np
import pytest

from kernelgan_jax import blur_kernels, kernels, metrics
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral import (
    agreement,
    best,
    camera_shake,
    estimate_spectral,
    given_kernels,
    paths,
)
from kernelgan_jax.estimators.spectral.analysis import fit_measured
from kernelgan_jax.estimators.spectral.fit import fit_spectrum
from kernelgan_jax.estimators.spectral.likelihood import spectral_likelihood
from kernelgan_jax.estimators.spectral.measured import measure
from kernelgan_jax.estimators.spectral.posterior import SAMPLES
from kernelgan_jax.estimators.spectral.restored import detailed_part, log_sparsity
from kernelgan_jax.pixels import from_unit
from kernelgan_jax.usable_pixels.find import fill


def shake():
    """A bent path, 4.8 x 4.2 pixels, at scale 2."""
    times = np.linspace(-1, 1, 200)
    points = 2 * np.stack([1.2 * times, 1.6 * times**2 + 0.5 * times**3], 1)
    return kernels.centre(blur_kernels.path(17, points=points, scale=2), 2)


TRUE = metrics.pad_to_frame(shake(), scale=2)
USUAL = blur_kernels.gaussian(25, variances=(3.5, 2.0), angle=0.3, scale=2)


def lr_image(hr, kernel):
    return from_unit(np.clip(downscale(hr, kernel, 2)[8:-8, 8:-8], 0, 1), np.uint8)


def candidates(measured, *, usual_loss):
    first = fit_measured(measured, scale=2)[1].paths
    return camera_shake.candidates(
        first, measured.power, measured.observation, usual_loss=usual_loss, scale=2
    )


@pytest.fixture(scope="module")
def leaves():
    return helpers.dead_leaves(512, 512)


@pytest.fixture(scope="module")
def shaken(leaves):
    """An image of a camera that shook, and its estimate."""
    image = lr_image(leaves, shake())
    return image, estimate_spectral(image, scale=2)


def test_a_path_and_its_direction_are_found(shaken):
    _, found = shaken
    true = shake()
    assert found.evidence.family == camera_shake.NAME
    assert metrics.kernel_psnr(found.kernel, true, scale=2) > 52
    back = kernels.centre(true[::-1, ::-1], 2)
    assert metrics.kernel_psnr(found.kernel, back, scale=2) < 46
    assert found.trusted and not found.failure
    assert found.evidence.samples.shape[0] == SAMPLES
    # What is expected of it is what it is.
    assert 46 < found.confidence.kernel_psnr < 62


def test_a_mirrored_image_has_the_mirrored_path(shaken):
    image, found = shaken
    turned = estimate_spectral(image[::-1, ::-1], scale=2)
    back = kernels.centre(found.kernel[::-1, ::-1], 2)
    assert metrics.kernel_psnr(turned.kernel, back, scale=2) > 52


def test_other_blurs_are_no_shake(leaves):
    blur = blur_kernels.gaussian(17, variances=(3.0, 1.5), angle=0.6, scale=2)
    found = estimate_spectral(lr_image(leaves, blur), scale=2)
    assert found.evidence.family != camera_shake.NAME


def test_a_picture_without_edges_does_not_show_the_direction(shaken):
    """The picture decides, and noise looks the same with each of two paths."""
    gray = 255 * helpers.power_law(496, 496)
    image = lr_image(gray / 255, shake())
    measured = measure(image)
    usual = blur_kernels.gaussian(25, variances=(5.0, 2.5), scale=2)
    paths_found = candidates(measured, usual_loss=0.2)
    assert paths_found

    def believed(gray):
        """Whether a path is taken if the spectrum and all parts speak for it."""
        sparsity = functools.partial(log_sparsity, gray, scale=2)
        pictures = (
            camera_shake.seen(vector, sparsity, usual_sparsity=sparsity(usual), scale=2)
            for vector, _ in paths_found
        )
        return any(camera_shake.is_shake(each, ratio=0.1) for each in pictures)

    assert not believed(measured.own[..., 0] * 255)
    # The same with edges: one is chosen.
    assert believed(measure(shaken[0]).own[..., 0] * 255)


def test_limits_are_stricter_where_parts_do_not_agree_well():
    path = np.zeros(paths.UNKNOWNS), TRUE
    clear = camera_shake.Seen(*path, contrast=0.05, excess=0.0)
    assert camera_shake.is_shake(clear, ratio=0.84, agreed=0.11)
    assert not camera_shake.is_shake(clear, ratio=0.84, agreed=0.09)
    for worse, ratio in (
        (clear, 0.86),
        (clear._replace(contrast=0.015), 0.5),
        (clear._replace(excess=0.011), 0.5),
    ):
        assert not camera_shake.is_shake(worse, ratio=ratio, agreed=0.19)
        assert camera_shake.is_shake(worse, ratio=ratio, agreed=0.2)
    for bad in (clear._replace(contrast=0.009), clear._replace(excess=0.021)):
        assert not camera_shake.is_shake(bad, ratio=0.1)


def test_no_path_where_the_families_do_as_well(shaken):
    measured = measure(shaken[0])
    assert candidates(measured, usual_loss=1e-3) == []


@pytest.fixture(scope="module")
def partly_shaken(leaves, shaken):
    """The measurements of an image of which a third is the shaken one."""
    blur = blur_kernels.gaussian(17, variances=(2.5, 1.2), angle=0.3, scale=2)
    image = lr_image(leaves, blur)
    third = len(image) // 3
    image[:third] = shaken[0][:third]
    return measure(image)


def test_parts_agree_on_what_all_of_them_have(shaken, partly_shaken):
    whole = measure(shaken[0])
    gain = agreement.mean_gain(whole, TRUE, USUAL, scale=2)
    assert gain > 0.25
    back = agreement.mean_gain(whole, USUAL, TRUE, scale=2)
    assert back == pytest.approx(-gain, abs=1e-6)
    assert agreement.mean_gain(partly_shaken, TRUE, USUAL, scale=2) < 0


def test_parts_that_are_hidden_do_not_count(partly_shaken):
    """The third that is shaken, and nothing."""
    rows = np.arange(len(partly_shaken.own)) >= len(partly_shaken.own) // 3
    hidden = np.broadcast_to(rows[:, None], partly_shaken.own.shape[:2])
    some = partly_shaken._replace(unusable=hidden)
    assert agreement.mean_gain(some, TRUE, USUAL, scale=2) > 0.25
    none = partly_shaken._replace(unusable=np.ones_like(hidden))
    assert agreement.mean_gain(none, TRUE, USUAL, scale=2) == 0


def test_parts_have_their_share_of_what_jpeg_added(shaken):
    whole = measure(shaken[0])
    share = 0.3 * np.ones_like(whole.power)
    seen = whole.observation._replace(added=share * whole.power)
    corner = whole._replace(own=whole.own[:90, :90], observation=seen)
    power = measure(shaken[0][:90, :90]).power
    own = seen._replace(added=share * power)
    close = blur_kernels.gaussian(25, variances=(3.1, 2.0), angle=0.3, scale=2)

    def expected(observation):
        pair = given_kernels.losses([USUAL, close], power, observation, scale=2)
        return np.log(pair[0] / pair[1])

    gain = agreement.mean_gain(corner, close, USUAL, scale=2)
    assert abs(expected(own)) < agreement.MOST_GAIN
    assert gain == pytest.approx(expected(own), abs=1e-3)
    assert gain != pytest.approx(expected(seen), abs=1e-2)


def test_a_path_without_a_direction_is_none(shaken):
    gray = measure(shaken[0]).own[..., 0] * 255
    still = camera_shake.seen(
        np.zeros(paths.UNKNOWNS),
        functools.partial(log_sparsity, gray, scale=2),
        usual_sparsity=0.0,
        scale=2,
    )
    assert still.contrast == 0
    assert not camera_shake.is_shake(still, ratio=0.1)


@pytest.mark.parametrize("scale", [1, 2])
def test_losses_of_given_kernels_are_those_of_their_spectra(shaken, scale):
    measured = measure(shaken[0])
    spectra = measured.power, measured.observation
    size = spectral_likelihood(scale).size
    several = [
        blur_kernels.gaussian(size, variances=(v, 1.0), scale=scale) for v in (1, 2, 4)
    ]
    expected = [
        fit_spectrum(spectra[0], k, observation=spectra[1], scale=scale).loss
        for k in np.float32(several)
    ]
    for count in (1, 2, 3):
        found = given_kernels.losses(several[:count], *spectra, scale=scale)
        np.testing.assert_allclose(found, expected[:count], rtol=1e-4)


def test_a_path_of_one_part_is_not_taken(shaken, partly_shaken, monkeypatch):
    """The spectrum and the picture speak for a path here, but two thirds do not."""
    whole, fits = fit_measured(measure(shaken[0]), scale=2)
    assert best.best(whole, fits, scale=2).name == camera_shake.NAME
    monkeypatch.setattr(
        best,
        "detailed_part",
        lambda _, __, **sides: detailed_part(whole.own, whole.unusable, **sides),
    )
    mixed = whole._replace(own=partly_shaken.own)
    assert best.best(mixed, fits, scale=2).name != camera_shake.NAME
    monkeypatch.setattr(best, "mean_gain", lambda *_, **__: 0.3)
    assert best.best(mixed, fits, scale=2).name == camera_shake.NAME


def test_starts_are_different_paths_and_their_neighbours_close(shaken):
    first = np.asarray(paths.starts(measure(shaken[0]).power, scale=2))
    assert first.shape == (paths.STARTS, paths.UNKNOWNS)
    assert np.abs(np.diff(first[:, 0])).min() > 0
    close = paths.near(first[:4], seed=0, scale=2)
    assert close.shape == first.shape
    moved = np.abs(close[:4] - first[:4])
    assert 0.1 < moved[:, : paths.COEFFICIENTS].mean() < 2
    assert not moved[:, paths.COEFFICIENTS :].any()


def test_the_half_kernel_is_narrower(shaken):
    """An x4 kernel's covariance is five times that of the x2 kernel that leads to it,
    and four times in what a pixel makes of it."""
    vector = paths.starts(measure(shaken[0]).power, scale=4)[0]
    whole, made = (
        np.asarray(jax.jit(paths.kernel_of(s))(v), np.float64)
        for s, v in ((4, vector), (2, paths.halved(vector)))
    )
    ratio = kernels.widths(whole).longer / kernels.widths(made).longer
    assert ratio == pytest.approx((2 + 5**0.5) / 2, rel=0.06)


def test_sparsity_leaves_out_what_is_not_used(shaken):
    image, found = shaken
    gray = image[..., 0].astype(float) if image.ndim == 3 else image.astype(float)
    whole = log_sparsity(gray, found.kernel, scale=2)
    assert whole < 0
    scratched = gray.copy()
    scratched[40:44] = 255 * (np.indices(scratched[40:44].shape).sum(0) % 2)
    unusable = np.zeros(gray.shape, bool)
    unusable[40:44] = True
    filled = fill(scratched[..., None], unusable)[..., 0]
    left_out = log_sparsity(filled, found.kernel, scale=2, unusable=unusable)
    assert abs(left_out - whole) < 0.02
    assert log_sparsity(scratched, found.kernel, scale=2) < whole - 0.02


def test_the_trace_of_a_path_is_kept_also_where_nothing_is_rated():
    """As by `analyse` alone, which does not import `confidence`."""
    helpers.imported(
        "import jax\n"
        "from kernelgan_jax.estimate import Spectrum\n"
        "from kernelgan_jax.estimators.spectral import paths\n"
        "jax.export.export(jax.jit(lambda x: Spectrum(x, x, x, x)))(1.0).serialize()"
    )
