"""ICC profiles for what the chunks of a PNG say of colours."""

import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, ImageCms
from PIL import Image as pillow

from kernelgan_jax.app.images import colour_profiles, image_encoding, image_files
from kernelgan_jax.app.images.image import Image

SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
CASES = {
    # The sample (160, 120, 80) of each as sRGB, by matrices from the chromaticities.
    "Display P3": ([(b"cICP", bytes([12, 13, 0, 1]))], (167, 118, 73)),
    "linear": ([(b"cICP", bytes([1, 8, 0, 1]))], (208, 182, 152)),
    "BT.2020": ([(b"cICP", bytes([9, 13, 0, 1]))], (182, 114, 72)),
    "gamma 1": (
        [(b"gAMA", struct.pack(">I", 100000)), (b"cHRM", struct.pack(">8I", *SRGB))],
        (208, 182, 152),
    ),
    "gamma 2.2 of other colours": (
        [(b"gAMA", struct.pack(">I", 45455)), colour_profiles.ADOBE_RGB[1]],
        (174, 121, 77),
    ),
    "gamma 1.8 alone": ([(b"gAMA", struct.pack(">I", 55556))], (176, 139, 99)),
    "Adobe RGB": (list(colour_profiles.ADOBE_RGB), (174, 121, 77)),
    "as sRGB": ([(b"cICP", bytes([1, 13, 0, 1]))], (160, 120, 80)),
}
DAMAGED = [
    8 * (0,),
    (100000, 1, 100000, 2**31 - 1, 1000, 2**31 - 1, 41555, 1000),
    (31270, 10, 0, 2**32 - 1, 2**31 - 1, 10, 2**31 - 1, 10),
    (100000, 0, *SRGB[2:]),
    (38742, 26275, 0, 2, 0, 10, 1, 6956),
    (*SRGB[:2], 60000, 1, 30000, 1, 60000, 2),
    (*SRGB[:2], 33333, 33333, 33334, 33333, 33333, 33334),
]
"""Chromaticities of no colours, or of which a profile cannot hold the matrix."""


@pytest.mark.parametrize("name", CASES)
def test_colours(name):
    chunks, expected = CASES[name]
    profile = ImageCms.ImageCmsProfile(io.BytesIO(colour_profiles.of_chunks(chunks)))
    picture = pillow.new("RGB", (1, 1), (160, 120, 80))
    srgb = ImageCms.createProfile("sRGB")
    found = ImageCms.profileToProfile(
        picture, profile, srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    np.testing.assert_allclose(found.getpixel((0, 0)), expected, atol=1)


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 45455))],
        [(b"cICP", bytes([9, 16, 0, 1]))],  # PQ
        [(b"cICP", bytes([12, 13, 0, 0]))],  # black is 16
        [(b"cICP", b"\1")],
        [(b"gAMA", bytes(4))],
        [(b"gAMA", struct.pack(">I", 1))],
        *[
            [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", struct.pack(">8I", *xy))]
            for xy in DAMAGED
        ],
    ],
)
def test_no_profile(chunks):
    assert colour_profiles.of_chunks(chunks) is None


@pytest.mark.parametrize("format", ["jpg", "webp", "tif", "png", "avif"])
def test_formats_without_chunks_get_a_profile(tmp_path, format):
    chunks = ((b"cICP", bytes([12, 13, 0, 1])), (b"tEXt", b"a\0b"))
    pixels = np.full((8, 8, 3), 100, np.uint8)
    fitted = image_encoding.fit(Image(pixels, chunks=chunks), format)
    path = tmp_path / f"a.{format}"
    image_encoding.write(path, fitted.image, fitted.format)
    found = image_files.read(path)
    if format in ("png", "avif"):
        assert found.icc_profile is None and chunks[0] in found.chunks
    else:
        assert found.icc_profile == colour_profiles.of_chunks(chunks)
        assert not any("cICP" in note for note in fitted.notes)


@pytest.mark.parametrize("format", ["jpg", "webp", "tif", "avif"])
@pytest.mark.parametrize("names", ["sRGB gAMA", "gAMA cHRM", "gAMA"])
def test_of_srgb_nothing_is_lost(format, names):
    # As Windows, ImageMagick and old programs write it.
    bodies = {
        "sRGB": b"\0",
        "gAMA": struct.pack(">I", 45455),
        "cHRM": struct.pack(">8I", *SRGB),
    }
    chunks = tuple((name.encode(), bodies[name]) for name in names.split())
    image = Image(np.full((8, 8, 3), 100, np.uint8), chunks=chunks)
    fitted = image_encoding.fit(image, format)
    assert fitted.image.icc_profile is None and fitted.notes == ()


def test_gray_gets_none():
    chunks = ((b"gAMA", struct.pack(">I", 100000)),)
    pixels = np.full((8, 8, 1), 100, np.uint8)
    fitted = image_encoding.fit(Image(pixels, chunks=chunks), "jpg")
    assert fitted.image.icc_profile is None
    assert "without gAMA, which JPEG cannot hold" in fitted.notes


@pytest.mark.parametrize(
    "version, space, expected",
    [("R03", 65535, True), ("R98", 65535, False), ("R03", 1, False)],
)
def test_photographs_in_adobe_rgb_get_its_profile(tmp_path, version, space, expected):
    exif = pillow.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    camera = {ExifTags.Base.ColorSpace: space, ExifTags.IFD.Interop: {1: version}}
    exif[ExifTags.IFD.Exif] = camera
    path = tmp_path / "_DSC1.jpg"
    picture = pillow.new("RGB", (8, 8), (100, 100, 100))
    picture.save(path, exif=exif)
    image = image_files.read(path)
    adobe = colour_profiles.of_chunks(colour_profiles.ADOBE_RGB)
    assert image.icc_profile == (adobe if expected else None)
    assert ("Adobe RGB" in image.note) == expected
    picture.save(path, exif=exif, icc_profile=b"profile")
    assert image_files.read(path).icc_profile == b"profile"
