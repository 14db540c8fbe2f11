"""Kernels of the parts of an image."""

import jax
import numpy as np
import pytest

from kernelgan_jax import equivalent_gaussian, estimate_kernel
from kernelgan_jax.estimators.spectral import SpectralConfig, kernel_map, smoothing


@pytest.mark.parametrize("text", ["3", "3x", "0x2", "17x2", "2x2x2", "a", 3, None])
def test_a_grid_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="config.spectral.kernel_map is .* 3x4"):
        SpectralConfig(kernel_map=text)


def test_grids():
    assert SpectralConfig().grid is None
    assert SpectralConfig(kernel_map="16x1").grid == (16, 1)


def test_parts_cover_the_image_and_overlap_by_half():
    found = list(kernel_map.parts((120, 200), (2, 4)))
    assert len(found) == 8
    seen = np.zeros((120, 200), int)
    for part in found:
        seen[part.rows, part.columns] += 1
    assert seen.min() >= 1
    assert (found[5].rows, found[5].columns) == (slice(30, 120), slice(25, 125))
    np.testing.assert_allclose(found[5].centre, (90 / 200, 75 / 200))


def test_parts_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="5x3 kernels needs at least 72x120; use"):
        list(kernel_map.parts((119, 200), (5, 3)))


def test_smoothing_follows_a_change_and_leaves_out_what_is_far_off():
    rows, columns = np.mgrid[:5, :5]
    places = np.stack([rows.ravel(), columns.ravel()], 1) / 5
    true = np.stack([places[:, 0], 0 * places[:, 0] + 1, -places[:, 1]], 1)
    rng = np.random.default_rng(0)
    seen = true + 0.1 * rng.standard_normal(true.shape)
    seen[12] += 4
    means, variances = smoothing.smooth(seen, np.full(seen.shape, 0.01), places, places)
    assert np.abs(means - true).max() < 0.3
    assert np.sqrt(np.mean((means - true) ** 2)) < 0.07
    assert 0 < variances.min() <= variances.max() < 0.02


def test_a_part_that_is_hardly_known_follows_its_neighbours():
    places = np.array([[0.0, 0], [0, 0.1], [0, 0.2]])
    seen = np.array([[0.0], [5.0], [0.0]])
    means, _ = smoothing.smooth(
        seen, np.array([[0.01], [100.0], [0.01]]), places, places
    )
    assert np.abs(means).max() < 0.2


@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0])
def test_the_gaussian_of_a_covariance(angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    covariance = turn @ np.diag([1.2, 3.0]) @ turn.T
    made = smoothing.gaussian_of(covariance, 2)
    found = equivalent_gaussian.covariance(made, scale=2)
    np.testing.assert_allclose(found, covariance, atol=0.01)


def test_blur_that_grows_from_left_to_right(photo_lr):
    lr = np.array(photo_lr, np.float64)
    lr = lr / 255 if lr.max() > 1 else lr
    blurred = (lr + np.roll(lr, 1, 1) + np.roll(lr, -1, 1)) / 3
    ramp = np.linspace(0, 1, lr.shape[1])[None, :, None]
    if lr.ndim == 2:
        ramp = ramp[..., 0]
    image = (1 - ramp) * lr + ramp * blurred
    config = SpectralConfig(kernel_map="1x3")
    estimate = estimate_kernel(jax.random.key(0), image, scale=2, config=config)
    found = estimate.kernel_map
    assert found.kernels.shape[:2] == found.width_std.shape == (1, 3)
    np.testing.assert_allclose(found.kernels.sum((2, 3)), 1)
    across = [
        equivalent_gaussian.covariance(kernel, scale=2)[1, 1]
        for kernel in found.kernels[0]
    ]
    assert across[0] < across[1] < across[2]
    assert len(found.levels[0]) == 3


def test_an_image_that_is_too_small_for_its_map_is_refused():
    image = np.random.default_rng(0).random((48, 48))
    config = SpectralConfig(kernel_map="4x4")
    with pytest.raises(ValueError, match="needs at least 96x96; use fewer parts"):
        estimate_kernel(jax.random.key(0), image, scale=2, config=config)


def test_parts_without_structure_take_the_kernel_of_the_others():
    image = np.full((96, 192), 0.5)
    image[:, :96] = np.random.default_rng(0).random((96, 96))
    config = SpectralConfig(kernel_map="1x4")
    found = estimate_kernel(jax.random.key(0), image, scale=2, config=config).kernel_map
    assert found.levels[0][3] == "none"
    assert np.isfinite(found.kernels).all()
    assert found.width_std[0, 3] > found.width_std[0, 0]
