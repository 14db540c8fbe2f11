"""Hot and dead pixels: found in a photograph, and nothing else, and filled."""

import helpers
import numpy as np
import pytest

from kernelgan_jax.usable_pixels.isolated_pixels import (
    _stands_out,
    fill_isolated,
    find_isolated,
)

PHOTO = helpers.photo_uint8()
NONE = np.zeros(PHOTO.shape[:2], bool)
CHOSEN = np.random.default_rng(0).random(PHOTO.shape[:2]) < 0.005


def disturbed(colour):
    return np.where(CHOSEN[..., None], np.array(colour, np.uint8), PHOTO)


@pytest.mark.parametrize("colour", [255, 0, (255, 40, 30)], ids="hot dead red".split())
@pytest.mark.parametrize("dtype, a, b", [("uint8", 1, 0), ("float64", 1e-4, 0.7)])
def test_they_are_found_and_the_pictures_own_points_are_not(colour, dtype, a, b):
    pixels = (a * disturbed(colour).astype(np.float64) + b).astype(dtype)
    found = find_isolated(pixels, NONE)
    changed = CHOSEN & (disturbed(colour) != PHOTO).any(axis=2)
    assert (found & changed).sum() >= 0.95 * changed.sum()
    assert (found & ~changed).sum() <= 0.02 * changed.sum()
    filled = fill_isolated(pixels, NONE, CHOSEN)
    np.testing.assert_array_equal(filled[~CHOSEN], pixels[~CHOSEN])
    error = (filled.astype(np.float64) - b) / a - PHOTO
    # The mean of the neighbours is off by 3.6, the fixed stencil by 0.9.
    assert np.sqrt((error[CHOSEN] ** 2).mean()) < 0.8


@pytest.mark.parametrize(
    "pixels",
    [
        PHOTO,
        PHOTO[:, :, :1],
        helpers.noise(60, 70, 3),
        np.kron(helpers.noise(9, 9, 1), np.ones((8, 8, 1), np.uint8)),
        np.full((40, 40, 3), 9, np.uint8),
        helpers.noise(5, 6, 3),
    ],
    ids="photo gray noise drawing constant tiny".split(),
)
def test_nothing_is_found_in_other_images(pixels):
    assert not find_isolated(pixels, np.zeros(pixels.shape[:2], bool)).any()


def test_a_few_count_if_they_stretch_the_range():
    """The second one is seen only in the range that the image has without the first."""
    pixels = (PHOTO / 255).astype(np.float32)
    places = np.array([20, 50]), np.array([30, 60])
    pixels[places] = [[-30], [1e6]]
    np.testing.assert_array_equal(np.nonzero(find_isolated(pixels, NONE)), places)


def test_none_are_looked_for_in_areas_or_filled_from_them():
    areas = NONE.copy()
    areas[:75] = True
    pixels = disturbed(255)
    pixels[:75] = 0
    found = find_isolated(pixels, areas)
    assert found[75:].any() and not found[:75].any()
    filled = fill_isolated(pixels, areas, CHOSEN & ~areas)
    error = filled[75:].astype(int) - PHOTO[75:]
    assert abs(error[CHOSEN[75:]]).mean() < 5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_stands_out_differs_from_three_of_four(dtype):
    plane = np.random.default_rng(0).integers(0, 9, (30, 40)).astype(dtype)
    padded = np.pad(plane.astype(np.float32), 1, mode="reflect")
    beside = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    apart = plane.astype(np.float32) - np.stack(beside)
    expected = ((apart > 2.5).sum(0) >= 3) | ((apart < -2.5).sum(0) >= 3)
    np.testing.assert_array_equal(_stands_out(plane, 2.5), expected)
