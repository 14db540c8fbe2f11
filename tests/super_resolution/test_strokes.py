"""Small text that was drawn on a picture: it is found by the picture's kernel."""

import io

import helpers
import jax
import numpy as np
from PIL import Image as pillow
from PIL import ImageDraw, ImageFont
from scipy.ndimage import maximum_filter

from kernelgan_jax import analyse
from kernelgan_jax.blur_kernels import gaussian
from kernelgan_jax.degradation import downscale
from kernelgan_jax.super_resolution import plan, run, super_resolve
from kernelgan_jax.super_resolution.strokes import without_strokes
from kernelgan_jax.usable_pixels import find_usable

KERNEL = helpers.gaussian(2, size=11)
PICTURE = helpers.power_law(320, 400, contrast=0.15).clip(0, 1)
KEY = jax.random.key(0)


def lr(kernel=KERNEL):
    return np.rint(255 * downscale(PICTURE, kernel, 2)).astype(np.uint8)


def with_text(pixels, size=12, alpha=1.0, top=70):
    """Half-transparent white text, and where it is."""
    image = pillow.new("L", pixels.shape[::-1])
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    draw.text((15, top), "The quick brown fox jumps", fill=255, font=font)
    share = alpha * np.asarray(image) / 255
    mixed = np.rint((1 - share) * pixels + 255 * share).astype(np.uint8)
    return mixed, mixed != pixels


def planned_for(pixels, kernel=KERNEL):
    evidence = analyse(pixels, scale=2)._replace(kernel=kernel)
    return plan(kernel, scale=2, evidence=evidence)


def test_strokes_are_found():
    pixels, text = with_text(lr())
    found = without_strokes(find_usable(pixels), planned_for(lr()))
    step = np.abs(pixels.astype(int) - lr())
    left_out = found.mixed | found.drawn
    assert left_out[step > 100].all() and left_out[step > 40].mean() > 0.85
    assert found.mixed[~maximum_filter(text, 7)].mean() < 0.001
    # What stands in for them is close to the picture.
    apart = np.abs(found.image[..., 0].astype(int) - lr())
    assert apart[left_out].mean() < 0.3 * step[left_out].mean()


def test_strokes_are_found_after_jpeg():
    def compressed(pixels):
        file = io.BytesIO()
        pillow.fromarray(pixels).save(file, "JPEG", quality=90)
        return np.asarray(pillow.open(file))

    pixels, text = with_text(lr())
    seen = find_usable(compressed(pixels))
    assert not (seen.mixed | seen.drawn)[text].any()
    found = without_strokes(seen, planned_for(compressed(lr()))).mixed
    step = np.abs(pixels.astype(int) - lr())
    assert found[step > 100].mean() > 0.98 and found[step > 40].mean() > 0.8
    assert found[~maximum_filter(text, 7)].mean() < 0.001


def test_they_do_not_ring_in_the_rest_of_the_picture(monkeypatch):
    pixels, text = with_text(lr())
    away = ~maximum_filter(text, 7).repeat(2, 0).repeat(2, 1)

    def ringing():
        """Root mean square of what text changes away from it, gray levels."""
        plain, result = (
            super_resolve(KEY, x, KERNEL, scale=2, evidence=analyse(x, scale=2))
            for x in (lr(), pixels)
        )
        return 255 * np.std((result - plain)[away])

    protected = ringing()
    monkeypatch.setattr(run, "without_strokes", lambda usable, _: usable)
    assert protected < 0.35 and ringing() > 2 * protected


def test_what_has_none_is_left_as_it_is():
    plain = find_usable(lr())
    assert without_strokes(plain, planned_for(lr())) is plain
    # A narrow kernel has such steps itself.
    narrow = gaussian(11, variances=(0.4, 0.4), scale=2)
    text = find_usable(with_text(lr(narrow))[0])
    assert without_strokes(text, planned_for(lr(narrow), narrow)) is text
    # So has what nothing is known of.
    drawn = find_usable(with_text(lr())[0])
    assert without_strokes(drawn, plan(KERNEL, scale=2)) is drawn
