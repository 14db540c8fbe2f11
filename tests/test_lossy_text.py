"""Text that was drawn on a picture before lossy compression."""

import io

import helpers
import numpy as np
import pytest
from PIL import Image as pillow
from PIL import ImageDraw, ImageFont

from kernelgan_jax import analyse, metrics
from kernelgan_jax.degradation import downscale
from kernelgan_jax.lossy_text import find_lossy_text

KERNEL = helpers.gaussian(2, size=11)
PICTURE = helpers.power_law(400, 480, contrast=0.15).clip(0, 1)
LR = np.rint(255 * downscale(PICTURE, KERNEL, 2)).astype(np.uint8)


def written(colour, outline):
    """The picture with two lines of text."""
    image = pillow.fromarray(np.dstack([LR] * 3))
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(("The quick brown fox", "jumps over the lazy dog")):
        draw.text(
            (20, 140 + 22 * row), text, fill=colour, font=ImageFont.load_default(18),
            stroke_width=1 if outline else 0, stroke_fill=outline,
        )  # fmt: skip
    return image


def compressed(image, format="JPEG", quality=85):
    with io.BytesIO() as file:
        image.save(file, format, quality=quality)
        return np.asarray(pillow.open(file).convert("RGB"))


@pytest.mark.parametrize(
    "colour, outline", [("white", "black"), ("white", None), ("yellow", "black")]
)
def test_text_is_found_and_nothing_else(colour, outline):
    found = find_lossy_text(compressed(written(colour, outline)) / np.float32(255))
    assert found[145:180, 30:100].mean() > 0.8
    assert not found[:120].any() and found.mean() < 0.3


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_picture_has_no_text(format):
    plain = pillow.fromarray(np.dstack([LR] * 3))
    assert not find_lossy_text(compressed(plain, format) / np.float32(255)).any()


def test_text_does_not_change_the_kernel():
    plain = pillow.fromarray(np.dstack([LR] * 3))
    expected = analyse(compressed(plain), scale=2)
    found = analyse(compressed(written("white", "black")), scale=2)
    assert found.text_share > 0.02 and not found.left_out
    assert expected.text_share == 0
    assert found.unusable is not None
    error, least = (
        metrics.covariance_error(e.kernel, KERNEL) for e in (found, expected)
    )
    assert error < least + 0.15
