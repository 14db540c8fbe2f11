"""What is found on a picture that is not part of it, and what it costs the rest."""

import io

import helpers
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image, ImageDraw, ImageFont

from kernelgan_jax.estimators.spectral.noise import flat_noise_std
from kernelgan_jax.estimators.spectral.periodogram import (
    has_blocks,
    mean_window_power,
    to_gray,
)
from kernelgan_jax.levels import to_own_range
from kernelgan_jax.usable_pixels import find, find_flat, find_usable

SHAPE = (120, 150)
PICTURE = helpers.smooth(*SHAPE, 3)
PICTURE = np.rint(40 + 170 * (PICTURE - PICTURE.min()) / np.ptp(PICTURE))
PICTURE = PICTURE.astype(np.uint8)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def painted(where, colour):
    return np.where(where[..., None], np.array(colour, np.uint8), PICTURE)


def frame(width):
    inside = np.zeros(SHAPE, bool)
    inside[width:-width, width:-width] = True
    return ~inside


def lettered(fill, size):
    picture = Image.fromarray(PICTURE)
    font = ImageFont.load_default(size=size)
    text = "A line of\nburnt-in text"
    ImageDraw.Draw(picture).multiline_text((8, 80), text, fill=fill, font=font)
    return np.asarray(picture)


def page(paper, ink):
    picture = Image.new("RGB", SHAPE[::-1], (paper,) * 3)
    font = ImageFont.load_default(size=13)
    for line in range(8):
        text = f"A page with its line {line} and more"
        ImageDraw.Draw(picture).text((3, 15 * line), text, fill=(ink,) * 3, font=font)
    return np.asarray(picture)


def with_hot_pixels(fraction):
    chosen = np.random.default_rng(0).random(SHAPE) < fraction
    chosen[:2] = chosen[-2:] = chosen[:, :2] = chosen[:, -2:] = False
    return painted(chosen, (255, 255, 255))


def mosaic(side):
    """The picture whose middle is of squares, or of rectangles that nearly are some."""
    picture = Image.fromarray(PICTURE)
    box = (30, 20, 110, 90)
    part = picture.crop(box)
    few = part.resize((round(80 / side), round(70 / side)), Image.Resampling.BOX)
    picture.paste(few.resize(part.size, Image.Resampling.NEAREST), box)
    return np.asarray(picture)


KINDS = {
    "white frame": (painted(frame(12), (255, 255, 255)), "a flat frame (top 12, "),
    "black frame": (painted(frame(20), (0, 0, 0)), "a flat frame (top 20, bottom 20"),
    "gray frame": (painted(frame(9), (120, 121, 119)), "a flat frame (top 9, "),
    "one margin": (painted(COLUMNS < 10, (255, 255, 255)), "a flat margin (left 10 px"),
    "bars": (painted(abs(ROWS - 59.5) > 45, (16, 16, 16)), "a flat margin (top 15, bo"),
    "no data": (painted(ROWS + COLUMNS < 60, (0, 0, 0)), "drawn areas (10 %"),
    "grid": (
        painted((ROWS % 40 == 19) | (COLUMNS % 40 == 19), (255, 255, 255)),
        "drawn areas (5.1 %",
    ),
    "logo": (
        painted(np.hypot(ROWS - 30, COLUMNS - 120) < 18, (255, 10, 20)),
        "drawn areas (5.",
    ),
    "white text": (lettered((255, 255, 255), 16), "drawn areas ("),
    "yellow text": (lettered((255, 245, 0), 20), "drawn areas ("),
    "hot pixels": (with_hot_pixels(0.005), "isolated pixels"),
}
"""Disturbed pictures, and what is said of them."""


def spectrum(pixels):
    """Mean power, noise and blocks, as the spectral estimator measures them."""
    usable = find_usable(pixels)
    gray = to_gray(to_own_range(usable.image)[0])
    return (
        mean_window_power(gray, unusable=usable.unusable),
        flat_noise_std(gray, unusable=usable.unusable),
        has_blocks(gray, unusable=usable.unusable),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_picture_is_found_named_and_replaced(kind):
    pixels, name = KINDS[kind]
    usable = find_usable(pixels)
    assert name in usable.left_out
    disturbed = (pixels != PICTURE).any(axis=2)
    found = usable.drawn | usable.mixed | usable.isolated
    # Soft edges of letters, and the gaps between these, are in doubt.
    least, most = (0.6, 2.5) if "text" in kind else (1.0, 1.4)
    assert (found & disturbed).sum() >= least * disturbed.sum()
    assert found.sum() <= most * disturbed.sum()
    untouched = ~found
    np.testing.assert_array_equal(usable.image[untouched], pixels[untouched])
    assert usable.image.dtype == pixels.dtype
    if "text" not in kind:  # The filled image goes on as the picture does.
        assert PICTURE.min() <= usable.image.min() <= usable.image.max() <= 210


@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize(
    "where, name",
    [(frame(24), "a flat frame"), (ROWS < 24, "a flat margin (top 2")],
    ids=["frame", "bar"],
)
def test_margins_are_found_after_lossy_compression(where, name, colour):
    soft = scipy.ndimage.gaussian_filter(PICTURE, (2, 2, 0)) // 2 + 60
    pixels = np.where(where[..., None], np.uint8(colour), soft)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92)
    usable = find_usable(np.asarray(Image.open(file)))
    assert name in usable.left_out
    found = usable.drawn | usable.mixed
    assert (found & where).sum() >= 0.9 * where.sum()
    assert found.sum() <= 1.2 * where.sum()


def test_bars_beside_a_picture_that_is_as_dark():
    """As of films: there is hardly a step where they end."""
    lamp = np.exp(-np.hypot(ROWS - 60, COLUMNS - 90) / 15)
    dark = np.rint(lamp[..., None] * PICTURE + 1).astype(np.uint8)
    for where in (abs(ROWS - 59.5) > 45, COLUMNS < 60, frame(12)):
        usable = find_usable(np.where(where[..., None], np.uint8(0), dark))
        np.testing.assert_array_equal(usable.drawn, where)


@pytest.mark.parametrize("side", [8, 7.3, 16])
def test_mosaics_are_found_where_the_picture_is_smooth(side):
    found = find_usable(mosaic(side)).drawn
    inside = np.zeros(SHAPE, bool)
    inside[20:90, 30:110] = True
    assert found[inside].mean() > 0.9
    assert not found[~inside].any()


def test_a_gradient_that_ends_in_a_flat_area_has_no_bar():
    ramp = np.minimum(5 * np.arange(60), 100).astype(np.uint8)
    assert find_usable(ramp[None, :, None].repeat(50, 0)).unusable is None


def test_a_white_sky_that_does_not_end_in_a_line_is_no_bar():
    sky = ROWS < 60 - 0.5 * abs(COLUMNS - 75)
    pixels = np.where(sky[..., None], 255, scipy.ndimage.gaussian_filter(PICTURE, 2))
    soft = np.clip(scipy.ndimage.gaussian_filter(pixels, (3, 3, 0)), 0, 220)
    assert (soft[:10] == 220).all() and find_usable(soft).unusable is None


def test_a_sky_over_a_straight_horizon_is_no_margin():
    rng = np.random.default_rng(0)
    sky = np.clip(rng.normal(200, 1.2, (*PICTURE.shape[:2], 1)).round(), 195, 205)
    pixels = np.where((ROWS < 40)[..., None], sky, PICTURE // 2).astype(np.uint8)
    assert not find_usable(pixels).drawn.any()
    paper = np.where((ROWS < 40)[..., None], sky + 50, PICTURE // 2).astype(np.uint8)
    assert find_usable(paper).drawn[:39].all()


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_no_part_in_spectrum_noise_and_blocks(kind):
    power, noise, blocks = spectrum(KINDS[kind][0])
    expected, expected_noise, _ = spectrum(PICTURE)
    high = np.s_[8:24, 8:]  # A frame adds ten times the power and more.
    ratio = power[high].mean() / expected[high].mean()
    assert 0.4 < ratio < 2 and not blocks
    assert noise < 2 * expected_noise


@pytest.mark.parametrize(
    "pixels",
    [
        PICTURE,
        PICTURE[..., :1],
        PICTURE // 16,  # Flat everywhere, but with steps of one level.
        np.clip(PICTURE.astype(int) * 2 - 150, 0, 255).astype(np.uint8),  # Clipped.
        helpers.noise(60, 70, 3),
        np.asarray(Image.fromarray(PICTURE).quantize(256).convert("RGB")),
        np.kron(helpers.noise(9, 9, 1), np.ones((8, 8, 1), np.uint8)),  # A drawing.
        np.full((40, 40, 3), 9, np.uint8),
        PICTURE / 255,
        page(245, 20),
        page(30, 200),
        np.where((ROWS < 50)[..., None], np.uint8(9), np.full((*SHAPE, 3), 200, "u1")),
        PICTURE[:1, :1],
        PICTURE[:1],
    ],
    ids=(
        "RGB gray coarse clipped noise palette drawing constant float page dark two "
        "pixel row"
    ).split(),
)
def test_pictures_and_drawings_are_left_as_they_are(pixels):
    usable = find_usable(pixels)
    assert usable.left_out == "" and usable.unusable is None
    assert usable.image is pixels or np.shares_memory(usable.image, pixels)


@pytest.mark.parametrize("levels, times", [(120, 1), (60, 4), (40, 1 / 255), (25, 1)])
def test_a_picture_of_few_levels_has_areas_of_one_by_chance(levels, times):
    """As dark or foggy photographs have, and parts of the range in 8 bits."""
    scene = scipy.ndimage.gaussian_filter(helpers.dead_leaves(*SHAPE), 0.6)
    scene = (scene - scene.min()) / np.ptp(scene)
    pixels = np.rint(scene * levels)[..., None] * times
    pixels = pixels.astype(np.uint8) if times >= 1 else pixels
    assert find_usable(pixels).unusable is None
    # What is drawn there is found all the same.
    for where in (frame(12), np.hypot(ROWS - 30, COLUMNS - 120) < 18):
        usable = find_usable(np.where(where[..., None], pixels.max(), pixels))
        assert usable.drawn[where].all() and usable.drawn[~where].mean() < 0.01


def test_flat_areas_go_on_to_letters_and_spots_are_none():
    pixels = page(245, 20)
    paper = (pixels == 245).all(axis=2)
    assert find_flat(pixels)[paper].mean() > 0.85  # all but between close letters
    assert not find_flat(helpers.noise(*SHAPE, 3) // 128).any()
    assert not find_flat(PICTURE).any()


def test_large_images_are_filled_in_strips(monkeypatch):
    grid = (ROWS % 40 == 19) | (COLUMNS % 40 == 19)
    pixels = np.where(grid[..., None], np.uint8(255), PICTURE)
    whole = find_usable(pixels).image
    monkeypatch.setattr(find, "STRIP", 32 * SHAPE[1])
    strips = find_usable(pixels).image
    np.testing.assert_array_equal(strips[~grid], whole[~grid])
    np.testing.assert_allclose(strips.astype(int), whole.astype(int), atol=1)
    assert np.abs(strips[grid].astype(int) - PICTURE[grid]).mean() < 3


def test_what_nobody_sees_is_known_from_elsewhere():
    unseen = (ROWS > 60) & (COLUMNS < 50)
    usable = find_usable(PICTURE, unseen=unseen)
    np.testing.assert_array_equal(usable.unusable, unseen)
    assert usable.image is PICTURE and usable.left_out == ""
    assert find_usable(usable) is usable
    assert find_usable(PICTURE, unseen=np.zeros(SHAPE, bool)).unusable is None
    # An area without data is not named as one that was drawn.
    pixels, _ = KINDS["white frame"]
    assert find_usable(pixels, unseen=frame(12)).left_out == ""
    unseen &= (ROWS < 100) & (COLUMNS > 20)
    framed = find_usable(pixels, unseen=unseen)
    assert "a flat frame" in framed.left_out and framed.unusable[unseen].all()


def test_gaps_without_data_are_continued():
    """As lines of a satellite's scanner that failed, whatever they were filled with."""
    gaps = (ROWS + COLUMNS // 7) % 40 < 4
    usable = find_usable(np.where(gaps[..., None], 99, PICTURE), unseen=gaps)
    np.testing.assert_array_equal(usable.unusable, gaps)
    np.testing.assert_array_equal(usable.image[~gaps], PICTURE[~gaps])
    assert np.abs(usable.image[gaps].astype(int) - PICTURE[gaps]).mean() < 10
    every = find_usable(PICTURE, unseen=np.ones(SHAPE, bool))
    assert every.image is PICTURE


@pytest.mark.parametrize("dtype, a, b", [("uint16", 200, 9), ("float32", 1e-3, 0.5)])
def test_levels_do_not_matter(dtype, a, b):
    for pixels, _ in (KINDS["white frame"], KINDS["hot pixels"], KINDS["white text"]):
        expected = find_usable(pixels)
        found = find_usable((a * pixels.astype(np.float64) + b).astype(dtype))
        for name in ("drawn", "mixed", "isolated"):
            differ = getattr(found, name) != getattr(expected, name)
            assert differ.mean() < 1e-3
        assert found.image.dtype == dtype
