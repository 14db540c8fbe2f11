"""The periodogram of images whose power is known; JPEG's blocks."""

import io

import helpers
import numpy as np
import pytest
from PIL import Image as pillow

from kernelgan_jax import blur_kernels
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral.periodogram import (
    SHAPE,
    has_blocks,
    mean_periodogram,
    mean_window_power,
    to_gray,
)
from kernelgan_jax.pixels import from_unit, luma, to_unit


def test_periodogram_of_white_noise_and_of_a_wave():
    """White noise has its variance at all frequencies; a constant has no power."""
    noise = 3 * np.random.default_rng(0).standard_normal((200, 300))
    found = mean_periodogram(noise)
    np.testing.assert_allclose(found[4:-4, 4:-1].mean(), 9, rtol=0.05)
    assert found[0, 0] < 0.5  # The mean is removed.
    assert mean_periodogram(np.full((40, 50), 7.0)).max() < 1e-20
    wave = np.cos(2 * np.pi * 8 / 32 * np.arange(100))[None] * np.ones((90, 1))
    assert np.unravel_index(mean_periodogram(wave).argmax(), SHAPE)[1] == 8
    np.testing.assert_array_equal(mean_window_power(noise), found)


def test_the_mean_of_a_window_does_not_leak():
    noise = np.random.default_rng(0).standard_normal((64, 64))
    np.testing.assert_allclose(
        mean_periodogram(noise + 1000), mean_periodogram(noise), rtol=1e-6, atol=1e-9
    )


def test_power_is_that_of_windows_one_by_one():
    image = np.random.default_rng(0).random((70, 90)).cumsum(1)
    unusable = np.zeros(image.shape, bool)
    unusable[:, 50:53] = True
    hann = np.hanning(33)[:32]
    taper = np.outer(hann, hann) / (hann**2).sum()
    roots, shares = [], []
    corners = np.mgrid[0:39:4, 0:59:4].transpose(1, 2, 0)  # 10 x 15, in two parts
    for part in np.array_split(corners, 2, axis=1):
        powers = []
        for top, left in part.reshape(-1, 2):
            place = np.s_[top : top + 32, left : left + 32]
            if (unusable[place] * taper**2).sum() <= 0.02:  # of its energy
                window = image[place] - (image[place] * taper).sum() / taper.sum()
                powers.append(abs(np.fft.rfft2(window * taper)) ** 2)
        roots.append(np.sqrt(np.mean(powers, 0)))
        shares.append(len(powers) / part[..., 0].size)
    expected = np.average(roots, axis=0, weights=shares) ** 2
    found = mean_window_power(image, unusable=unusable)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-20)


def test_strong_edges_do_not_dominate_the_image():
    """Parts count by the root of their power; for equal parts it is the mean power."""
    noise = np.random.default_rng(0).standard_normal((32, 32))
    tiled = np.tile(noise, (8, 8))
    gain = np.ones((256, 256))
    gain[:64, :64] = 100  # on 1/16 of the area
    mean = mean_periodogram(tiled)[5, 5]
    assert mean_periodogram(tiled * gain)[5, 5] < mean * (1 + 99 / 8) ** 2
    assert mean_periodogram(tiled * gain)[5, 5] > mean


def test_blocks_of_jpeg_are_seen_wherever_they_start():
    photo = helpers.photo().astype(np.float64)
    true = blur_kernels.gaussian(11, variances=(2.5, 1.2), angle=0.6, scale=2)
    lr = from_unit(downscale(photo, true, 2), np.uint8)
    with io.BytesIO() as file:
        pillow.fromarray(lr).save(file, "JPEG", quality=80)
        compressed = np.asarray(pillow.open(file))
    for pixels, jpeg in ((lr, False), (compressed, True), (compressed[3:, 5:], True)):
        assert has_blocks(luma(to_unit(pixels))) == jpeg
    assert not has_blocks(np.full((40, 50), 0.5))


def test_gray_levels():
    image = np.stack([np.eye(40), np.zeros((40, 40)), np.zeros((40, 40))], -1)
    gray = to_gray(image.astype(np.float32))
    assert gray.dtype == np.float64
    np.testing.assert_allclose(gray, 255 * 0.299 * np.eye(40), rtol=1e-6)


def test_images_without_a_spectrum_are_refused():
    with pytest.raises(ValueError, match="constant"):
        to_gray(np.zeros((64, 64, 1), np.float32))
    for function in (lambda x: to_gray(x[..., None]), mean_periodogram):
        with pytest.raises(ValueError, match="64x31 pixels.* at least 32"):
            function(np.zeros((31, 64), np.float32))
