"""Unit pixels of any image, what is filled, and the way back to the file's values."""

import helpers
import numpy as np
import pytest

from kernelgan_jax.app import enlarging
from kernelgan_jax.app.images.image import Image
from kernelgan_jax.resize import bicubic_resize

SMOOTH = helpers.smooth(12, 16, 5)


def there_and_back(image, scale=2):
    unit = enlarging.usual_pixels(image)
    assert unit.dtype == np.float32 and unit.min() >= 0 and unit.max() <= 1
    larger = np.clip(bicubic_resize(unit, scale), 0, 1)
    return enlarging.as_stored(larger, image, scale)


@pytest.mark.parametrize(
    "channels, bands", [(1, False), (3, False), (3, True), (5, True)]
)
@pytest.mark.parametrize(
    "dtype, factor, offset",
    [
        ("float16", 1, 0),
        ("float32", 1, 0),
        ("float32", 3000, -1000),
        ("float64", 1e-6, 5),
        ("float16", 200, -100),
        ("int16", 60000, -30000),
        ("int32", 1e6, 0),
        ("uint32", 4e9, 1e8),
    ],
)
def test_any_range_is_mapped_and_mapped_back(dtype, factor, offset, channels, bands):
    values = SMOOTH[..., :channels].astype(np.float64) * factor + offset
    image = Image(values.astype(dtype), bands=bands)
    result = there_and_back(image)
    assert result.pixels.dtype == dtype
    expected = bicubic_resize(image.pixels.astype(np.float64), 2)
    step = max(
        float(np.finfo(dtype).eps) * np.abs(values).max() if dtype[0] == "f" else 1,
        2e-7 * factor,
    )
    if image.pixels.min() >= 0:
        expected = np.maximum(expected, 0)
    if dtype[0] == "f" and image.pixels.min() >= 0 and image.pixels.max() <= 1:
        expected = np.minimum(expected, 1)
    np.testing.assert_allclose(result.pixels, expected, rtol=0, atol=2 * step)


def test_whole_numbers_of_64_bits_do_not_wrap():
    top = np.iinfo(np.int64).max
    image = Image(np.array([-top, top, top, top]).reshape(2, 2, 1))
    assert there_and_back(image).pixels[2:].min() > 0.5 * top


@pytest.mark.parametrize(
    "dtype", ["int32", "uint32", "int64", "uint64", "float16", "float32"]
)
def test_what_is_at_the_end_of_a_type_does_not_wrap(dtype):
    limits = (np.finfo if dtype[0] == "f" else np.iinfo)(dtype)
    top = np.dtype(dtype).type(limits.max)
    pixels = np.array([0, top, top, top], dtype).reshape(2, 2, 1)
    opaque = np.full((2, 2), 1 if dtype[0] == "f" else top, dtype)
    larger = there_and_back(Image(pixels, opaque))
    assert 0.5 * float(top) < larger.pixels[2:].min()
    assert float(larger.pixels.max()) <= float(top)
    expected = float(opaque[0, 0])
    np.testing.assert_allclose(larger.alpha.astype(float), expected, rtol=1e-15)


def test_floats_in_the_unit_range_stay_as_they_are():
    unit = enlarging.usual_pixels(Image(SMOOTH[..., :1] / 2))
    np.testing.assert_array_equal(unit, SMOOTH[..., :1] / 2)


def test_bands_have_levels_of_their_own():
    pixels = (SMOOTH * np.array([1, 10, 100, 1000, 10000])).astype(np.float32)
    unit = enlarging.usual_pixels(Image(pixels, bands=True))
    assert np.ptp(np.ptp(unit, axis=(0, 1))) < 1e-5
    mean = enlarging.for_estimation(Image(pixels, bands=True))
    np.testing.assert_allclose(mean[..., 0], unit.mean(axis=2), rtol=1e-6)
    third = enlarging.for_estimation(Image(pixels, bands=True), band=3)
    np.testing.assert_array_equal(third, unit[:, :, 2:3])
    colour = helpers.noise(4, 5, 3)
    assert enlarging.for_estimation(Image(colour)) is colour


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8])
def test_bands_are_enlarged_in_groups(channels):
    seen = []

    def enlarge(group, band):
        assert group.shape[2] in (1, 3)
        np.testing.assert_array_equal(group[..., 0], unit[..., band - 1])
        seen.append(group.shape[2])
        return group.repeat(2, 0).repeat(2, 1)

    unit = np.random.default_rng(0).random((4, 5, channels), np.float32)
    larger = enlarging.enlarge_groups(unit, enlarge)
    np.testing.assert_array_equal(larger, unit.repeat(2, 0).repeat(2, 1))
    assert len(seen) == -(-channels // 3)
    missing = np.zeros(unit.shape, bool)
    missing[0, np.arange(channels) % 5, np.arange(channels)] = True
    larger = enlarging.enlarge_groups(unit, enlarge, missing=missing)
    np.testing.assert_array_equal(larger, unit.repeat(2, 0).repeat(2, 1))
    assert seen[-channels:] == [1] * channels


def test_bands_that_lack_the_same_data_are_enlarged_together():
    seen = []

    def enlarge(group, band):
        seen.append(band)
        return group

    missing = np.zeros((4, 5, 9), bool)
    missing[0, 0, 1] = missing[1, 1, 6:] = True
    enlarging.enlarge_groups(np.zeros((4, 5, 9), np.float32), enlarge, missing=missing)
    assert seen == [1, 2, 3, 6, 7]  # 1; 2; 3 to 5; 6; 7 to 9


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_nobody_sees_has_no_part(dtype):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    colour = np.full((9, 9, 3), 0.8)
    alpha = np.ones((9, 9))
    alpha[:, 4:] = 0
    alpha[:, 4] = 0.1  # The colour of such a pixel is uncertain, but it is seen.
    colour[:, 4] = 0.7
    for junk in (0.0, 1.0):
        colour[:, 5:] = junk
        image = Image((top * colour).astype(dtype), (top * alpha).astype(dtype))
        unit = enlarging.usual_pixels(image)
        np.testing.assert_allclose(unit[:, :4], 0.8, atol=1 / 255)
        np.testing.assert_allclose(unit[:, 4], 0.7, atol=1 / 255)
        # Filled from what is opaque, and smooth.
        assert unit[:, 5:].min() > 0.76 and unit.max() < 0.81


def test_an_image_that_nobody_sees_is_used_as_it_is():
    pixels = helpers.noise(5, 5, 3)
    unit = enlarging.usual_pixels(Image(pixels, np.zeros((5, 5), np.uint8)))
    np.testing.assert_array_equal(unit, pixels)


def test_pixels_without_data_are_filled_and_put_back():
    pixels = np.full((6, 8, 1), 200.0, np.float32)
    pixels[0, 0] = 100
    pixels[2:4, 3:5] = np.nan
    pixels[5, 7] = -9999
    missing = ~(pixels[..., 0] >= 0)
    alpha = np.where(missing, np.float32(np.nan), np.float32(1))
    image = Image(pixels, alpha, missing=missing[..., np.newaxis])
    unit = enlarging.usual_pixels(image)
    assert np.ptp(unit[missing]) < 0.05 and np.isfinite(unit).all()
    result = there_and_back(image).pixels[..., 0]
    np.testing.assert_array_equal(np.isnan(result[4:8, 6:10]), True)
    np.testing.assert_array_equal(result[10:, 14:], -9999)
    assert np.isfinite(result).sum() == result.size - 16
    assert (result[~missing.repeat(2, 0).repeat(2, 1)] > 50).all()
    assert there_and_back(image).alpha.max() == 1


@pytest.mark.parametrize("columns", [0, 3])
def test_pages_of_which_nobody_sees_any_data(columns):
    pixels = np.full((4, 6, 1), np.nan, np.float32)
    pixels[:, :columns] = SMOOTH[:4, :columns, :1] * 9
    missing = np.isnan(pixels[..., 0])
    alpha = missing.astype(np.float32)
    image = Image(pixels, alpha, missing=missing[..., np.newaxis])
    found = np.isnan(there_and_back(image).pixels[..., 0])
    np.testing.assert_array_equal(found, missing.repeat(2, 0).repeat(2, 1))
    assert enlarging.is_constant(image) == (columns == 0)


def test_bands_lack_data_each_for_itself():
    pixels = (SMOOTH * 1000 - 300).astype(np.int16)
    complete = there_and_back(Image(pixels, bands=True)).pixels
    missing = np.zeros(pixels.shape, bool)
    missing[4:8, 5:9, 1] = missing[:, :3, 2] = missing[..., 4] = True
    image = Image(np.where(missing, -9999, pixels), bands=True, missing=missing)
    unit = enlarging.usual_pixels(image)
    assert (unit[..., 4] == 0).all() and unit.max() < 1
    np.testing.assert_array_equal(
        unit[..., [0, 3]],
        enlarging.usual_pixels(Image(pixels[..., [0, 3]], bands=True)),
    )
    result = there_and_back(image).pixels
    filled = missing.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(result == -9999, filled)
    # Up to the rims of what is filled.
    far = ~filled[..., :4]
    far[:, 6:10, 2] = far[4:20, 6:22, 1] = False
    np.testing.assert_allclose(result[..., :4][far], complete[..., :4][far], atol=2)
    for band, expected in ((1, missing[..., 0]), (2, missing[..., 1])):
        found = enlarging.unseen(image, band=band)
        np.testing.assert_array_equal(found, expected)
    # Bands without any data cost the others nothing.
    expected = missing[..., 1] | missing[..., 2]
    np.testing.assert_array_equal(enlarging.unseen(image), expected)
    assert not enlarging.is_constant(image)


@pytest.mark.parametrize("hidden", [1e6, -9999, 3e38, np.inf])
@pytest.mark.parametrize("top", [1, 100])
def test_what_nobody_sees_has_no_part_in_the_levels(hidden, top):
    pixels = top * SMOOTH[..., :3]
    alpha = np.ones((12, 16), np.float32)
    alpha[:4, :4] = pixels[:4, :4] = 0
    expected = there_and_back(Image(pixels, alpha)).pixels
    pixels = pixels.copy()
    pixels[:4, :4] = hidden
    found = there_and_back(Image(pixels, alpha)).pixels
    np.testing.assert_array_equal(found, expected)


def test_constant_images_are_known():
    flat = np.full((4, 4, 3), 30, np.uint8)
    flat[..., 1] = 99
    assert enlarging.is_constant(Image(flat))
    assert not enlarging.is_constant(Image(SMOOTH[..., :3]))
    alpha = np.full((4, 4), 255, np.uint8)
    flat[0] = alpha[0] = 0
    assert not enlarging.is_constant(Image(flat))
    assert enlarging.is_constant(Image(flat, alpha))
