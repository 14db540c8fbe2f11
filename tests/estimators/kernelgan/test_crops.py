"""Probability maps and crops, against the reference."""

import jax
import numpy as np
import pytest

from kernelgan_jax.estimators.kernelgan import crops
from kernelgan_jax.pixels import gradient_map


def test_probability_maps_equal_the_reference(golden):
    golden = golden("sampling")
    generator, discriminator = crops.probability_maps(golden["image"], 64, 26)
    for ours, name in ((generator, "prob_g"), (discriminator, "prob_d")):
        expected = golden[name]
        error = np.abs(ours.ravel() - expected).max() / expected.max()
        assert error < 1e-5  # the reference's map for the generator is float32


def test_maps_in_float32_are_those_of_float64(golden):
    image = golden("sampling")["image"]
    for a, b in zip(
        crops.probability_maps(image, 64, 26),
        crops.probability_maps(image.astype(np.float32), 64, 26),
        strict=True,
    ):
        assert np.abs(a - b).max() < 1e-3 * a.max()


@pytest.mark.parametrize("size", [(64, 64), (30, 200), (10, 10)])
def test_uniform_where_no_crop_fits_or_nothing_is_to_be_seen(size):
    flat = gradient_map(np.full((*size, 3), 0.5))
    np.testing.assert_array_equal(flat, 1)
    small = crops.probability_map(gradient_map(np.zeros((*size, 1))), 2 * max(size))
    np.testing.assert_allclose(small, 1 / small.size)


def test_corners_are_even_inside_and_follow_the_map():
    probability = np.zeros((40, 50))
    probability[3, 3] = 0.25
    probability[20, 31] = 0.5
    probability[39, 49] = 0.25
    corners = crops.sample_corners(np.random.default_rng(0), probability, 10, 4000)
    found, counts = np.unique(corners, axis=0, return_counts=True)
    # Centre minus 5, moved inside, then made even.
    np.testing.assert_array_equal(found, [[0, 0], [14, 26], [30, 40]])
    np.testing.assert_allclose(counts / 4000, [0.25, 0.5, 0.25], atol=0.03)


def test_cut_gives_the_crops_at_the_corners():
    image = np.random.default_rng(0).random((30, 40, 3))
    corners = np.array([[0, 0], [4, 22], [20, 30]])
    cut = crops.cut(image, corners, 10)
    assert cut.shape == (3, 10, 10, 3)
    for crop, (top, left) in zip(cut, corners, strict=True):
        np.testing.assert_array_equal(crop, image[top : top + 10, left : left + 10])


def test_crops_depend_on_the_key_alone():
    def draw(seed):
        rng = np.random.default_rng(
            np.asarray(jax.random.key_data(jax.random.key(seed)))
        )
        return crops.sample_corners(rng, np.full((50, 50), 1 / 2500), 10, 20)

    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))
