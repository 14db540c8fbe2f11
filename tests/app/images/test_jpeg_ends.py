"""JPEG without its end: read if nothing but the marker is missing, and else refused."""

import io

import helpers
import imagecodecs
import numpy as np
import pytest
from PIL import Image as pillow

from kernelgan_jax.app.images import image_files

END = b"\xff\xd9"
PICTURE = helpers.ramps(40, 56)


def by_pillow(mode="RGB", **options):
    file = io.BytesIO()
    pillow.fromarray(PICTURE).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def deep(**options):
    return imagecodecs.jpeg8_encode(PICTURE.astype(np.uint16), **options)


KINDS = {
    "plain": by_pillow(),
    "subsampled": by_pillow(subsampling=2),
    "progressive": by_pillow(progressive=True),
    "with restarts": by_pillow(restart_marker_blocks=3),
    "gray": by_pillow("L"),
    "CMYK": by_pillow("CMYK"),
    "12 bits": deep(bitspersample=12, level=95),
    "16 bits": deep(bitspersample=16, lossless=True),
    "LS": imagecodecs.jpegls_encode(PICTURE),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.jpg"


def is_refused(path):
    with pytest.raises(image_files.ImageError, match="damaged or incomplete") as error:
        image_files.read(path)
    assert len(str(error.value).splitlines()) == 1
    return True


@pytest.mark.parametrize("kept", [b"", b"\xff", bytes(9)])
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_marker_of_the_end_is_missing(path, kind, kept):
    path.write_bytes(KINDS[kind])
    whole = image_files.read(path)
    assert "the marker" not in whole.note
    path.write_bytes(KINDS[kind].removesuffix(END) + kept)
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels, whole.pixels)
    assert "the marker of its end is missing" in image.conversions


@pytest.mark.parametrize("tail", [b"", END, bytes(9)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_the_picture_is_missing(path, kind, tail):
    # With the marker the decoder would fill it with gray, without a word.
    for cut in (len(END) + 2, len(END) + 40):
        path.write_bytes(KINDS[kind][:-cut] + tail)
        assert is_refused(path)


def in_three_scans():
    """Three times the data of a gray JPEG, each as a component of colour."""
    head, scan = KINDS["gray"].removesuffix(END).split(b"\xff\xda")
    at = head.index(b"\xff\xc0")
    sides = head[at + 5 : at + 9]
    frame = b"\xff\xc0\0\x11\x08" + sides + b"\3\1\x11\0\2\x11\0\3\x11\0"
    scans = [b"\xff\xda" + scan[:3] + bytes([c]) + scan[4:] for c in (1, 2, 3)]
    return head[:at] + frame + head[at + 13 :] + b"".join(scans) + END


@pytest.mark.parametrize("kind", ["progressive", "of three scans"])
def test_a_scan_is_missing(path, kind):
    content = KINDS.get(kind) or in_three_scans()
    path.write_bytes(content)
    assert image_files.read(path).pixels.shape == PICTURE.shape
    last = content.rindex(b"\xff\xda")
    path.write_bytes(content[:last])
    assert is_refused(path)
    if kind == "of three scans":  # Its component would be gray.
        path.write_bytes(content[:last] + END)
        assert is_refused(path)


@pytest.mark.parametrize("kind", ["plain", "with restarts", "short intervals"])
def test_no_cut_goes_unseen(path, kind):
    # Between two intervals, within a marker, and between the two bytes of 0xff as data.
    content = KINDS.get(kind) or by_pillow("L", restart_marker_blocks=1, quality=95)
    whole = imagecodecs.jpeg8_decode(content)
    for cut in range(content.rindex(b"\xff\xda") + 14, len(content) - len(END)):
        decoded = imagecodecs.jpeg8_decode(content[:cut] + END)
        path.write_bytes(content[:cut])
        assert np.array_equal(decoded, whole) or is_refused(path)


def test_many_zeros_do_not_take_long(path):
    # A search for those at the end must not look behind each of the others.
    path.write_bytes(KINDS["plain"].removesuffix(END) + bytes(2**20) + b"a")
    assert "the marker of its end is missing" in image_files.read(path).conversions


def test_a_scan_header_that_is_cut_off(path):
    content = in_three_scans()
    path.write_bytes(content[: content.rindex(b"\xff\xda") + 3])
    with pytest.raises(image_files.ImageError, match="a part of the picture"):
        image_files.read(path)


@pytest.mark.parametrize("change", ["coefficients", "components"])
@pytest.mark.parametrize("kind", ["plain", "subsampled", "with restarts", "CMYK"])
def test_headers_that_other_decoders_take_too(path, kind, change):
    path.write_bytes(KINDS[kind])
    whole = image_files.read(path)
    content = bytearray(KINDS[kind])
    frame, scan = content.index(b"\xff\xc0"), content.rindex(b"\xff\xda")
    count = content[frame + 9]
    if change == "coefficients":  # Stated as none, by some programs.
        content[scan + 5 + 2 * count : scan + 8 + 2 * count] = bytes(3)
    else:  # All of one name.
        content[frame + 10 : frame + 10 + 3 * count : 3] = bytes([1] * count)
        content[scan + 5 : scan + 5 + 2 * count : 2] = bytes([1] * count)
    path.write_bytes(content)
    np.testing.assert_array_equal(image_files.read(path).pixels, whole.pixels)


def test_flat_pictures_are_whole(path):
    # Their data, of zeros alone, look like nothing.
    file = io.BytesIO()
    pillow.new("L", (50, 46), 100).save(file, "JPEG", quality=13, optimize=True)
    assert file.getvalue().endswith(bytes(8) + END)
    path.write_bytes(file.getvalue())
    assert len(np.unique(image_files.read(path).pixels)) == 1


def test_other_pictures_lie_behind_the_first(path):
    path.write_bytes(KINDS["plain"] + KINDS["gray"][:-100])
    assert image_files.read(path).pixels.shape == PICTURE.shape
    exif = pillow.Exif()
    exif[0x010E] = "a text"
    thumbnail = by_pillow(exif=exif.tobytes() + KINDS["gray"])
    path.write_bytes(thumbnail[:-200])
    assert is_refused(path)


def test_data_in_arithmetic_coding_may_end_early(path, monkeypatch):
    path.write_bytes(KINDS["plain"].replace(b"\xff\xc0", b"\xff\xc9", 1)[:-50] + END)
    decoded = []
    monkeypatch.setattr(imagecodecs, "jpeg8_decode", decoded.append)
    assert image_files.read(path).pixels.shape == PICTURE.shape
    assert not decoded


def test_data_in_arithmetic_coding_without_the_marker_are_refused(path):
    frames = {
        "plain": (b"\xff\xc0", b"\xff\xc9"),
        "12 bits": (b"\xff\xc1", b"\xff\xc9"),
    }
    for kind, (by_huffman, other) in frames.items():
        assert by_huffman in KINDS[kind]
        content = KINDS[kind].replace(by_huffman, other, 1)
        path.write_bytes(content)
        assert image_files.read(path).pixels.shape == PICTURE.shape
        path.write_bytes(content[:-50])
        assert is_refused(path)
