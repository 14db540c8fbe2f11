"""Pixels without a picture, as an image's method gets them."""

import numpy as np
import pytest
from helpers import smooth
from PIL import Image, ImageDraw, ImageFont

from kernelgan_jax import blur_kernels, degradation
from kernelgan_jax.super_resolution import plan
from kernelgan_jax.super_resolution.filling import fill_unusable, put_back
from kernelgan_jax.usable_pixels import find_usable

KERNEL = blur_kernels.gaussian(11, variances=(3.0, 1.5), angle=0.5, scale=2)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_fill_is_blurred_as_the_picture(channels):
    """What is unknown becomes more like the picture that is there; the rest stays."""
    picture = degradation.downscale(smooth(120, 100, channels), KERNEL, 2)
    picture = np.clip(0.5 + 0.2 * picture, 0, 1).astype(np.float32)
    rows, columns = np.indices(picture.shape[:2])
    unseen = np.hypot(rows - 30, columns - 25) > 22
    rough = picture.copy()
    # Colours change, or it would be seen that an area is drawn.
    rough[unseen] = picture[~unseen].mean(0) + 1e-3 * columns[unseen][:, None]
    usable = find_usable(rough, unseen=unseen)
    np.testing.assert_array_equal(usable.unusable, unseen)
    planned = plan(KERNEL, scale=2, method="wiener")
    filled = fill_unusable(rough, planned, usable)
    np.testing.assert_array_equal(filled[~unseen], picture[~unseen])
    near = unseen & (np.hypot(rows - 30, columns - 25) < 24)

    def error(image):
        return np.abs(image - picture)[near].mean()

    assert error(filled) < 0.8 * error(rough)


def test_without_such_pixels_nothing_is_done():
    image = smooth(40, 40, 3).astype(np.float32)
    usable = find_usable(np.clip(0.5 + 0.2 * image, 0, 1))
    assert fill_unusable(image, None, usable) is image


def test_flat_colours_keep_their_value_up_to_letters():
    page = Image.new("RGB", (200, 90), (245, 240, 230))
    draw = ImageDraw.Draw(page)
    for row, size in ((2, 11), (22, 16), (50, 28)):
        font = ImageFont.load_default(size)
        draw.text((4, row), "A page with (words)", "black", font)
    image = np.asarray(page)
    paper = np.array([245, 240, 230], np.uint8)
    result = smooth(180, 400, 3)
    kept = put_back(result.copy(), image, find_usable(image))
    flat, ink = (
        (image == colour).all(-1).repeat(2, 0).repeat(2, 1) for colour in (paper, 0)
    )
    stays = (kept == paper / np.float32(255)).all(-1)
    assert stays[flat].mean() > 0.93  # all but within and between letters
    soft = ~(flat | ink)
    np.testing.assert_array_equal(kept[soft], result[soft])
