"""Local operators applied tile by tile."""

import numpy as np
import pytest
import scipy.ndimage

from kernelgan_jax.super_resolution.tiles import apply_tiled


def operator(x):
    """Looks exactly 4 pixels far, and enlarges by 2."""
    mean = scipy.ndimage.uniform_filter(x, (9, 9, 1), mode="reflect")
    return mean.repeat(2, 0).repeat(2, 1)


@pytest.mark.parametrize("size", [(10, 50), (33, 40), (64, 65)])
def test_tiles_of_an_operator_that_looks_exactly_as_far_as_the_margin(size):
    image = np.random.default_rng(0).random((*size, 2)).astype(np.float32)
    tiled = apply_tiled(operator, image, scale=2, margin=4, tile=20)
    np.testing.assert_allclose(tiled, operator(image), atol=1e-6)
    assert tiled.dtype == np.float32


def test_a_margin_that_is_too_small_leaves_seams():
    """The test above can fail."""
    image = np.random.default_rng(0).random((33, 40, 2)).astype(np.float32)
    tiled = apply_tiled(operator, image, scale=2, margin=3, tile=20)
    assert np.abs(tiled - operator(image)).max() > 1e-3


def test_all_tiles_have_one_shape():
    shapes = set()

    def record(x):
        shapes.add(x.shape)
        return operator(x)

    image = np.zeros((53, 71, 1), np.float32)
    apply_tiled(record, image, scale=2, margin=4, tile=20)
    assert shapes == {(20, 20, 1)}


@pytest.mark.parametrize("tile", [3, 8])
def test_a_tile_is_larger_than_its_margins(tile):
    image = np.zeros((33, 40, 1), np.float32)
    with pytest.raises(ValueError, match=f"tile is {tile}; it must be more than 8"):
        apply_tiled(operator, image, scale=2, margin=4, tile=tile)
