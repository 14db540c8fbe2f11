"""JPEG XL: what it says of its colours, its metadata, and packed JPEGs."""

import io
import struct

import helpers
import imagecodecs
import numpy as np
import pytest
from PIL import ExifTags, ImageCms
from PIL import Image as pillow

from kernelgan_jax.app.images import declared, image_files, jpegxl, jpegxl_header

END = "00" * 8
TO_PNG = {
    # Written by cjxl 0.7: 8 x 8 pixels of (200, 100, 50), or gray of 200.
    "Display P3": (
        "402617020802010060004b188b15c2494361be40040087dcb102",
        {b"cICP": bytes([12, 13, 0, 1])},
    ),
    "BT.2020 and PQ, alpha": (
        "04b0208f1e713800000000040808100064004b188b15c2490356be80040087ecb84a05",
        {b"cICP": bytes([9, 16, 0, 1])},
    ),
    "linear gray": (
        "50b4080802010044004b188b15c249414e48",
        {b"cICP": bytes([1, 8, 0, 1])},
    ),
    "gamma 1.8": (
        "40252ba68a0802010060004b188b15c2494361be40040087dcb102",
        {
            b"gAMA": struct.pack(">I", 55556),
            b"cHRM": struct.pack(
                ">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000
            ),
        },
    ),
    "Adobe RGB with white D50": (
        "801032a34286972000e204222140d12cb86a013e4980a99343ac08020802010060004b188b15c2"
        "494361be40040087dcb102",
        {
            b"gAMA": struct.pack(">I", 45471),
            b"cHRM": struct.pack(
                ">8I", 34570, 35850, 64000, 33000, 21000, 71000, 15000, 6000
            ),
        },
    ),
}

ADOBE_RGB = (
    "8f0c0312e601d09c6006b8c4f33a56e5ab177588bc132a7fd59028718b6d217ff311767631702163e0"
    "c6c600335bfcda66b6b8b55d8dad90aba175f1da7911c89f380b65b1f81769d98a9fb1b8acdb892886"
    "2bf5a810d0b76640e9a22d039ab66dd8b36540cda6655bf2caff51ee28c3855a572cdbb46340c9be6d"
    "1b36adcb07ed5abfbd3a4d635d5680935efffe9da77c8c3b01fb42fcfb776fc8bf7ffb8a60970b02eb"
    "829c41e863090ef2bf8a6d91fe21d406080a837b2b3c67621261200ff4b9e131030"
)
"""The packed ICC profile of the next two, of (200, 100, 50), by the same program."""
WITHOUT_LOSS = (
    f"ff0a414008{ADOBE_RGB}802010060004b188b15c2494361be40040087dcb1020000000000000000"
)
LOSSY = (
    f"ff0a41400a{ADOBE_RGB}012880200d4005de5120000152aa38c1bbc9cebf9f24387c5b48deb0c6db"
    "56d6149a2c8383649277048128bc0c605988107183073e3781b08562509"
)
PLAIN_CHANNEL = ((0, 1), (0, 2), (0, 1), (0, 2), (0, 2), (0, 2))
"""The bits of a channel beside the colours: its kind (alpha), depth and empty name."""


def box(kind, data):
    return struct.pack(">I", 8 + len(data)) + kind + data


def container(codestream, *boxes):
    start = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    return b"".join([start, *boxes, box(b"jxlc", codestream)])


@pytest.mark.parametrize("name", TO_PNG)
def test_colours(tmp_path, name):
    digits, chunks = TO_PNG[name]
    path = tmp_path / "a.jxl"
    start = "ff0a4140" if name != "BT.2020 and PQ, alpha" else "ff0a41"
    path.write_bytes(bytes.fromhex(start + digits + END))
    image = image_files.read(path)
    colour = (200, 100, 50) if image.is_colour else (200,)
    assert (image.pixels == colour).all()
    assert dict(image.chunks) == chunks
    assert (image.alpha is not None) == name.endswith("alpha")


@pytest.mark.parametrize(
    "digits, colour, chunks, words",
    [
        (WITHOUT_LOSS, (200, 100, 50), {}, ""),
        # The light of (226, 100, 43) in sRGB.
        (LOSSY, (195, 32, 5), {b"cICP": bytes([1, 8, 0, 1])}, ", colours as linear"),
    ],
)
def test_an_icc_profile(tmp_path, digits, colour, chunks, words):
    path = tmp_path / "a.jxl"
    path.write_bytes(bytes.fromhex(digits))
    image = image_files.read(path)
    np.testing.assert_allclose(image.pixels[4, 4], colour, atol=2)
    assert dict(image.chunks) == chunks
    assert f"the ICC profile of JPEG XL left out{words}" in image.conversions


def header(*channels):
    """The header of 8 x 8 pixels in sRGB with these channels beside its colours."""
    sides, depth = ((1, 1), (0, 5), (1, 3)), ((0, 2), (0, 3), (1, 1))
    count = ((3, 2), (len(channels) - 1, 12))
    fields = (*sides, *depth, *count, *(f for c in channels for f in c), (0, 1), (1, 1))
    number = place = 0
    for value, bits in fields:
        number |= value << place
        place += bits
    return jpegxl_header.header(
        jpegxl_header.START + number.to_bytes(place // 8 + 1, "little")
    )


def test_channels_beside_the_colours():
    alpha, black = (
        (*PLAIN_CHANNEL, (1, 1)),
        ((0, 1), (2, 2), (2, 4), *PLAIN_CHANNEL[2:]),
    )
    assert header((*PLAIN_CHANNEL, (0, 1))) == jpegxl_header.JpegXl(8, 8, channels=4)
    assert header(alpha).is_premultiplied and not header(alpha).has_inks
    assert header(black).has_inks and not header(black).is_premultiplied
    named = (*PLAIN_CHANNEL[:-1], (2, 2), (0, 5), *16 * ((65, 8),), (0, 1))
    assert header(*64 * [named], alpha).channels == 3 + 65
    assert header(*64 * [named], alpha).is_premultiplied
    assert not header(*64 * [named], alpha).lacks_alpha
    assert header(black).lacks_alpha


def declare(monkeypatch, **fields):
    """Headers say this, too."""
    monkeypatch.setattr(
        jpegxl,
        "read_header",
        lambda file: declared.read_jpegxl(file)._replace(**fields),
    )


def test_a_channel_that_is_no_alpha(tmp_path, monkeypatch):
    pixels = helpers.noise(8, 9, 4)
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True))
    declare(monkeypatch, lacks_alpha=True)
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels, pixels[..., :3])
    assert image.alpha is None and "that is no alpha left out" in image.conversions


def test_srgb_needs_no_words(tmp_path):
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(helpers.noise(8, 9, 3), lossless=True))
    image = image_files.read(path)
    assert image.chunks == () and image.note == ""


@pytest.mark.parametrize("is_packed", [False, True])
def test_exif_and_xmp(tmp_path, is_packed):
    exif = pillow.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.Orientation] = 6  # That of the codestream counts.
    blocks = {b"Exif": bytes(4) + exif.tobytes()[6:], b"xml ": b"<x/>"}
    boxes = [box(kind, data) for kind, data in blocks.items()]
    if is_packed:
        boxes = [
            box(b"brob", kind + imagecodecs.brotli_encode(data))
            for kind, data in blocks.items()
        ]
    boxes.append(box(b"brob", b"xml \0damaged"))
    pixels = helpers.noise(8, 9, 3)
    codestream = imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=False)
    path = tmp_path / "a.jxl"
    path.write_bytes(container(codestream, *boxes))
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels, pixels)
    kept = pillow.Exif()
    kept.load(image.exif)
    assert dict(kept) == {ExifTags.Base.Make: "Camera"} and image.xmp == b"<x/>"
    assert image.note == "damaged or long metadata left out"


def test_metadata_that_are_long_or_many_are_left_out(tmp_path):
    codestream = imagecodecs.jpegxl_encode(
        helpers.noise(8, 9, 3), lossless=True, usecontainer=False
    )
    path = tmp_path / "a.jxl"
    long = box(b"xml ", bytes(2**22 + 1))
    packed = box(b"brob", b"xml " + imagecodecs.brotli_encode(b"<x/>"))
    path.write_bytes(container(codestream, long, packed, packed))
    image = image_files.read(path)
    assert image.xmp is None and image.note == "damaged or long metadata left out"


def test_damaged_exif_costs_no_image(tmp_path):
    pixels = helpers.noise(8, 9, 3)
    codestream = imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=False)
    path = tmp_path / "a.jxl"
    path.write_bytes(container(codestream, box(b"Exif", bytes(4) + b"no TIFF")))
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.exif is None and image.note == "unreadable EXIF left out"


def test_a_packed_jpeg_is_that_jpeg(tmp_path):
    exif = pillow.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Camera"
    data = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"exif": exif, "icc_profile": profile, "dpi": (300, 200)}
    pillow.fromarray(helpers.ramps(16, 24)).save(data, "JPEG", **options)
    (tmp_path / "a.jpg").write_bytes(data.getvalue())
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode_jpeg(data.getvalue()))
    plain = image_files.read(tmp_path / "a.jpg")
    image = image_files.read(tmp_path / "a.jxl")
    np.testing.assert_array_equal(image.pixels, plain.pixels)
    assert image.icc_profile == profile and image.dpi == (200, 300)
    assert (image.exif, image.note) == (plain.exif, plain.note)
    assert image.format == "JXL"


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_premultiplied_alpha_is_divided_out(tmp_path, monkeypatch, dtype):
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    pixels = np.full((8, 8, 4), top / 4, dtype)
    pixels[..., 3] = top / 2
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True))
    declare(monkeypatch, is_premultiplied=True)
    image = image_files.read(path)
    np.testing.assert_allclose(image.pixels, top / 2, rtol=0.02)
    assert "premultiplied alpha divided out" in image.conversions


def test_inks_and_profiles_are_named(tmp_path, monkeypatch):
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(helpers.noise(8, 8, 3), lossless=True))

    def declare(file):
        return declared.read_jpegxl(file)._replace(has_profile=True)

    monkeypatch.setattr(jpegxl, "read_header", declare)
    assert "ICC profile of JPEG XL left out" in image_files.read(path).conversions

    def declare_inks(file):
        return declared.read_jpegxl(file)._replace(has_inks=True)

    monkeypatch.setattr(jpegxl, "read_header", declare_inks)
    with pytest.raises(image_files.ImageError, match="CMYK; export it"):
        image_files.read(path)
