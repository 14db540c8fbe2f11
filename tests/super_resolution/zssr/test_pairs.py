"""Training pairs: LR inputs cut out in the loop are the downscaled crops."""

import helpers
import numpy as np
import pytest

from kernelgan_jax.degradation import downscale
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import ZSSRConfig
from kernelgan_jax.super_resolution.zssr.pairs import blur, make_pair, training_pairs


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("scale", [2, 4])
def test_inputs_in_the_loop_are_the_downscaled_crops(scale):
    image, kernel = helpers.smooth(60, 70), helpers.gaussian(scale).astype(np.float32)
    blurred = blur(rng(), image, kernel, 0.0)
    pair = make_pair(image, blurred, None, scale)
    for top, left in ((0, 0), (3, 5), (9, 2)):
        crop = image[top:, left:]
        lr = downscale(crop, kernel, scale)[4:8, 4:8]
        found = pair.blurred[:, top::scale, left::scale][:, 4:8, 4:8]
        np.testing.assert_allclose(found.transpose(1, 2, 0), lr, atol=1e-5)
        base = pair.base[(top % scale) * scale + left % scale]
        base = base[:, top : top + 32, left : left + 32].transpose(1, 2, 0)
        enlarged = bicubic_resize(blurred[top::scale, left::scale], scale)
        np.testing.assert_allclose(
            base[16:24, 16:24], enlarged[16:24, 16:24], atol=1e-5
        )


def test_all_arrays_are_padded_with_zeros_to_few_sizes():
    image = helpers.smooth(60, 140)
    pair = make_pair(image, image, None, 2)
    shapes = [array.shape for array in pair]
    assert shapes == [(3, 128, 256), (3, 128, 256), (4, 3, 128, 256), (128, 256), (2,)]
    assert pair.size.tolist() == [60, 140]
    np.testing.assert_array_equal(pair.target[:, :60, :140].transpose(1, 2, 0), image)
    np.testing.assert_allclose(pair.weight[:60, :140].mean(), 1, rtol=1e-5)
    for array in pair[:4]:
        assert array.dtype == np.float32
        assert not array[..., 60:, :].any() and not array[..., 140:].any()


def test_noise_is_white_of_the_deviation_asked_for_and_stays_in_range():
    image = np.full((100, 100, 3), 0.5, np.float32)
    blurred = blur(rng(), image, helpers.gaussian(2), 0.03)
    noise = blurred - 0.5
    assert noise.std() == pytest.approx(0.03, rel=0.05)
    assert abs(np.mean(noise[1:] * noise[:-1])) < 0.05 * 0.03**2
    extreme = blur(rng(), image, helpers.gaussian(2), 0.9)
    assert extreme.min() == 0 and extreme.max() == 1 and extreme.dtype == np.float32


def test_there_is_a_pair_for_each_image_and_kernel_and_crops_fit_into_all():
    sources = helpers.smooth(37, 50, 1), helpers.smooth(74, 100, 1)
    kernels = [helpers.gaussian(3), helpers.gaussian(3, variances=(1.0, 1.0))]
    made = training_pairs(
        rng(), sources, kernels, scale=3, config=ZSSRConfig(), fit_filter=False
    )
    assert made.linear is None and made.crop == 36
    sizes = [pair.size.tolist() for pair in made.pairs]
    assert sizes == [[36, 50]] * 2 + [[74, 100]] * 2  # sides are made even
    first, second = made.pairs[:2]
    np.testing.assert_array_equal(first.target, second.target)
    assert np.abs(first.blurred - second.blurred).max() > 0.01


def test_large_images_are_learned_from_on_a_window():
    image = helpers.smooth(200, 300, 1)
    config = ZSSRConfig(max_pixels=128**2, crop=32)
    made = training_pairs(
        rng(), [image], [helpers.gaussian(2)], scale=2, config=config, fit_filter=True
    )
    height, width = made.pairs[0].size
    assert 0.5 * 128**2 < height * width <= 128**2
    assert made.crop == 32 and made.linear.shape == (11, 11, 1, 4)
