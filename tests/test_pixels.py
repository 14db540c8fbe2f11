"""The pixel contract: arrays that are images, their range, structure and windows."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import noise
from PIL import Image

from kernelgan_jax.pixels import (
    LUMA,
    check_structure,
    check_unit_range,
    from_array,
    from_unit,
    gradient_map,
    luma,
    textured_window,
    to_unit,
    unit_image,
    zero_edges,
)

# --- Arrays and their range ---


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_from_array(convert, shape, dtype):
    values = noise(*shape) if dtype[0] == "u" else noise(*shape) / 255
    array = convert(values.astype(dtype))
    pixels = from_array(array)
    assert isinstance(pixels, np.ndarray)
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, np.asarray(array).reshape(4, 5, -1))


def test_bfloat16_is_floating_point_as_well():
    pixels = from_array(jnp.array([[0.25, 1.0]], jnp.bfloat16))
    assert pixels.dtype == np.float32 and pixels.ravel().tolist() == [0.25, 1.0]


def test_from_array_does_not_copy():
    for array in noise(4, 5), noise(4, 5, 3), noise(4, 5, 3) / 255:
        assert np.shares_memory(from_array(array), array)


@pytest.mark.parametrize("mode", ["P", "CMYK", "HSV"])
def test_pictures_of_pillow_that_are_neither_gray_nor_rgb(mode):
    picture = Image.fromarray(np.zeros((4, 5, 3), np.uint8))
    assert from_array(picture).shape == (4, 5, 3)
    with pytest.raises(ValueError, match=f"mode {mode}; pass image.convert"):
        from_array(picture.convert(mode))


@pytest.mark.parametrize("file", ["photo.png", Path("photo.png")])
def test_the_name_of_a_file_is_no_image(file):
    """It was told to convert "dtype <U9" to uint8."""
    with pytest.raises(ValueError, match=r"^image is .*photo.png.*; pass its pixels"):
        from_array(file)


def test_what_another_library_refuses_to_convert_is_no_image():
    class OnDevice:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("it requires a gradient")

    with pytest.raises(ValueError, match="image is not an array: it requires"):
        from_array(OnDevice())


def test_from_array_bool():
    pixels = from_array(np.array([[True, False]]))
    np.testing.assert_array_equal(pixels, np.array([[[255], [0]]], np.uint8))
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("dtype", [">u2", ">f4", "<f8"])
def test_from_array_has_the_machine_s_order_of_bytes(dtype):
    pixels = from_array(np.ones((2, 3), dtype))
    assert pixels.dtype.isnative and (pixels == 1).all()


def test_from_array_forgives_rounding_errors():
    array = np.array([[-1e-7, 0.5, 1 + 1e-7]])
    np.testing.assert_array_equal(from_array(array)[..., 0], [[0, 0.5, 1]])
    assert array[0, 0] == -1e-7


@pytest.mark.parametrize(
    "array, word",
    [
        (np.zeros((4, 5, 4), np.uint8), "alpha"),
        (np.zeros((4, 5, 2), np.uint8), "alpha"),
        (np.zeros((3, 4, 5), np.uint8), "(3, 4, 5)"),
        (np.zeros(4, np.uint8), "(4,)"),
        (np.zeros((1, 4, 5, 3), np.uint8), "(1, 4, 5, 3)"),
        (np.zeros((0, 5), np.uint8), "no pixels"),
        (np.zeros((4, 0, 3), np.float32), "no pixels"),
        (np.zeros((4, 5), np.int64), "int64"),
        (np.ma.masked_array(noise(4, 5), mask=noise(4, 5) > 9), "masked"),
        (np.zeros((4, 5), complex), "complex128"),
        (np.zeros((4, 5), object), "object"),
        (np.full((4, 5), "a"), "<U1"),
        (None, "object"),
        ([[1.0], [0.0, 1.0]], "not an array"),
        (np.array([[0.0, 1.01]]), "to 1.01"),
        (np.array([[-0.01, 1.0]]), "from -0.01"),
        (np.array([[0.0, np.nan]]), "nan"),
        (np.array([[0.0, np.inf]]), "inf"),
        (np.array([[0.0, 255.0]]), "255"),
    ],
)
def test_from_array_refuses(array, word):
    with pytest.raises(ValueError) as caught:
        from_array(array)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values, expected",
    [
        (np.array([0, 51, 255], np.uint8), [0, 0.2, 1]),
        (np.array([0, 13107, 65535], np.uint16), [0, 0.2, 1]),
        (np.array([0, 0.2, 1], np.float64), [0, 0.2, 1]),
        (np.array([0, 0.2, 1], np.float32), [0, 0.2, 1]),
    ],
)
def test_to_unit(values, expected):
    unit = to_unit(values)
    assert unit.dtype == np.float32
    np.testing.assert_array_equal(unit, np.array(expected, np.float32))
    assert np.shares_memory(unit, values) == (values.dtype == np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_from_unit_is_the_inverse_of_to_unit(dtype):
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 16)
    np.testing.assert_array_equal(from_unit(to_unit(levels), dtype), levels)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_from_unit_of_half_precision(kind):
    """65535 is beyond float16."""
    levels = from_unit(kind(np.array([[0.0, 0.25, 0.5, 1.0]], np.float16)), np.uint16)
    np.testing.assert_array_equal(levels, [[0, 16384, 32768, 65535]])


def test_from_unit_clips_and_makes_16_bits_of_floats():
    found = from_unit(np.array([-1.0, 0.5, 2.0]), np.float32)
    np.testing.assert_array_equal(found, np.array([0, 32768, 65535], np.uint16))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64", "bool"])
def test_unit_image_is_what_estimators_work_on(shape, dtype):
    values = np.random.default_rng(0).random(shape)
    tops = {"uint8": 255, "uint16": 65535, "float64": 1, "bool": 1}
    array = (tops[dtype] * values).astype(dtype)
    unit = unit_image(array)
    assert unit.dtype == np.float32 and unit.shape == (4, 5, (*shape, 1)[2])
    np.testing.assert_allclose(
        unit.reshape(shape), array.astype(float) / tops[dtype], rtol=1e-6
    )
    with pytest.raises(ValueError, match="image has shape"):
        unit_image(array.ravel())


def test_range_is_checked_by_name():
    check_unit_range("truth", np.array([-1e-7, 1 + 1e-7]))
    for wrong in (-0.1, 1.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="^truth has values from .* without NaN"):
            check_unit_range("truth", np.array([0.5, wrong]))


# --- Structure ---


def test_luma_is_the_weighted_sum():
    image = np.random.default_rng(0).random((4, 5, 3)).astype(np.float32)
    expected = 0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]
    np.testing.assert_allclose(luma(image), expected, rtol=1e-6)
    assert luma(image).dtype == np.float32 and LUMA.sum() == pytest.approx(1)
    np.testing.assert_array_equal(luma(image[..., :1]), image[..., 0])


def test_constant_images_are_refused():
    check_structure(np.array([[0.5, 0.5 + 1e-5]]))
    for gray in (np.full((3, 3), 0.5), np.array([[0.5, 0.5 + 1e-7]])):
        with pytest.raises(ValueError, match="image is constant"):
            check_structure(gray)
    with pytest.raises(ValueError, match="image is constant"):
        check_structure(np.array([[100.0, 100.0005]]), min_range=1e-3)


def test_edges_are_zeroed_and_the_argument_is_kept():
    ones = np.ones((5, 6))
    assert zero_edges(ones, 2).sum() == 2 and ones.sum() == 30


def test_gradient_map_equals_the_reference(golden):
    golden = golden("sampling")
    for image, expected in (
        ("image", "gradient_map_lr"),
        ("small", "gradient_map_small"),
    ):
        ours = gradient_map(golden[image])
        np.testing.assert_allclose(ours, golden[expected], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [(85, 90), (84, 84), (131, 97)])
def test_window_of_a_small_image_is_all_but_the_border(size):
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    window = pixels[textured_window(pixels, 10, 10**6, 64)]
    height, width = window.shape[:2]
    assert height % 2 == width % 2 == 0
    assert (height, width) == ((size[0] - 20) // 2 * 2, (size[1] - 20) // 2 * 2)
    np.testing.assert_array_equal(window[0, 0], pixels[10, 10])


@pytest.mark.parametrize("place", [(0, 0), (500, 300), (640, 960)])
def test_window_of_a_large_image_is_where_the_structure_is(place):
    pixels = np.full((960, 1280, 3), 100, np.uint8)
    top, left = place
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    pixels[top : top + 300, left : left + 300] = noise
    window = pixels[textured_window(pixels, 0, 480 * 640, 64)]
    assert window.base is not None and window.shape[0] * window.shape[1] <= 480 * 640
    assert abs(window.shape[0] / window.shape[1] - 960 / 1280) < 0.05
    assert (window != 100).sum() > 0.9 * (noise != 100).sum()


@pytest.mark.parametrize("size", [(64, 20000), (20000, 64), (70, 9000)])
def test_window_of_a_narrow_image_still_holds_a_crop(size):
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 1)).astype(np.uint8)
    window = pixels[textured_window(pixels, 0, 100_000, 64)]
    assert min(window.shape[:2]) >= 64
    assert window.shape[0] * window.shape[1] <= 100_000
