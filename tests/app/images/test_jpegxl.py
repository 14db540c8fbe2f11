"""JPEG XL: what it says of its colours, its metadata, and packed JPEGs."""

import io
import struct

import helpers
import imagecodecs
import numpy as np
import pytest
from PIL import ExifTags, ImageCms
from PIL import Image as pillow

from kernelgan_jax.app.images import declared, image_files, jpegxl

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

    def declare(file):
        return declared.read_jpegxl(file)._replace(is_premultiplied=True)

    monkeypatch.setattr(jpegxl, "read_header", declare)
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
