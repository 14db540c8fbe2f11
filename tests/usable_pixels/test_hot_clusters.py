"""Clusters of hot or dead pixels: found where they stretch the range, and filled."""

import helpers
import numpy as np
import pytest

from kernelgan_jax.usable_pixels import find_usable
from kernelgan_jax.usable_pixels.hot_clusters import find_clusters

PHOTO = (0.3 + 0.1 * helpers.photo_uint8() / 255).astype(np.float32)
NONE = np.zeros(PHOTO.shape[:2], bool)
CLUSTERS = {
    "square": [(0, 0), (0, 1), (1, 0), (1, 1)],
    "row": [(0, 0), (0, 1), (0, 2), (0, 3)],
    "diagonal": [(0, 0), (1, 1)],
    "bend": [(0, 0), (1, 0), (2, 0), (2, 1)],
}


def defects(shape, *, corner=(20, 30)):
    mask = NONE.copy()
    for row, column in CLUSTERS[shape]:
        mask[corner[0] + row, corner[1] + column] = True
        mask[corner[0] + 30 + row, corner[1] + 20 + column] = True
    return mask


@pytest.mark.parametrize(
    "value", [1.0, 0.0, (1.0, 0.35, 0.35)], ids="hot dead red".split()
)
@pytest.mark.parametrize("shape", CLUSTERS)
def test_they_are_found_and_filled(shape, value):
    mask = defects(shape)
    pixels = np.where(mask[..., None], np.float32(value), PHOTO)
    np.testing.assert_array_equal(find_clusters(pixels, NONE), mask)
    usable = find_usable(pixels)
    assert usable.left_out == f"{mask.sum()} isolated pixels"
    assert usable.unusable is None
    np.testing.assert_array_equal(usable.image[~mask], pixels[~mask])
    error = (usable.image - PHOTO)[mask]
    assert np.sqrt((error**2).mean()) < 0.015


def test_of_several_levels_and_at_the_border():
    """The second is outermost only without the first."""
    pixels = PHOTO.copy()
    pixels[0:2, 0:2] = 1e5
    pixels[50, 60:63] = 2
    mask = NONE.copy()
    mask[0:2, 0:2] = mask[50, 60:63] = True
    np.testing.assert_array_equal(find_clusters(pixels, NONE), mask)
    assert not find_clusters(pixels, mask).any()


def test_what_is_part_of_the_picture():
    lamp = np.exp(-((np.indices(NONE.shape) - [[[40]], [[50]]]) ** 2).sum(0) / 3)
    with_lamp = PHOTO + np.float32(2 * lamp[..., None])
    large = PHOTO.copy()
    large[10:15, 10:15] = 2  # more than a cluster
    within = np.where(defects("square")[..., None], np.float32(0.385), PHOTO)
    single = PHOTO.copy()
    single[30, 40] = 5  # isolated
    for pixels in (PHOTO, with_lamp, large, within, single, np.full_like(PHOTO, 0.5)):
        assert not find_clusters(pixels, NONE).any()


def test_images_that_are_nothing_else():
    pixels = np.zeros((2, 2, 1), np.uint8)
    pixels[0] = 255
    assert not find_clusters(pixels, np.zeros((2, 2), bool)).any()
    assert not find_clusters(pixels, np.ones((2, 2), bool)).any()
