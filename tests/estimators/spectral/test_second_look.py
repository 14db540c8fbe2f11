"""The second look: statistics of pictures, what is compared, and the choice."""

import helpers
import jax
import numpy as np
import pytest
import scipy.ndimage

from kernelgan_jax import (
    analyse,
    blur_kernels,
    equivalent_gaussian,
    judge,
    transfer_functions,
)
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral import (
    compared_kernels,
    given_kernels,
    kernel_scores,
    second_look,
)
from kernelgan_jax.estimators.spectral.analysis import fit_measured
from kernelgan_jax.estimators.spectral.best import best
from kernelgan_jax.estimators.spectral.kernel_scores import network
from kernelgan_jax.estimators.spectral.measured import measure
from kernelgan_jax.estimators.spectral.picture_statistics import COUNT, statistics
from kernelgan_jax.estimators.spectral.restored import detailed_quarters
from kernelgan_jax.pixels import from_unit

SCALE = 2


def image_of(side=192):
    hr = helpers.dead_leaves(side, side + 64)
    kernel = blur_kernels.gaussian(17, variances=(2.0, 1.2), angle=0.4, scale=SCALE)
    return from_unit(np.clip(downscale(hr, kernel, SCALE), 0, 1), np.uint8)


@pytest.fixture(scope="module")
def fitted():
    measured, fits = fit_measured(measure(image_of()), scale=SCALE)
    return measured, fits, best(measured, fits, scale=SCALE)


def test_statistics_see_halos_and_softness():
    blocks = np.random.default_rng(0).integers(0, 2, (8, 9))
    edges = 255.0 * np.kron(blocks, np.ones((24, 24)))
    soft = scipy.ndimage.gaussian_filter(edges, 1.5)
    halos = 2.5 * soft - 1.5 * scipy.ndimage.gaussian_filter(soft, 2.0)
    first = 8  # After the sparsity of slopes and their differences.
    beside = slice(first + 6, first + 12)
    assert statistics(halos)[beside].min() < -0.05
    assert statistics(soft)[beside].min() > -0.05
    # Slopes of an unblurred edge are alone; those of a soft one have neighbours.
    assert statistics(edges)[first] < 0.3 < 0.7 < statistics(soft)[first]


@pytest.mark.parametrize(
    "turned",
    [np.transpose, np.flipud, np.fliplr, lambda p: p + 40.0],
    ids=["transposed", "upside down", "mirrored", "brighter"],
)
def test_statistics_are_those_of_the_turned_picture(turned):
    picture = 255 * helpers.texture(96, 128)[..., 0]
    found, same = statistics(picture), statistics(turned(picture))
    assert found.shape == (COUNT,)
    np.testing.assert_allclose(same, found, atol=2e-3)


def test_what_is_no_picture_has_no_part_in_statistics():
    picture = 255 * helpers.texture(128, 160)[..., 0]
    drawn = np.zeros(picture.shape, bool)
    drawn[40:70] = drawn[:, 100:110] = True
    found = statistics(np.where(drawn, np.nan, picture))
    np.testing.assert_allclose(found, statistics(picture), atol=0.1)
    assert np.abs(statistics(picture * ~drawn) - statistics(picture)).max() > 0.5


def test_text_does_not_make_a_picture_soft(fitted):
    """What stands in for it is smooth; it once let narrower kernels win."""
    measured, fits, likeliest = fitted
    text = np.zeros(measured.own.shape[:2], bool)
    text[40:70, 8:-8] = True
    plain, drawn = (
        second_look.look(each, fits, likeliest, scale=SCALE).inputs
        for each in (measured, measured._replace(unusable=text))
    )
    apart = np.abs(network().scores(drawn) - network().scores(plain))
    assert apart.max() < 0.35


def test_quarters_without_text_decide(fitted):
    """Letters show beyond their own pixels."""
    measured, fits, likeliest = fitted
    large = measured._replace(own=np.tile(measured.own, (2, 2, 1)))
    text = np.zeros(large.own.shape[:2], bool)
    text[-40:-30, 40:-40] = True
    plain, drawn = (
        second_look.look(each, fits, likeliest, scale=SCALE).inputs
        for each in (large, large._replace(unusable=text))
    )
    assert (len(plain), len(drawn)) == (4, 2)
    np.testing.assert_array_equal(drawn, plain[:2])


def test_a_part_of_which_little_is_picture_is_left_out(fitted):
    measured, *found = fitted
    text = np.zeros(measured.own.shape[:2], bool)
    text[second_look.BORDER : -second_look.BORDER] = True
    drawn = measured._replace(unusable=text)
    assert second_look.look(drawn, *found, scale=SCALE) is None


def test_a_constant_picture_has_statistics():
    assert np.isfinite(statistics(np.full((64, 64), 3.0))).all()


def test_the_likeliest_kernel_is_the_first_of_different_ones(fitted):
    found = second_look.look(*fitted, scale=SCALE)
    names = [each.name for each in found.compared]
    sharpened = len(compared_kernels.SHARPENED)
    assert names[0] == "Gaussian" == fitted[2].name
    np.testing.assert_allclose(found.compared[0].kernel, fitted[2].kernel)
    own, bicubic, *others = (
        equivalent_gaussian.covariance(each.kernel, scale=SCALE)
        for each in found.compared[:-sharpened]
    )
    assert names[1:-sharpened] == ["bicubic", *["Gaussian"] * len(others)]
    wide_enough = [
        factor
        for factor in compared_kernels.FACTORS
        if np.linalg.det(factor * own) >= np.linalg.det(bicubic)
    ]
    assert 0.5 in wide_enough and 0.2 not in wide_enough
    for factor, other in zip(wide_enough, others, strict=True):
        np.testing.assert_allclose(other, factor * own, rtol=0.1, atol=0.1)
    inputs = len(kernel_scores.network().mean)
    assert found.inputs.shape == (2, len(names), inputs)
    assert np.isfinite(found.inputs).all()


def test_sharpened_kernels_are_compared(fitted):
    found = second_look.look(*fitted, scale=SCALE).compared
    of_frequency = np.array([0.0, 0.125, 0.25])  # Cycles per HR pixel.
    passed = [
        abs(transfer_functions.at(each.kernel, of_frequency, np.zeros(1), scale=SCALE))[
            :, 0
        ]
        for each in (found[0], *found[-len(compared_kernels.SHARPENED) :])
    ]
    for (factor, amount), each in zip(
        compared_kernels.SHARPENED, passed[1:], strict=True
    ):
        wave = np.exp(-((2 * np.pi * of_frequency * SCALE) ** 2) / 2)
        expected = passed[0] ** factor * (1 + amount * (1 - wave))
        np.testing.assert_allclose(each, expected, rtol=0.03)
    assert [each.name for each in found].count("sharpened Gaussian") == 2
    assert min(each.kernel.min() for each in found[-2:]) < 0


def test_the_picture_can_decide(fitted, monkeypatch):
    measured, fits, likeliest = fitted
    factor, place = 0.5, 3 + compared_kernels.FACTORS.index(0.5)
    network = helpers.network_preferring(place)
    monkeypatch.setattr(second_look, "network", lambda: network)
    chosen = second_look.reconsider(measured, fits, likeliest, scale=SCALE)
    assert chosen.by_picture and chosen.name == "Gaussian"
    own, other = (
        equivalent_gaussian.covariance(each.kernel, scale=SCALE)
        for each in (likeliest, chosen)
    )
    np.testing.assert_allclose(other, factor * own, rtol=0.05, atol=0.05)
    # Its posterior is about it; the spectrum speaks for the likeliest kernel.
    mean = equivalent_gaussian.covariances(chosen.samples, scale=SCALE).mean(0)
    np.testing.assert_allclose(mean, other, rtol=0.15, atol=0.05)
    assert likeliest.misfit < chosen.misfit < np.inf
    evidence = analyse(image_of(), scale=SCALE)
    assert evidence.by_picture
    assert judge(evidence.kernel, evidence).level != "high"


def test_the_likeliest_kernel_stays_without_a_clear_difference(fitted, monkeypatch):
    measured, fits, likeliest = fitted
    network = helpers.network_preferring(compared_kernels.PLACES - 1)
    weak = network._replace(output=np.full((1, 1), 0.9 * second_look.MARGIN))
    monkeypatch.setattr(second_look, "network", lambda: weak)
    assert second_look.reconsider(measured, fits, likeliest, scale=SCALE) is likeliest


def test_the_samples_of_a_sharpened_kernel_are_sharpened(fitted, monkeypatch):
    network = helpers.network_preferring(compared_kernels.PLACES - 1)
    monkeypatch.setattr(second_look, "network", lambda: network)
    chosen = second_look.reconsider(*fitted, scale=SCALE)
    assert chosen.by_picture and chosen.name == "sharpened Gaussian"
    widths = [
        equivalent_gaussian.widths(each, scale=SCALE).longer
        for each in (chosen.kernel, *chosen.samples)
    ]
    assert (chosen.samples.min((1, 2)) < 0).all()
    np.testing.assert_allclose(np.mean(widths[1:]), widths[0], rtol=0.15)
    assert np.std(widths[1:]) > 0.05


def test_images_that_are_not_fit_for_it_keep_the_likeliest(fitted):
    measured, fits, likeliest = fitted
    small = measured._replace(own=measured.own[:60])
    assert second_look.look(small, fits, likeliest, scale=SCALE) is None
    drawn = measured._replace(unusable=np.ones(measured.own.shape[:2], bool))
    assert second_look.look(drawn, fits, likeliest, scale=SCALE) is None
    assert second_look.reconsider(drawn, fits, likeliest, scale=SCALE) is likeliest
    assert second_look.look(measured, fits, likeliest, scale=8) is None
    resampler = likeliest._replace(name="bicubic")
    assert second_look.look(measured, fits, resampler, scale=SCALE) is None


def test_quarters_that_show_nothing_are_left_out(fitted):
    """A clipped sky once made `analyse` refuse the whole image as constant."""
    measured, fits, likeliest = fitted
    own = np.concatenate([measured.own, np.ones_like(measured.own)])
    flat = measured._replace(own=own)
    found = second_look.look(flat, fits, likeliest, scale=SCALE)
    whole = second_look.look(measured, fits, likeliest, scale=SCALE)
    np.testing.assert_array_equal(found.inputs, whole.inputs)
    drawn = np.zeros(own.shape[:2], bool)
    drawn[120:130, 20:30] = True
    own[drawn] = 0.0
    assert len(detailed_quarters(own, drawn, max_side=128, min_side=64)) == 2
    own[:] = 0.0
    assert second_look.look(flat, fits, likeliest, scale=SCALE) is None


@pytest.mark.parametrize(("scale", "side"), [(1, 96), (2, 64), (3, 54), (4, 48)])
def test_pictures_are_large_enough_for_statistics(fitted, scale, side, monkeypatch):
    measured, *found = fitted
    shapes = []

    def seen(picture):
        shapes.append(picture.shape)
        return statistics(picture)

    spectra = measured.power, measured.observation
    suited = given_kernels.fit([found[1].kernel], *spectra, scale=SCALE)
    monkeypatch.setattr(
        given_kernels,
        "fit",
        lambda some, *_, **__: jax.tree.map(
            lambda x: np.repeat(x, len(some), 0), suited
        ),
    )
    monkeypatch.setattr(second_look, "statistics", seen)
    for shape in [(side, 400), (2 * side + 1, side + 1), (side - 1, 400)]:
        image = measured._replace(own=helpers.noise(*shape, 1) / np.float32(255))
        look = second_look.look(image, *found, scale=scale)
        assert (look is None) == (min(shape) < side)
    assert min(min(shape) for shape in shapes) == 64 + 2 * (scale == 3)


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_without_a_gaussian_there_is_nothing_to_compare(fitted, loss):
    measured, fits, likeliest = fitted
    kernel, losses = fits.families.kernel.copy(), fits.families.loss.copy()
    kernel[0], losses[[0, 2]] = np.nan, loss
    failed = fits._replace(families=fits.families._replace(kernel=kernel, loss=losses))
    other = likeliest._replace(name="generalised Gaussian")
    assert second_look.look(measured, failed, other, scale=SCALE) is None
    assert second_look.reconsider(measured, failed, other, scale=SCALE) is other


def test_parts_of_an_image_get_no_second_look(monkeypatch):
    monkeypatch.setattr(second_look, "look", None)  # It is not called.
    assert not analyse(image_of(), scale=SCALE, rare=False).by_picture
