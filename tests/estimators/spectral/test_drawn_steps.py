"""What was drawn on a picture, found by steps that the picture's kernel forbids."""

import io
import types

import helpers
import numpy as np
import pytest
from PIL import Image as pillow
from PIL import ImageDraw, ImageFont

from kernelgan_jax import analyse, metrics
from kernelgan_jax.blur_kernels import gaussian
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral import given_kernels
from kernelgan_jax.estimators.spectral.analysis import steps_were_drawn
from kernelgan_jax.estimators.spectral.best import best_family
from kernelgan_jax.estimators.spectral.drawn_steps import were_drawn
from kernelgan_jax.estimators.spectral.measured import measure
from kernelgan_jax.usable_pixels.unblurred_steps import (
    allows_steps,
    are_of_letters,
    find_unblurred_steps,
)

KERNEL = helpers.gaussian(2, size=11)
NARROW = gaussian(11, variances=(0.4, 0.4), scale=2)
PICTURE = helpers.power_law(400, 480, contrast=0.15).clip(0, 1)


def lr(kernel=KERNEL):
    pixels = np.rint(255 * downscale(PICTURE, kernel, 2)).astype(np.uint8)
    return pillow.fromarray(np.dstack([pixels] * 3))


def text(image, colour, top=140, outline=None):
    draw = ImageDraw.Draw(image)
    for row, words in enumerate(("The quick brown fox", "jumps over the lazy dog")):
        draw.text(
            (20, top + 22 * row), words, fill=colour, font=ImageFont.load_default(18),
            stroke_width=1 if outline else 0, stroke_fill=outline,
        )  # fmt: skip
    return image


def bar(image, colour, words):
    ImageDraw.Draw(image).rectangle([0, 140, 239, 190], fill=colour)
    return text(image, words)


def caption(image):
    dark = pillow.new("RGB", (200, 50), "black")
    image.paste(pillow.blend(image.crop((10, 140, 210, 190)), dark, 0.5), (10, 140))
    return text(image, "white")


def collage(image):
    image.paste(image.crop((60, 0, 240, 50)), (0, 141))
    return image


DRAWN = {
    "a subtitle": lambda image: text(image, "white", outline="black"),
    "gray text": lambda image: text(image, (215, 215, 215), outline=(50, 50, 50)),
    "a gray bar": lambda image: bar(image, (240, 240, 240), (90, 90, 90)),
    "a dark bar": lambda image: bar(image, (45, 45, 48), (170, 170, 170)),
    "a coloured bar": lambda image: bar(image, (25, 118, 210), (250, 250, 250)),
    "a caption": caption,
}


def saved(image, format="JPEG", quality=85):
    with io.BytesIO() as file:
        image.save(file, format, quality=quality)
        return np.asarray(pillow.open(file).convert("RGB"))


def found(pixels):
    return find_unblurred_steps(pixels[..., 0].astype(np.float32) / 255)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
@pytest.mark.parametrize("what", DRAWN)
def test_what_is_drawn_is_found_and_nothing_else(what, format):
    places = found(saved(DRAWN[what](lr()), format))
    assert places[145:180, 30:100].mean() > 0.8
    assert not places[:120].any()


@pytest.mark.parametrize("format, quality", [("PNG", 0), ("JPEG", 85), ("WEBP", 75)])
def test_a_picture_has_nothing_drawn(format, quality):
    assert not found(saved(lr(), format, quality)).any()


def test_what_is_known_to_be_no_picture_does_not_count():
    pixels = saved(DRAWN["a dark bar"](lr()))
    unusable = np.zeros(pixels.shape[:2], bool)
    unusable[139:192] = True
    gray = pixels[..., 0].astype(np.float32) / 255
    assert not find_unblurred_steps(gray, unusable=unusable).any()


@pytest.mark.parametrize("what", ["a subtitle", "a dark bar"])
def test_what_is_drawn_does_not_change_the_kernel(what):
    seen, expected = (
        analyse(saved(image), scale=2) for image in (DRAWN[what](lr()), lr())
    )
    assert seen.text_share > 0.05 and not seen.left_out
    assert seen.unusable is not None
    assert expected.text_share == 0 and expected.unusable is None
    error, least = (
        metrics.covariance_error(e.kernel, KERNEL) for e in (seen, expected)
    )
    assert error < least + 0.15


def fits(kernel, loss):
    """Fits of which only the Gaussian counts."""
    losses = np.array([loss, np.nan])
    families = types.SimpleNamespace(kernel=kernel[np.newaxis], loss=losses)
    return types.SimpleNamespace(families=families)


def test_kernels_are_fitted_with_steps_where_there_are_some():
    measured = measure(saved(DRAWN["a dark bar"](lr())))
    assert measured.with_steps is not None
    assert not np.array_equal(measured.power, measured.with_steps.power)
    assert measure(saved(lr())).with_steps is None


@pytest.mark.parametrize(
    "losses, allowed, drawn",
    [
        ((0.02, 0.02, 0.04), True, True),  # The rest rules out the kernel with them,
        ((0.02, 0.06, 0.02), True, True),  # or it is explained much better,
        ((0.02, 0.025, 0.02), False, True),  # or this kernel forbids them, too.
        ((0.02, 0.025, 0.02), True, False),  # They are the picture's own,
        ((0.05, 0.02, 0.06), False, False),  # which is soft elsewhere.
    ],
)
def test_steps_that_the_rest_speaks_against_were_drawn(losses, allowed, drawn):
    assert were_drawn(*losses, allowed=allowed) is drawn


def test_narrow_kernels_allow_steps():
    assert allows_steps(NARROW, scale=2) and not allows_steps(KERNEL, scale=2)
    assert not allows_steps(np.full((9, 9), np.nan), scale=2)


def test_fits_that_failed():
    for losses, drawn in (
        ((0.02, np.inf, np.nan), True),
        ((0.02, 0.02, np.nan), True),
        ((np.inf, 0.02, 0.02), False),
        ((np.inf, np.inf, np.nan), False),
    ):
        assert were_drawn(*losses, allowed=True) is drawn
    loss, kernel = best_family(fits(KERNEL, 0.02))
    assert loss == 0.02 and np.array_equal(kernel, KERNEL)
    assert best_family(fits(KERNEL, np.nan))[0] == np.inf


def test_steps_around_letters_are_of_letters():
    """Of those that are known, few are enough; frames and far letters are not."""
    steps, unusable = np.zeros((2, 100, 200), bool)
    steps[40:60, 20:180] = True
    unusable[:10] = unusable[:, :10] = True
    assert not are_of_letters(steps, unusable)
    unusable[50:54, 100:103] = True
    assert not are_of_letters(steps, unusable)
    unusable[50:54, 50:53] = True
    assert are_of_letters(steps, unusable)


@pytest.mark.parametrize("of_letters", [False, True])
@pytest.mark.parametrize("own", [NARROW, KERNEL])
def test_less_speaks_for_letters(monkeypatch, of_letters, own):
    """What is left of them makes the kernel narrow that is found without them, too."""
    monkeypatch.setattr(given_kernels, "losses", lambda *_, **__: np.array([0.025]))
    small = pillow.fromarray(saved(lr(), "PNG"))
    ImageDraw.Draw(small).text(
        (20, 130),
        "jumps over the lazy dog",
        fill="white",
        font=ImageFont.load_default(12),
    )
    measured = measure(np.asarray(small))
    assert measured.of_letters
    measured = measured._replace(of_letters=of_letters)
    found = fits(own, 0.02), fits(NARROW, 0.02)
    assert steps_were_drawn(measured, *found, scale=2) is of_letters


def test_sharp_pictures_keep_their_steps():
    """A picture with a narrow kernel, in whose middle there are sharp borders."""
    blocks = np.kron(helpers.noise(20, 24) > 127, np.ones((20, 20)))
    picture = PICTURE.copy()
    picture[100:300, 100:380] = 0.2 + 0.6 * blocks[100:300, 100:380]
    pixels = np.rint(255 * downscale(picture, NARROW, 2)).astype(np.uint8)
    assert measure(pixels).with_steps is not None
    assert analyse(pixels, scale=2).text_share == 0
