"""Animations and pages in one file: pixels, times, repetitions, disposal."""

import io

import helpers
import numpy as np
import pytest
from PIL import Image as pillow

from kernelgan_jax.app.images import gif, image_files, sequences
from kernelgan_jax.app.images.image import Image
from kernelgan_jax.app.images.sequences import Timing

SHAPE = (12, 15)
FRAMES = [helpers.noise(*SHAPE, 3, seed=i) // 64 * 64 for i in range(3)]
"""Of 64 colours, which a GIF can hold."""
TIMES = (100.0, 40.0, 250.0)


def written(path, images, timing, **options):
    format = path.suffix[1:]
    options = {"count": len(images), "quality": 100} | options
    sequences.write(path, iter(images), format, timing=timing, **options)
    return [image_files.read(path, frame=i) for i in range(len(images))]


@pytest.mark.parametrize("plays", [0, 1, 2, 5])
@pytest.mark.parametrize("alpha", ["none", "one", "all"])
@pytest.mark.parametrize("format", ["png", "webp", "gif"])
def test_animations_are_exact(tmp_path, format, alpha, plays):
    hole = np.full(SHAPE, 255, np.uint8)
    hole[2:5, 3:9] = 0
    alphas = {"none": [None] * 3, "one": [None, hole, None], "all": [hole] * 3}[alpha]
    images = [
        Image(frame if cover is None else frame * (cover[..., None] > 0), cover)
        for frame, cover in zip(FRAMES, alphas, strict=True)
    ]
    timing = Timing(TIMES, plays, alpha != "none")
    path = tmp_path / f"a.{format}"
    for image, found in zip(images, written(path, images, timing), strict=True):
        seen = np.s_[:] if image.alpha is None else image.alpha > 0
        np.testing.assert_array_equal(found.pixels[seen], image.pixels[seen])
        opaque = np.full(SHAPE, 255, np.uint8)
        given = opaque if image.alpha is None else image.alpha
        np.testing.assert_array_equal(
            opaque if found.alpha is None else found.alpha, given
        )
        assert found.frames == 3
    assert sequences.read_timing(path, image_files.read(path)) == timing


def test_a_webp_whose_frames_are_opaque_has_no_alpha(tmp_path):
    path = tmp_path / "a.webp"
    first, *others = map(pillow.fromarray, FRAMES)
    options = {"save_all": True, "append_images": others, "duration": 40}
    first.save(path, lossless=True, **options)
    with pillow.open(path) as opened:
        assert opened.mode == "RGBA"  # The pixels that do not change are left out.
    for number, frame in enumerate(FRAMES):
        image = image_files.read(path, frame=number)
        np.testing.assert_array_equal(image.pixels, frame)
        assert image.alpha is None
    assert not sequences.read_timing(path, image).has_alpha


@pytest.mark.parametrize("disposal", [1, 2, 3])
def test_disposal_of_a_gif(tmp_path, disposal):
    pictures = []
    for i in range(3):
        picture = pillow.new("P", (15, 12), 0)
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
        picture.paste(i + 1, (4 * i, 3 * i, 4 * i + 5, 3 * i + 5))
        pictures.append(picture)
    path = tmp_path / "a.gif"
    options = {"disposal": disposal, "transparency": 0, "duration": [70, 80, 90]}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    images = [image_files.read(path, frame=i) for i in range(3)]
    timing = sequences.read_timing(path, images[0])
    assert timing == Timing((70.0, 80.0, 90.0), 1, True)
    found = written(tmp_path / "b.png", images, timing)
    covered = np.zeros(SHAPE, bool)
    for i, image in enumerate(found):
        new = np.zeros(SHAPE, bool)
        new[3 * i : 3 * i + 5, 4 * i : 4 * i + 5] = True
        covered = covered | new if disposal == 1 else new
        np.testing.assert_array_equal(image.alpha > 0, covered)
        colour = np.eye(3)[i] * 255
        np.testing.assert_array_equal(image.pixels[new], colour[None].repeat(25, 0))


@pytest.mark.parametrize("alpha", [False, True])
def test_colour_behind_a_gray_frame_of_a_gif(tmp_path, alpha):
    # Pillow takes a palette of all levels in order for none.
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    cover = np.where(gray[..., 0] < 200, np.uint8(255), 0) if alpha else None
    frames = gray, gray // np.array([1, 2, 3], np.uint8), gray
    images = [Image(frames[0]), Image(frames[1], cover), Image(frames[2])]
    path = tmp_path / "a.gif"
    for number, again in enumerate(written(path, images, Timing(TIMES))):
        seen = np.s_[:] if cover is None or number != 1 else cover > 0
        np.testing.assert_array_equal(again.pixels[seen], frames[number][seen])
    timing = sequences.read_timing(path, image_files.read(path))
    assert timing.milliseconds == TIMES


def test_metadata_of_an_animation(tmp_path):
    exif = pillow.Exif()
    exif[271] = "Camera"
    image = Image(FRAMES[0], None, b"profile", exif.tobytes(), xmp=b"<x/>")
    for name in ("a.png", "a.webp", "a.tif"):
        (found, _) = written(tmp_path / name, [image] * 2, Timing((50.0,) * 2))
        assert (found.icc_profile, found.xmp) == (b"profile", b"<x/>"), name
        assert b"Camera" in found.exif, name


def test_a_first_picture_that_is_not_part_of_the_animation(tmp_path):
    pictures = [pillow.fromarray(frame) for frame in FRAMES]
    path = tmp_path / "a.png"
    options = {"default_image": True, "duration": [30, 60], "loop": 3}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    images = [image_files.read(path, frame=i) for i in range(3)]
    timing = sequences.read_timing(path, images[0])
    assert timing.starts_still and timing.milliseconds[1:] == (30.0, 60.0)
    written(tmp_path / "b.png", images, timing)
    assert sequences.read_timing(tmp_path / "b.png", images[0]) == timing
    sequences.write(
        tmp_path / "b.gif", iter(images), "gif", count=3, timing=timing, quality=9
    )
    assert image_files.read(tmp_path / "b.gif").frames == 2


@pytest.mark.parametrize(
    "error, expected",
    [(OSError, image_files.ImageError), (MemoryError, MemoryError)],
)
def test_only_what_decoding_raises_is_damage(tmp_path, monkeypatch, error, expected):
    def fail(*args, **options):
        raise error("cut off")

    path = tmp_path / "a.gif"
    (image, _) = written(path, [Image(frame) for frame in FRAMES[:2]], Timing(TIMES))
    monkeypatch.setattr(pillow, "open", fail)
    with pytest.raises(expected, match="cut off"):
        sequences.read_timing(path, image)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        sequences.read_timing(path, image)


def test_16_bits_and_pages(tmp_path):
    images = [Image(helpers.noise(*SHAPE, 1, seed=i, dtype=np.uint16)) for i in (1, 2)]
    for name in ("a.png", "a.tif"):
        found = written(tmp_path / name, images, Timing((10.0, 70000.0)))
        for image, again in zip(images, found, strict=True):
            np.testing.assert_array_equal(again.pixels, image.pixels)
    times = sequences.read_timing(
        tmp_path / "a.png", image_files.read(tmp_path / "a.png")
    )
    assert times.milliseconds == (10.0, 70000.0)


@pytest.mark.parametrize("format", ["png", "webp", "gif"])
def test_frames_of_another_size_are_refused(tmp_path, format):
    images = [Image(frame) for frame in (FRAMES[0], FRAMES[1][1:])]
    with pytest.raises(ValueError, match="frame 2 is of another size"):
        written(tmp_path / f"a.{format}", images, Timing(TIMES))


def test_hundredths_of_a_gif_add_up(tmp_path):
    images = [Image(FRAMES[0] + np.uint8(i)) for i in range(12)]
    path = tmp_path / "a.gif"
    written(path, images, Timing((1000 / 30,) * 12))
    times = sequences.read_timing(path, image_files.read(path)).milliseconds
    assert set(times) == {30.0, 40.0} and sum(times) == 400
    written(path, images, Timing((16.0,) * 12))  # One hundredth would be shown slowly.
    times = sequences.read_timing(path, image_files.read(path)).milliseconds
    assert set(times) == {20.0}


def test_colours_of_a_gif():
    def shown(pixels, alpha=None):
        picture = pillow.open(io.BytesIO(gif.still(pixels, alpha))).convert("RGBA")
        return np.asarray(picture).astype(int)

    few = helpers.noise(*SHAPE, 3)
    np.testing.assert_array_equal(shown(few)[..., :3], few)
    gray = helpers.noise(*SHAPE, 1)
    np.testing.assert_array_equal(shown(gray)[..., :1], gray)
    many = (255 * helpers.smooth(60, 80)).astype(np.uint8)
    alpha = np.full((60, 80), 255, np.uint8)
    alpha[:9] = 100
    error = shown(many, alpha)[9:, :, :3] - many[9:]
    assert 0 < abs(error).mean() < 8 and abs(error.mean()) < 0.5
    np.testing.assert_array_equal(shown(many, alpha)[..., 3] > 0, alpha > 127)
