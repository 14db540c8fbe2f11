"""`super_resolve` and `super_resolve_planned`: what reaches a method, and what not."""

import functools

import helpers
import jax
import numpy as np
import pytest

from kernelgan_jax import blur_kernels, kernels, super_resolution
from kernelgan_jax.estimate import Evidence, KernelEstimate, Progress, Spectrum
from kernelgan_jax.levels import to_own_range
from kernelgan_jax.super_resolution import (
    Plan,
    Stage,
    ZSSRConfig,
    super_resolve_planned,
)
from kernelgan_jax.super_resolution.zssr import method as zssr_method
from kernelgan_jax.super_resolution.zssr.config import HEADROOM, OWN_SPAN
from kernelgan_jax.usable_pixels import find

plan = functools.partial(super_resolution.plan, method="zssr_fast")
super_resolve = functools.partial(super_resolution.super_resolve, method="zssr_fast")

KEY = jax.random.key(0)
K2 = helpers.gaussian(2)
IMAGE = helpers.noise(40, 36, 3)
TINY = ZSSRConfig(**helpers.TINY_ZSSR | {"layers": 2})


@pytest.fixture
def calls(monkeypatch):
    """Calls of `zssr_fast`, which is replaced by a function that returns its images."""
    calls = []

    def record(keys, images, plans, *, progress=None):
        calls.append((list(keys), list(images), list(plans), progress))
        return [image.copy() for image in images]  # They are changed in place.

    monkeypatch.setattr(zssr_method, "enlarge", record)
    return calls


def test_a_method_gets_the_own_range_the_key_and_the_plan(calls):
    estimate = KernelEstimate(K2, 2, noise_std=5 / 255)
    result = super_resolve(KEY, IMAGE, estimate, config=TINY, progress=print)
    ((keys, images, plans, progress),) = calls
    assert progress is print and keys[0] is KEY
    own, levels = to_own_range(IMAGE, headroom=HEADROOM)
    np.testing.assert_array_equal(images[0], own)
    np.testing.assert_allclose(result, IMAGE / 255, atol=1e-6)
    assert plans[0].noise_std == pytest.approx(5 / 255 * OWN_SPAN / levels.span)
    expected = plan(estimate, config=TINY, image_shape=IMAGE.shape)
    assert plans[0].notes == expected.notes and plans[0].config == expected.config
    assert plans[0].config.noise_std == 5 / 255


@pytest.mark.parametrize("a, b", [(0.25, 0.0), (0.5, 0.5), (0.9, 0.05)])
def test_levels_change_nothing_but_the_levels(calls, a, b):
    """What a method is given is the same; its result is mapped to the image's levels,
    and the noise and the spectrum, which are the image's, to its own range."""
    unit = IMAGE / 255
    spectrum = Spectrum(np.float32(3), np.float32(2), np.zeros(4), np.float32(-1))
    for factor, offset in ((1.0, 0.0), (a, b)):
        fields = dict.fromkeys(Evidence._fields)
        fields |= {"scale": 2, "noise_std": abs(factor) * 0.01, "spectrum": spectrum}
        fields |= {"span": abs(factor) * np.ptp(unit)}
        evidence = Evidence(**fields)
        image = factor * unit + offset
        result = super_resolve(KEY, image, K2, scale=2, config=TINY, evidence=evidence)
        np.testing.assert_allclose(result, image, atol=1e-6)
    (first, second) = ((call[1][0], call[2][0]) for call in calls)
    np.testing.assert_allclose(first[0], second[0], atol=1e-6)
    assert second[1].noise_std == pytest.approx(first[1].noise_std)
    assert second[1].config == first[1].config
    noise = np.exp([p.evidence.spectrum.log_noise / 2 for _, p in (first, second)])
    np.testing.assert_allclose(noise, np.exp(-0.5) * OWN_SPAN, rtol=1e-6)


def test_what_is_no_picture_is_not_sharpened_and_comes_out_as_it_was(calls):
    picture = np.rint(100 + 50 * helpers.smooth(60, 50, 3)).astype(np.uint8)
    framed = picture.copy()
    framed[:9] = 255
    framed[-9:] = 255
    result = super_resolve(KEY, framed, K2, scale=2, config=TINY)
    ((_, (given,), _, _),) = calls
    own, _ = to_own_range(picture[9:-9], headroom=HEADROOM)
    np.testing.assert_allclose(given[9:-9], own, atol=1e-6)  # Without the white.
    mirrored = given[10:19][::-1]
    np.testing.assert_allclose(given[:9], mirrored, atol=0.05)  # Blurred, nearly so.
    np.testing.assert_allclose(result, framed / 255, atol=1e-6)
    assert (result[:9] == 1).all()


def test_flat_areas_keep_their_value(monkeypatch):
    def darken(keys, images, plans, *, progress=None):
        return [(image * 0.9).repeat(2, 0).repeat(2, 1) for image in images]

    monkeypatch.setattr(zssr_method, "enlarge", darken)
    ramp = np.minimum(5 * np.arange(46), 100).astype(np.uint8)
    image = ramp[None, :, None].repeat(40, 0)
    result = super_resolve(KEY, image, K2, scale=2, config=TINY)
    np.testing.assert_array_equal(result[:, 48:], np.float32(100 / 255))
    assert (result[:, 40:48] < 95 / 255).all()


def test_usable_pixels_are_found_once(calls, monkeypatch):
    found = []
    find_drawn = find.find_drawn
    monkeypatch.setattr(
        find, "find_drawn", lambda pixels: found.append(1) or find_drawn(pixels)
    )
    super_resolve(KEY, IMAGE, K2, scale=2, config=TINY)
    assert len(found) == 1
    usable = find.find_usable(IMAGE)
    planned = plan(K2, scale=2, config=TINY)
    super_resolve_planned([KEY], [IMAGE], [planned], usable=[usable])
    super_resolve_planned([KEY], [IMAGE], [planned], usable=[None])
    assert len(found) == 3
    with pytest.raises(ValueError, match="usable is 2 for 1 images"):
        super_resolve_planned([KEY], [IMAGE], [planned], usable=[usable] * 2)


def test_gray_stored_as_rgb_is_super_resolved_once_and_stays_gray(calls):
    gray = helpers.noise(40, 36, 1)
    images = [gray.repeat(3, 2), gray, IMAGE]
    plans = [plan(K2, scale=2, config=TINY)] * 3
    results = super_resolve_planned([KEY] * 3, images, plans)
    assert [image.shape[2] for image in calls[0][1]] == [1, 1, 3]
    assert [result.shape[2] for result in results] == [3, 1, 3]
    np.testing.assert_array_equal(results[0], results[1].repeat(3, 2))


def test_a_batch_goes_to_the_method_in_one_call(calls):
    images = [IMAGE, IMAGE[:20]]
    plans = [plan(K2, scale=2), plan(KernelEstimate(K2, 2))]
    results = super_resolve_planned(jax.random.split(KEY, 2), images, plans)
    ((keys, units, passed, _),) = calls
    assert len(keys) == len(results) == 2 and passed == plans
    assert [unit.shape for unit in units] == [(40, 36, 3), (20, 36, 3)]


def test_no_images_give_no_results(calls):
    assert super_resolve_planned([], [], []) == [] and not calls


def test_batches_that_are_refused(calls):
    planned = plan(K2, scale=2)
    with pytest.raises(ValueError, match="keys, images and plans are 1, 2 and 1"):
        super_resolve_planned([KEY], [IMAGE, IMAGE], [planned])
    other = plan(None, scale=2, method="bicubic")
    with pytest.raises(ValueError, match="plans are for bicubic and zssr_fast"):
        super_resolve_planned([KEY, KEY], [IMAGE, IMAGE], [planned, other])
    assert not calls


def test_every_stage_is_checked_before_any_work(calls):
    bad = Plan("zssr_fast", 4, (Stage(2, K2), Stage(4, np.ones((41, 3)))), TINY)
    with pytest.raises(ValueError, match="larger than the image, 36x40"):
        super_resolve_planned([KEY, KEY], [IMAGE, IMAGE], [plan(K2, scale=2), bad])
    assert not calls


def test_a_kernel_that_was_found_may_be_larger_than_the_image(calls):
    """It fits into the enlarged image; but ZSSR applies it to the image itself."""
    kernel = blur_kernels.gaussian(39, variances=(16.0, 12.0), scale=4)
    image, found = helpers.noise(33, 36), KernelEstimate(kernel, 4, trusted=True)
    result = super_resolution.super_resolve(KEY, image, found, method="wiener")
    assert result.shape == (132, 144, 1) and np.ptp(result) > 0.5
    with pytest.raises(ValueError, match="39x39, larger than the image, 36x33"):
        super_resolve(KEY, image, found)
    with pytest.raises(ValueError, match="39x39, larger than the image, 36x33"):
        super_resolution.super_resolve(KEY, image, kernel, scale=4, method="wiener")
    assert not calls


@pytest.mark.parametrize("method", ["wiener", "deep_wiener", "zssr_fast"])
def test_a_kernel_that_grows_beyond_the_image_when_it_is_centred(calls, method):
    """It was refused in the words of functions that nobody had called."""
    corner = np.ones((16, 17))
    corner[:4, :4] = 100
    message = (
        "^kernel is 31x30 once its centre of mass is in its middle, larger than the "
        "enlarged image, 17x16; use a larger image or a smaller kernel$"
    )
    with pytest.raises(ValueError, match=message):
        super_resolution.super_resolve(
            KEY, helpers.noise(16, 17), corner, scale=1, method=method
        )
    assert not calls


def test_what_is_said_of_a_kernel_that_was_found_names_the_enlarged_image(calls):
    """It was called larger than "the image, 34x32", twice the size of that image."""
    image, wide = helpers.noise(16, 17), np.ones((35, 3))
    found = KernelEstimate(wide, 2, trusted=True)
    with pytest.raises(ValueError, match="larger than the enlarged image, 34x32; use"):
        super_resolution.super_resolve(KEY, image, found, method="wiener")


def test_keys_and_evidence_inside_of_a_transformation_are_refused_by_name(calls):
    known = Evidence(**dict.fromkeys(Evidence._fields, 0.0) | {"scale": 2, "span": 1.0})
    with pytest.raises(ValueError, match="^key is traced"):
        jax.jit(lambda key: super_resolve(key, IMAGE, K2, scale=2))(KEY)
    with pytest.raises(ValueError, match="^evidence is traced"):
        jax.jit(lambda seen: super_resolve(KEY, IMAGE, K2, scale=2, evidence=seen))(
            known
        )
    assert not calls


def test_what_centring_adds_around_a_kernel_needs_no_room(calls):
    """What is added is empty; only the trained network left it out."""
    corner = np.pad(np.ones((2, 2)), ((0, 14), (0, 13)))
    image = helpers.noise(16, 17)
    super_resolve(KEY, image, corner, scale=1)
    assert len(calls) == 1
    sharp = super_resolution.super_resolve(KEY, image, corner, scale=1, method="wiener")
    middle = np.pad(np.ones((2, 2)), 6)
    expected = super_resolution.super_resolve(
        KEY, image, middle, scale=1, method="wiener"
    )
    np.testing.assert_allclose(sharp, expected, atol=0.01)


@pytest.mark.parametrize("noise_std", [np.nan, -0.1, None, "0.1"])
def test_an_estimate_with_another_noise_is_refused(calls, noise_std):
    with pytest.raises(ValueError, match=f"noise_std is {noise_std!r}; .* at least 0"):
        super_resolve(KEY, IMAGE, KernelEstimate(K2, 2, noise_std=noise_std))
    assert not calls


def test_kernels_that_are_legal(calls):
    for kernel in (K2, np.ones((1, 1)), blur_kernels.bicubic(2), np.ones((4, 4))):
        super_resolve(KEY, IMAGE, kernel, scale=2)
    assert len(calls) == 4


def test_a_gradual_estimate_of_a_small_noisy_gray_image():
    """All at once: stages, widths, noise, crops of the whole image, progress."""
    kernel = kernels.centre(K2, 2)
    estimate = KernelEstimate(
        kernels.kernel_x4(kernel), 4, ((2, kernel),), noise_std=4 / 255
    )
    seen = []
    result = super_resolve(
        KEY, helpers.smooth(36, 40, 1), estimate, config=TINY, progress=seen.append
    )
    assert result.shape == (144, 160, 1) and result.dtype == np.float32
    assert np.isfinite(result).all()
    assert all(isinstance(progress, Progress) for progress in seen)
    ends = [(p.image, p.phase, p.step, p.total) for p in seen]
    assert ends == [(0, "zssr_fast", 20, 20)] * 2  # one report for each short stage
    assert all(0 < p.losses["loss"] < 1 for p in seen)
