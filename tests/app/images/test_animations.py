"""Animated GIF and PNG: frames that are parts of the picture, as browsers show them."""

import io
import re
import struct
import tracemalloc
import zlib

import helpers
import imagecodecs
import numpy as np
import pytest
from PIL import Image as pillow

from kernelgan_jax.app.images import (
    animation_frames,
    animations,
    image_files,
    sequences,
)
from kernelgan_jax.app.images.image_encoding import png_chunk

KEEP, CLEAR, RESTORE = range(3)
SIDES = 6, 8
GREEN, RED = (0, 200, 0, 255), (255, 0, 0, 128)
PALETTE = bytes([10, 20, 30, 255, 0, 0, 0, 255, 0, 0, 0, 255])
"""Of a GIF."""


def apng(path, frames, *, kind=6, depth=8, sides=SIDES, shared=b"", starts_still=False):
    """Writes an animated PNG of pictures with left, top, disposal and blending."""
    header = struct.pack(">IIBBBBB", *sides[::-1], depth, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), *([(b"tRNS", shared)] if shared else [])]
    chunks.append((b"acTL", struct.pack(">II", len(frames) - starts_still, 0)))
    for i, (picture, left, top, disposal, blending) in enumerate(frames):
        size = picture.shape[1::-1]
        fields = (max(2 * i - 1, 0), *size, left, top, 1, 10, disposal, blending)
        if i or not starts_still:
            chunks.append((b"fcTL", struct.pack(">IIIIIHHBB", *fields)))
        rows = picture.astype(picture.dtype.newbyteorder(">"))
        data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
        number = struct.pack(">I", 2 * i)
        chunks.append((b"fdAT", number + data) if i else (b"IDAT", data))
    chunks.append((b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*c) for c in chunks))


def gif(path, frames, *, sides=SIDES, levels=()):
    """Writes a GIF of colours' numbers with left, top, disposal and the clear one.

    The frames among `levels` have a palette of their own, in which Pillow sees gray.
    """
    parts = [b"GIF89a", struct.pack("<HHBBB", *sides[::-1], 0xF1, 0, 0), PALETTE]
    for place, (numbers, left, top, disposal, clear) in enumerate(frames):
        picture = pillow.fromarray(np.uint8(numbers))
        picture.putpalette(PALETTE)
        file = io.BytesIO()
        picture.save(file, "GIF", optimize=False)
        data = file.getvalue()
        pixels = data[data.index(b"\x2c\0\0\0\0") + 10 :][:-1]
        packed = disposal << 2 | (clear is not None)
        parts.append(b"!\xf9\4" + struct.pack("<BHBB", packed, 7, clear or 0, 0))
        local = np.arange(4, dtype=np.uint8).repeat(3).tobytes()
        local = local if place in levels else b""
        flags = 0x81 if local else 0
        parts.append(struct.pack("<cHHHHB", b",", left, top, *picture.size, flags))
        parts.append(local + pixels)
    path.write_bytes(b"".join(parts) + b";")


def full(colour, rows=SIDES[0], columns=SIDES[1]):
    return np.full((rows, columns, len(colour)), colour, np.uint8)


def shown(path, frame):
    """RGBA of a frame, with zeros where nothing is seen."""
    image = image_files.read(path, frame=frame)
    sides, top = image.pixels.shape[:2], np.iinfo(image.pixels.dtype).max
    alpha = np.full(sides, top) if image.alpha is None else image.alpha
    colour = np.broadcast_to(image.pixels, (*sides, 3)) * (alpha > 0)[..., None]
    return np.dstack([colour, alpha])


@pytest.mark.parametrize(
    "below, expected",
    [
        ((0, 0, 0, 0), (255, 0, 0, 128)),
        (GREEN, (128, 100, 0, 255)),
        # An opacity of 100 leaves (1 - 128/255) * 100 = 50 of green.
        ((0, 200, 0, 100), (184, 56, 0, 178)),
    ],
)
def test_half_transparent_pixels_are_blended(tmp_path, below, expected):
    path = tmp_path / "a.png"
    apng(path, [(full(below), 0, 0, KEEP, 0), (full(RED, 2, 3), 4, 1, KEEP, 1)])
    found = shown(path, 1)
    np.testing.assert_array_equal(found[1:3, 4:7], full(expected, 2, 3))
    found[1:3, 4:7] = np.multiply(below, below[3] > 0)
    np.testing.assert_array_equal(found, full(np.multiply(below, below[3] > 0)))
    has_alpha = image_files.read(path, frame=1).alpha is not None
    assert has_alpha == (below[3] < 255)
    assert sequences.read_timing(path, image_files.read(path)).has_alpha == has_alpha


@pytest.mark.parametrize("disposal", [KEEP, CLEAR, RESTORE])
def test_disposal_in_opaque_frames(tmp_path, disposal):
    # What is cleared becomes transparent, and neither black nor the background.
    rgb = [full(c[:3]) for c in (GREEN, (0, 0, 250), (9, 9, 9))]
    part, last = rgb[1][:3, :4], rgb[2][:1, :1]
    frames = [(rgb[0], 0, 0, KEEP, 0), (part, 2, 1, disposal, 0), (last, 0, 0, 0, 0)]
    apng(tmp_path / "a.png", frames, kind=2)
    numbers = [np.full(SIDES, i) for i in (2, 3, 1)]
    gif(
        tmp_path / "a.gif",
        [
            (numbers[0], 0, 0, 1 + KEEP, None),
            (numbers[1][:3, :4], 2, 1, 1 + disposal, None),
            # Its disposal, 0, stands for none, whatever that of the one before is.
            (numbers[2][:1, :1], 0, 0, 0, None),
            (numbers[2][:1, :1], 7, 5, 0, None),
        ],
    )
    for name, colours, at in (
        ("a.png", (GREEN[:3], (0, 0, 250), (9, 9, 9)), 2),
        ("a.gif", ((0, 255, 0), (0, 0, 255), (255, 0, 0)), 3),
    ):
        expected = full((*colours[0], 255))
        expected[1:4, 2:6] = {
            KEEP: (*colours[1], 255),
            CLEAR: (0, 0, 0, 0),
            RESTORE: (*colours[0], 255),
        }[disposal]
        expected[0, 0, :3] = colours[2]
        if at == 3:
            expected[5, 7, :3] = colours[2]
        np.testing.assert_array_equal(shown(tmp_path / name, at), expected, name)
        timing = sequences.read_timing(
            tmp_path / name, image_files.read(tmp_path / name)
        )
        assert timing.has_alpha == (disposal == CLEAR)
        assert timing.milliseconds[0] == {2: 100.0, 3: 70.0}[at]


@pytest.mark.parametrize("disposal", [1, 2, 3])
def test_nothing_is_shown_where_the_first_frame_of_a_gif_is_not(tmp_path, disposal):
    path = tmp_path / "a.gif"
    first, second = np.full((2, 3), 1), np.full((1, 2), 2)
    gif(path, [(first, 2, 1, disposal, None), (second, 6, 5, 1, None)])
    expected = np.zeros((*SIDES, 4))
    expected[1:3, 2:5] = 255, 0, 0, 255
    np.testing.assert_array_equal(shown(path, 0), expected)
    if disposal > 1:
        expected[...] = 0
    expected[5, 6:8] = 0, 255, 0, 255
    np.testing.assert_array_equal(shown(path, 1), expected)


def test_a_first_frame_beyond_the_canvas_of_a_gif(tmp_path):
    # As in browsers: it enlarges the canvas, and a later one is cut.
    path = tmp_path / "a.gif"
    first, second = np.full(SIDES, 1), np.full(SIDES, 2)
    gif(path, [(first, 0, 0, 1, None), (second, 5, 4, 1, None)], sides=(4, 4))
    expected = full((255, 0, 0, 255))
    np.testing.assert_array_equal(shown(path, 0), expected)
    expected[4:, 5:] = 0, 255, 0, 255
    np.testing.assert_array_equal(shown(path, 1), expected)


def test_metadata_of_a_gif(tmp_path):
    path = tmp_path / "a.gif"
    gif(path, [(np.full(SIDES, 1), 0, 0, 1, None)] * 2)
    content = path.read_bytes()
    # A reader of blocks takes the packet's letters for lengths, and comes to its end.
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:ImageWidth="8"/>'
    end = bytes([1, *range(255, -1, -1), 0])
    profile = bytes(range(250)) * 2
    blocks = b"".join(
        bytes([len(part)]) + part for part in (profile[:255], profile[255:])
    )
    added = b"!\xff\x0bXMP DataXMP" + packet + end
    added += b"!\xff\x0bICCRGBG1012" + blocks + b"\0"
    first = content.index(b"!\xf9")
    path.write_bytes(content[:first] + added + content[first:])
    image = image_files.read(path, frame=1)
    assert (image.xmp, image.icc_profile) == (packet, profile)
    assert image.frames == 2


@pytest.mark.parametrize("is_gray_first", [False, True])
def test_gray_frames_in_a_gif_of_colours(tmp_path, is_gray_first):
    path = tmp_path / "a.gif"
    gray, colour = np.full(SIDES, 3), np.full(SIDES, 2)
    gray[0], colour[1] = 0, 0
    frames = [(gray, 0, 0, 1, 0), (colour, 0, 0, 1, 0)]
    gif(path, frames if is_gray_first else frames[::-1], levels=[not is_gray_first])
    levels, green = (3, 3, 3, 255), (0, 255, 0, 255)
    expected = full(green if is_gray_first else levels)
    expected[int(is_gray_first)] = levels if is_gray_first else green
    np.testing.assert_array_equal(shown(path, 1), expected)
    assert image_files.read(path).pixels.shape[2] == 3


@pytest.mark.parametrize("kind", [0, 2, 4, 6])
def test_frames_of_16_bits_keep_them(tmp_path, kind):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    path = tmp_path / "a.png"
    first = helpers.noise(*SIDES, channels, dtype=np.uint16)
    second = helpers.noise(3, 4, channels, seed=1, dtype=np.uint16)
    frames = [(first, 0, 0, KEEP, 0), (second, 2, 1, KEEP, 0)]
    apng(path, frames, kind=kind, depth=16)
    image = image_files.read(path, frame=1)
    expected = first.copy()
    expected[1:4, 2:6] = second
    colours = 1 if channels < 3 else 3
    np.testing.assert_array_equal(image.pixels, expected[..., :colours])
    if channels > colours:
        np.testing.assert_array_equal(image.alpha, expected[..., -1])
    assert "reduced" not in image.note
    with open(path, "rb") as file:  # In memory there is always alpha.
        assert animations.of_file(file, "PNG").declared.bits == 16 * (colours + 1)


@pytest.mark.parametrize("depth", [8, 16])
def test_the_transparent_gray_of_frames(tmp_path, depth):
    path = tmp_path / "a.png"
    first, second = np.full((2, *SIDES, 1), 50, f"u{depth // 8}")
    second[2:] = 7
    frames = [(first, 0, 0, KEEP, 0), (second, 0, 0, KEEP, 1)]
    apng(path, frames, kind=0, depth=depth, shared=b"\0\7")
    image = image_files.read(path, frame=1)
    np.testing.assert_array_equal(image.pixels, first)
    assert image.alpha is None
    frames[1] = (second, 0, 0, KEEP, 0)
    apng(path, frames, kind=0, depth=depth, shared=b"\0\7")
    image = image_files.read(path, frame=1)
    np.testing.assert_array_equal(image.alpha == 0, second[..., 0] == 7)


def test_frames_that_are_missing_or_lie_outside_are_damage(tmp_path):
    path = tmp_path / "a.png"
    picture = full(GREEN)
    apng(path, [(picture, 0, 0, KEEP, 0), (picture, 1, 0, KEEP, 0)])
    with pytest.raises(image_files.ImageError, match="lies outside of the picture"):
        image_files.read(path)
    apng(path, [(picture, 0, 0, KEEP, 0), (picture, 0, 0, KEEP, 0)])
    cut = path.read_bytes()
    path.write_bytes(cut[: cut.rindex(b"fcTL") - 4])
    with pytest.raises(image_files.ImageError, match="1 of 2 frames"):
        image_files.read(path)


@pytest.mark.parametrize("stated", [3, 2**31 - 1])
@pytest.mark.parametrize("held", [1, 2])
def test_more_frames_are_stated_than_there_are(tmp_path, held, stated):
    path = tmp_path / "a.png"
    apng(path, [(full(GREEN), 0, 0, KEEP, 0), (full(RED), 0, 0, KEEP, 0)][:held])
    said = struct.pack(">II", held, 0), struct.pack(">II", stated, 0)
    chunks = [png_chunk(b"acTL", body) for body in said]
    assert chunks[0] in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(*chunks))
    image = image_files.read(path)
    assert image.frames == held
    assert f"{held} of {stated} frames, as" in image.conversions
    np.testing.assert_array_equal(shown(path, held - 1), full((GREEN, RED)[held - 1]))


@pytest.mark.parametrize("lost", range(3))
def test_a_frame_without_its_pixels_is_damage(tmp_path, lost):
    # Those behind it may be drawn upon it.
    path = tmp_path / "a.png"
    pixels = [full(color) for color in (GREEN, RED, GREEN)]
    apng(path, [(frame, 0, 0, KEEP, 0) for frame in pixels])
    content = path.read_bytes()
    places = [found.start() - 4 for found in re.finditer(b"IDAT|fdAT", content)]
    (length,) = struct.unpack_from(">I", content, places[lost])
    path.write_bytes(content[: places[lost]] + content[places[lost] + 12 + length :])
    with pytest.raises(image_files.ImageError, match="2 of 3 frames"):
        image_files.read(path)


@pytest.mark.parametrize("sides", [(0, 0), (0, SIDES[0]), (SIDES[1], 0)])
def test_a_frame_of_a_gif_without_a_side_has_that_of_the_picture(tmp_path, sides):
    path = tmp_path / "a.gif"
    numbers = np.arange(SIDES[0] * SIDES[1]).reshape(SIDES) % 3 + 1
    gif(path, [(np.full(SIDES, 1), 0, 0, 1, None), (numbers, 0, 0, 1, None)])
    expected = shown(path, 1)
    head, frame = path.read_bytes().rsplit(b",\0\0\0\0", 1)
    path.write_bytes(head + b",\0\0\0\0" + struct.pack("<HH", *sides) + frame[4:])
    np.testing.assert_array_equal(shown(path, 1), expected)


def test_frames_are_shown_without_those_that_they_hide(tmp_path):
    # The one in the middle is damaged, which only its own picture needs.
    path = tmp_path / "a.png"
    pictures = [full((*colour, 255)) for colour in ((1, 2, 3), (4, 5, 6), (7, 8, 9))]
    apng(path, [(picture, 0, 0, KEEP, 0) for picture in pictures])
    content = bytearray(path.read_bytes())
    content[content.index(b"fdAT") + 10] ^= 255
    path.write_bytes(content)
    for frame in (0, 2):
        np.testing.assert_array_equal(shown(path, frame), pictures[frame])
    with pytest.raises(image_files.ImageError, match="damaged"):
        image_files.read(path, frame=1)


def test_a_still_picture_before_an_animation_is_not_below_it(tmp_path):
    path = tmp_path / "a.png"
    part = full((4, 5, 6, 255), 2, 3)
    frames = [(full(GREEN), 0, 0, KEEP, 0), (part, 1, 1, KEEP, 1), (part, 5, 4, 0, 1)]
    apng(path, frames, starts_still=True)
    expected = np.zeros((*SIDES, 4), np.uint8)
    for frame, top, left in ((1, 1, 1), (2, 4, 5)):
        expected[top : top + 2, left : left + 3] = part
        np.testing.assert_array_equal(shown(path, frame), expected)
    timing = sequences.read_timing(path, image_files.read(path))
    assert timing.starts_still and timing.has_alpha


def test_frames_share_what_is_large_before_their_pixels(tmp_path):
    path, frames, size = tmp_path / "a.png", 50, 2**18
    picture = full(GREEN, 1, 1)
    parts = [(picture, 0, 0, KEEP, 0)] * frames
    apng(path, parts, sides=(1, 1), shared=bytes(size))
    tracemalloc.start()
    try:
        with open(path, "rb") as file:
            assert len(animations.of_file(file, "PNG").parts) == frames
        assert tracemalloc.get_traced_memory()[1] < 10 * size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_frame_without_sides_is_damage(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        nothing = np.zeros((0, 0, 4), np.uint8)
        apng(path, [(full(GREEN), 0, 0, KEEP, 0), (nothing, 0, 0, KEEP, 0)])
    else:
        gif(
            path,
            [(np.full(SIDES, 1), 0, 0, 1, None), (np.full((1, 1), 1), 9, 9, 1, None)],
        )
        content = path.read_bytes()
        place = struct.pack("<HH", 9, 9)
        path.write_bytes(content.replace(place + b"\1\0\1\0", place + bytes(4)))
    with pytest.raises(image_files.ImageError, match="damaged.*start of a frame"):
        image_files.read(path, frame=1)


# --- Frames in order ---


def patches(count, *, sides=(40, 60)):
    """Pictures of which a small part changes by the frame."""
    picture = (helpers.noise(*sides, 1) // 64 * 64).repeat(3, axis=2)  # few colours
    frames = []
    for place in range(count):
        picture = picture.copy()
        picture[place : place + 4, place : place + 9] = 40 * place
        frames.append(pillow.fromarray(picture))
    return frames


def save(path, pictures):
    """Writes an animation of the kind that the path names."""
    first, *others = pictures
    if path.suffix == ".jxl":
        stored = np.stack([np.asarray(picture) for picture in pictures])
        path.write_bytes(imagecodecs.jpegxl_encode(stored, lossless=True, effort=1))
        return
    options = {"lossless": True, "kmax": 9} if path.suffix == ".webp" else {}
    format = path.suffix[1:]
    first.save(
        path, format, save_all=True, append_images=others, duration=40, **options
    )


@pytest.fixture(params=["gif", "png", "webp", "avif", "jxl"])
def moving(request, tmp_path):
    """An animation of six frames."""
    path = tmp_path / f"a.{request.param}"
    save(path, patches(6))
    return path


@pytest.mark.parametrize("order", [range(6), (1, 3, 4, 0, 0, 5, 2)])
def test_what_is_kept_between_frames_changes_nothing(moving, order):
    kept = image_files.Kept()
    found = [image_files.read(moving, frame=place, kept=kept) for place in order]
    for place, image in zip(order, found, strict=True):
        alone = image_files.read(moving, frame=place)
        np.testing.assert_array_equal(image.pixels, alone.pixels)
        assert (image.note, image.frames) == (alone.note, 6)


@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_each_part_is_decoded_once_for_all_frames_in_order(
    tmp_path, monkeypatch, suffix
):
    path = tmp_path / f"a.{suffix}"
    save(path, patches(6))
    decoded = []
    own_file = animation_frames.own_file
    monkeypatch.setattr(
        animation_frames,
        "own_file",
        lambda file, part: decoded.append(part.place) or own_file(file, part),
    )
    kept = image_files.Kept()
    for place in range(6):
        image_files.read(path, frame=place, kept=kept)
    assert len(decoded) == 6 and decoded[-1] != decoded[0]


def test_another_file_gets_nothing_of_what_is_kept(moving, tmp_path):
    kept, changed = image_files.Kept(), tmp_path / f"changed{moving.suffix}"
    changed.write_bytes(moving.read_bytes())
    image_files.read(changed, frame=1, kept=kept)
    save(changed, [frame.rotate(180) for frame in patches(5)])
    found = image_files.read(changed, frame=2, kept=kept)
    np.testing.assert_array_equal(
        found.pixels, image_files.read(changed, frame=2).pixels
    )


@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_a_damaged_frame_costs_no_other_one(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save(path, patches(6))
    with open(path, "rb") as file:
        part = animations.of_file(file, suffix.upper()).parts[3]
    content, kept = bytearray(path.read_bytes()), image_files.Kept()
    start, length = part.spans[0]
    content[start : start + length] = bytes(length)
    path.write_bytes(content)
    for place in (2, 3, 2):
        if place == 3:
            with pytest.raises(image_files.ImageError, match="damaged"):
                image_files.read(path, frame=place, kept=kept)
            continue
        found = image_files.read(path, frame=place, kept=kept)
        alone = image_files.read(path, frame=place)
        np.testing.assert_array_equal(found.pixels, alone.pixels)


def test_metadata_are_those_of_the_file_in_every_frame(tmp_path):
    exif, path, kept = pillow.Exif(), tmp_path / "a.webp", image_files.Kept()
    exif[271], exif[274] = "Maker", 6
    first, *others = patches(3)
    first.save(path, save_all=True, append_images=others, lossless=True, exif=exif)
    for place in (0, 1, 2, 2, 0):
        alone = image_files.read(path, frame=place)
        found = image_files.read(path, frame=place, kept=kept)
        np.testing.assert_array_equal(found.pixels, alone.pixels)
        assert found.pixels.shape == (60, 40, 3)
        assert (found.note, found.exif) == (alone.note, alone.exif)
    assert found.exif


def test_a_whole_frame_that_is_undone_gives_way_to_what_was_before(tmp_path):
    path = tmp_path / "a.gif"
    first, second, third = patches(3)
    first.save(path, save_all=True, append_images=[second, third], disposal=[1, 3, 1])
    with open(path, "rb") as file:
        animation = animations.of_file(file, "GIF")
    assert not animation.is_filled_by(animation.parts[2])
    animation.parts[1] = animation.parts[0]._replace(disposal=RESTORE)
    shown = animation_frames.Frames(animation)
    alone = animation_frames.Frames(animation, are_many=False)
    with open(path, "rb") as file:
        for place in (1, 2):
            np.testing.assert_array_equal(
                shown.read(file, place, []).stored, alone.read(file, place, []).stored
            )
