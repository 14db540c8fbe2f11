"""Probability maps, crops and trainings, against the reference and by hand."""

import jax
import numpy as np
import pytest
from helpers import TINY_KERNELGAN, noise, texture

from kernelgan_jax.estimators.kernelgan import KernelGANConfig, crops
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


def test_smallest_usable_image():
    image = texture(84, 84) / np.float32(255)
    assert crops.training_image(image, KernelGANConfig()).shape == (64, 64, 3)
    with pytest.raises(ValueError, match="84x83 pixels; .* usable side is 84"):
        crops.training_image(image[:83], KernelGANConfig())
    real = KernelGANConfig(border=0)
    assert crops.training_image(image[:64, :65, :1], real).shape == (64, 64, 3)
    with pytest.raises(ValueError, match="smallest usable side is 64"):
        crops.training_image(image[:63, :65], real)


@pytest.mark.parametrize("value", [0, 0.3, 1])
def test_constant_image_is_refused(value):
    image = np.full((100, 100, 3), value, np.float32)
    with pytest.raises(ValueError, match="constant"):
        crops.training_image(image, KernelGANConfig())


def test_large_photo_is_trained_on_a_window_only():
    image = np.tile(texture(100, 100), (20, 20, 1)) / np.float32(255)
    window = crops.training_image(image, KernelGANConfig(max_pixels=10**6))
    assert 0.9e6 < window.shape[0] * window.shape[1] <= 10**6


def test_crops_of_a_chunk_are_those_at_its_corners():
    config = KernelGANConfig(**TINY_KERNELGAN, crops=2)
    image = noise(100, 110, 3) / np.float32(255)
    (training,) = crops.prepare(jax.random.key(0), image, config)
    generator, discriminator = training.crops(2, 5, config)
    assert generator.shape == (3, 2, 64, 64, 3)
    assert discriminator.shape == (3, 2, 29, 29, 3)
    top, left = training.generator_corners[2 * 2 + 1]
    expected = training.image[top : top + 64, left : left + 64]
    np.testing.assert_array_equal(generator[0, 1], expected)
    assert training.crops(4, 104, config)[0].shape[0] == 2  # the last two of six steps


@pytest.mark.parametrize("left_out", [0, 40, 200])
def test_crops_hold_no_unusable_pixels_if_others_are_left(left_out):
    config = KernelGANConfig(**TINY_KERNELGAN, border=0)
    image = noise(100, 200, 3) / np.float32(255)
    unusable = np.zeros((100, 200), bool)
    unusable[:, :left_out] = True
    key = jax.random.key(0)
    (training,) = crops.prepare(key, image, config, unusable=unusable)
    for corners in (training.generator_corners, training.discriminator_corners):
        assert (left_out == 200) or corners[:, 1].min() >= left_out
    if left_out != 40:
        (usual,) = crops.prepare(key, image, config)
        np.testing.assert_array_equal(
            usual.generator_corners, training.generator_corners
        )


def test_the_first_training_does_not_depend_on_the_restarts():
    key, image = jax.random.key(3), noise(90, 120, 3) / np.float32(255)
    (alone,) = crops.prepare(key, image, KernelGANConfig(**TINY_KERNELGAN))
    first, *others = crops.prepare(
        key, image, KernelGANConfig(**TINY_KERNELGAN, restarts=3)
    )
    assert len(others) == 2
    keys = [
        tuple(
            np.concatenate([jax.random.key_data(k) for k in (t.init_key, t.train_key)])
        )
        for t in (alone, first, *others)
    ]
    assert keys[0] == keys[1] and len(set(keys)) == 3
    np.testing.assert_array_equal(alone.generator_corners, first.generator_corners)
    np.testing.assert_array_equal(
        alone.discriminator_corners, first.discriminator_corners
    )
    assert not np.array_equal(first.generator_corners, others[0].generator_corners)
