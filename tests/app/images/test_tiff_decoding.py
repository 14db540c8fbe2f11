"""TIFF by its tags: any depth, type, layout and number of bands; what is refused."""

import re
import struct
import tracemalloc

import helpers
import numpy as np
import pytest
import tifffile
from PIL import Image as pillow
from PIL import TiffImagePlugin

from kernelgan_jax.app import enlarging
from kernelgan_jax.app.images import (
    image_encoding,
    image_files,
    nodata,
    tiff_decoding,
)

SHAPE = (6, 9)
TYPES = "uint8 uint16 uint32 int8 int16 int32 float16 float32 float64".split()


def values(channels, dtype):
    """Different samples that fill a good part of the type's range."""
    dtype = np.dtype(dtype)
    if dtype.kind in "ui":
        return helpers.noise(*SHAPE, channels, dtype=dtype)
    signed = helpers.noise(*SHAPE, channels, dtype=np.uint8).astype(dtype)
    return (signed - 100) * dtype.type(17.5)


@pytest.fixture
def tiff(tmp_path):
    """Writes a TIFF with tifffile and returns its path."""

    def write(pixels, name="a.tif", **options):
        options = {"photometric": "minisblack", "planarconfig": "contig"} | options
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[..., 0]
            options["planarconfig"] = None
        if options["planarconfig"] == "separate":
            pixels = np.moveaxis(pixels, -1, 0)
        tifffile.imwrite(tmp_path / name, pixels, metadata=None, **options)
        return tmp_path / name

    return write


def change_tag(path, name, *, number=None, value=None):
    """Gives a tag of 16 bits of a TIFF another number or value."""
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags[name]
    if number is not None:
        struct.pack_into("<H", content, tag.offset, number)
    if value is not None:
        struct.pack_into("<H", content, tag.valueoffset, value)
    path.write_bytes(content)


def refused(path, *words):
    with pytest.raises(image_files.ImageError) as caught:
        image_files.read(path)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("channels", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_number_of_bands_is_read_in_its_type(tiff, dtype, channels, planar):
    pixels = values(channels, dtype)
    image = image_files.read(tiff(pixels, planarconfig=planar))
    assert image.pixels.dtype == dtype
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.bands and image.alpha is None and not image.is_colour
    assert image.note == f"{channels} bands, all of them used"


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw", "predictor": True},
        {"compression": "adobe_deflate", "tile": (16, 16)},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"rowsperstrip": 2},
    ],
)
@pytest.mark.parametrize("dtype, photometric", [("uint16", "rgb"), ("float32", "rgb")])
def test_layouts(tiff, dtype, photometric, options):
    pixels = values(3, dtype)
    image = image_files.read(tiff(pixels, photometric=photometric, **options))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.is_colour and image.note == ""
    assert image.pixels.dtype.isnative and image.pixels.flags.c_contiguous


@pytest.mark.parametrize("compression", ["webp", "zstd", "lerc", "packbits"])
def test_compressions_of_8_bits(tiff, compression):
    pixels = values(3, "uint8")
    options = {"lossless": True} if compression == "webp" else None
    path = tiff(
        pixels, photometric="rgb", compression=compression, compressionargs=options
    )
    np.testing.assert_array_equal(image_files.read(path).pixels, pixels)


@pytest.mark.parametrize("dtype", TYPES)
def test_white_is_zero(tiff, dtype):
    pixels = values(1, dtype)
    found = image_files.read(tiff(pixels[..., 0], photometric="miniswhite")).pixels
    if pixels.dtype.kind in "ui":
        np.testing.assert_array_equal(found, ~pixels)
    else:
        top = np.float64(pixels.max()) + pixels.min()
        np.testing.assert_allclose(found, top - pixels, rtol=2e-3, atol=2)


def test_white_is_zero_in_floats_of_the_unit_range(tiff):
    gray = np.array([[0.0, 0.25], [0.5, 0.75]], np.float32)
    found = image_files.read(tiff(gray, photometric="miniswhite")).pixels[..., 0]
    np.testing.assert_array_equal(found, 1 - gray)


def test_a_palette_takes_little_memory(tiff):
    colours = helpers.noise(3, 256, dtype=np.uint16)
    options = {"photometric": "palette", "colormap": colours, "compression": "lzw"}
    path = tiff(helpers.noise(300, 400), planarconfig=None, **options)
    image_files.read(path)  # What is made once is not counted.
    tracemalloc.start()
    try:
        image = image_files.read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert image.pixels.nbytes <= peak < 3 * image.pixels.nbytes


@pytest.mark.parametrize("value", [2**63 - 1, 2**53 + 1, -(2**63)])
def test_the_value_for_no_data_has_all_of_64_bits(value):
    found = nodata.stated_value({nodata.TAG: str(value)}, np.dtype(np.int64))
    assert found is not None and found.item() == value


def test_a_number_for_no_data_that_a_type_lacks():
    """The tag should be a text, and programs write numbers, too."""
    assert nodata.stated_value({nodata.TAG: 0.5}, np.dtype(np.uint8)) is None
    assert nodata.stated_value({nodata.TAG: 3.0}, np.dtype(np.uint8)) == 3


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_subsampling_means_nothing_without_ycbcr(tiff, dtype, compression):
    pixels = values(3, dtype)
    tags = [(530, "H", 2, (2, 2), True)]  # Left by programs that converted a JPEG.
    options = {"photometric": "rgb", "extratags": tags, "compression": compression}
    path = tiff(pixels, **options)
    np.testing.assert_array_equal(image_files.read(path).pixels, pixels)


MASKED = {
    "by Pillow": (3, "uint8", {"photometric": "rgb"}),
    "turned": (3, "uint8", {"photometric": "rgb", "orientation": 6}),
    "turned by its tag": (2, "uint16", {"orientation": 6}),
    "bands of floats": (5, "float32", {}),
    "with alpha": (2, "uint16", {"extrasamples": ["unassalpha"]}),
}


@pytest.mark.parametrize("case", MASKED)
def test_a_mask_makes_alpha(tmp_path, case):
    channels, dtype, options = MASKED[case]
    pixels, visible = values(channels, dtype), helpers.noise(*SHAPE) > 0.4
    turns = [(274, "H", 1, options.pop("orientation", 1), True)]
    options = {"photometric": "minisblack", "planarconfig": "contig"} | options
    smaller = {"photometric": "mask", "subfiletype": 5}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels, metadata=None, extratags=turns, **options)
        file.write(visible[::2], metadata=None, **smaller)  # That of an overview.
        file.write(visible, metadata=None, photometric="mask", subfiletype=4)
    image = image_files.read(tmp_path / "a.tif")
    if turns[0][3] == 6:
        pixels, visible = np.rot90(pixels, -1), np.rot90(visible, -1)
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    alpha = np.full(visible.shape, top, dtype)
    if case == "with alpha":
        pixels, alpha = pixels[..., :1], pixels[..., 1]
    np.testing.assert_array_equal(image.pixels, pixels)
    np.testing.assert_array_equal(image.alpha, np.where(visible, alpha, 0))
    assert "mask made alpha" in image.conversions
    assert "1 previews or masks in the file left out" in image.note


def test_a_mask_that_hides_nothing_makes_no_alpha(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(values(3, "uint8"), metadata=None, photometric="rgb")
        everywhere = np.ones(SHAPE, bool)
        file.write(everywhere, metadata=None, photometric="mask", subfiletype=4)
    image = image_files.read(tmp_path / "a.tif")
    assert image.alpha is None and image.note == ""


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_alpha_is_found_by_its_tag(tiff, dtype):
    pixels = values(5, dtype)
    options = {"extrasamples": ["unspecified", "unassalpha"], "photometric": "rgb"}
    image = image_files.read(tiff(pixels, **options))
    np.testing.assert_array_equal(image.pixels, pixels[..., :4])
    np.testing.assert_array_equal(image.alpha, pixels[..., 4])
    assert image.rgb_first and image.bands
    for planar in ("contig", "separate"):
        options = {"extrasamples": ["unassalpha"], "planarconfig": planar}
        gray = image_files.read(tiff(pixels[..., :2], **options))
        np.testing.assert_array_equal(gray.pixels, pixels[..., :1])
        np.testing.assert_array_equal(gray.alpha, pixels[..., 1])
        assert not gray.bands


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_cmyk_is_converted_with_all_bits_and_a_note(tiff, dtype):
    top = 65535 if dtype == "uint16" else 1
    inks = np.array([[[0, 0, 0, 0], [1, 0, 0, 0], [0.5, 0.25, 0, 0.5], [0, 0, 0, 1]]])
    pixels = (inks * top).astype(dtype)
    image = image_files.read(tiff(pixels, photometric="separated", iccprofile=b"inks"))
    light = [[1, 1, 1], [0, 1, 1], [0.25, 0.375, 0.5], [0, 0, 0]]
    np.testing.assert_allclose(image.pixels[0] / top, light, atol=2e-5)
    assert image.pixels.dtype == dtype and "CMYK" in image.conversions
    assert image.icc_profile is None


def test_samples_of_12_bits_fill_16(tiff):
    pixels = np.array([[0, 1, 2048, 4095]] * 2, np.uint16)
    image = image_files.read(tiff(pixels, bitspersample=12))
    np.testing.assert_array_equal(
        image.pixels[..., 0], np.rint(pixels * (65535 / 4095))
    )
    assert "12-bit" in image.note


def test_pixels_without_data_are_marked(tiff):
    pixels = values(1, "float32")[..., 0]
    pixels[0, :3] = np.nan, np.inf, -9999
    nodata = [(42113, "s", 0, "-9999", True)]
    image = image_files.read(tiff(pixels, extratags=nodata))
    expected = np.zeros(SHAPE, bool)
    expected[0, :3] = True
    np.testing.assert_array_equal(image.missing[..., 0], expected)
    np.testing.assert_array_equal(image.pixels[..., 0], pixels)
    assert "3 pixels without data" in image.note
    # Far from all others, they need no tag.
    pixels[0, :3] = np.nan, 3.4e38, -3.4e38
    image = image_files.read(tiff(pixels))
    np.testing.assert_array_equal(image.missing[..., 0], expected)
    pixels[0, :3] = 0.0, 1e3, -1e3
    assert image_files.read(tiff(pixels)).missing is None
    empty = np.full((3, 3), np.nan, np.float32)
    refused(tiff(empty, photometric="miniswhite"), "no data")
    black, tags = np.zeros((16, 16, 3), np.uint8), [(42113, "s", 0, "0", True)]
    options = {"photometric": "rgb", "compression": "jpeg"}
    refused(tiff(black, extratags=tags, **options), "no data")
    # A page without data does not cost the others.
    pages = np.stack([empty, empty + 1, np.ones_like(empty)])
    path = tiff(pages, planarconfig=None, photometric="miniswhite")
    page = image_files.read(path)
    assert page.missing.all() and image_files.read(path, frame=2).missing is None
    assert enlarging.is_constant(page) and not enlarging.usual_pixels(page).any()
    larger = enlarging.as_stored(np.zeros((6, 6, 1)), page, 2)
    assert np.isnan(larger.pixels).all()


@pytest.mark.parametrize("nodata, marked", [("0", 1), ("0.0", 1), ("-9999", 0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_no_data_in_8_bits(tiff, channels, nodata, marked):
    pixels = np.maximum(values(channels, "uint8"), 1)
    pixels[0, 0] = 0
    pixels[1, 1] = 241  # What -9999 is in 8 bits.
    photometric = "rgb" if channels == 3 else "minisblack"
    tags = [(42113, "s", 0, nodata, True)]
    image = image_files.read(tiff(pixels, photometric=photometric, extratags=tags))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (0 if image.missing is None else image.missing.sum()) == marked
    assert image.missing is None or image.missing[0, 0]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype, value", [("uint16", 0), ("float32", -9999)])
def test_bands_lack_data_each_for_itself(tiff, dtype, value, alpha):
    pixels = np.maximum(values(4 + alpha, dtype), 1)
    pixels[2:4, 3:5, 1] = value
    extras = ["unspecified"] * 3 + ["unassalpha"] * alpha
    tags = [(42113, "s", 0, str(value), True)]
    path = tiff(pixels, extratags=tags, extrasamples=extras)
    image = image_files.read(path)
    np.testing.assert_array_equal(image.missing, pixels[..., :4] == value)
    assert "4 pixels without data in some bands kept" in image.note
    # Other samples that would get the value come out beside it.
    none = np.zeros((2 * SHAPE[0], 2 * SHAPE[1], 4))
    larger = enlarging.as_stored(none, image, 2).pixels == value
    np.testing.assert_array_equal(larger, image.missing.repeat(2, 0).repeat(2, 1))
    # In colours a 0 is a level of its channel, but not in all of them.
    pixels[0, 0, :3] = value
    options = {"photometric": "rgb", "extrasamples": ["unassalpha"] * alpha}
    path = tiff(pixels[..., [0, 1, 2, 4][: 3 + alpha]], extratags=tags, **options)
    missing = image_files.read(path).missing
    assert missing.shape == (*SHAPE, 1) and missing[0, 0] and missing.sum() == 1
    # Bands of which all lack data in the same places are enlarged together.
    pixels[..., :4] = np.maximum(pixels[..., :4], 1)
    pixels[2, 3, :4] = value
    path = tiff(pixels, extratags=tags, extrasamples=extras)
    assert image_files.read(path).missing.shape == (*SHAPE, 1)


@pytest.mark.parametrize("compression", [None, "adobe_deflate"])
@pytest.mark.parametrize(
    "dtype, tag",
    [
        ("uint8", ""),
        ("uint16", "7"),
        ("int16", "-5"),
        ("uint8", "255.0"),
        ("int16", "-9999.0"),
        ("float32", "-3.4028234663852886e+38"),
    ],
)
def test_tiles_that_gdal_leaves_out(tiff, dtype, tag, compression):
    empty = float(tag or 0)
    pixels = 2 * helpers.noise(64, 48).astype(dtype)
    tags = [(42113, "s", 0, tag, True)] if tag else []
    path = tiff(pixels, tile=(16, 16), compression=compression, extratags=tags)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        places = [tags[name] for name in ("TileOffsets", "TileByteCounts")]

    def leave_out(tiles):
        for tag in places:
            size = tiles * tag.valuebytecount // tag.count
            content[tag.valueoffset : tag.valueoffset + size] = bytes(size)
        path.write_bytes(content)

    leave_out(1)
    pixels[:16, :16] = empty
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels[..., 0], pixels)
    assert (0 if image.missing is None else image.missing.sum()) == (
        256 if empty else 0
    )
    assert "1 strips or tiles are empty" in image.note
    leave_out(12)
    refused(path, "damaged")


@pytest.mark.parametrize("tag", ["", "255"])
@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_tiles_of_jpeg_in_ycbcr_that_gdal_leaves_out(tiff, subsampling, tag):
    options = {"tile": (16, 16), "compression": "jpeg", "subsampling": subsampling}
    tags = [(42113, "s", 0, tag, True)] if tag else []
    path = tiff(helpers.ramps(32, 48), photometric="rgb", extratags=tags, **options)
    whole = image_files.read(path).pixels  # By Pillow.
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert page.photometric == 6
        for place in (page.tags["TileOffsets"], page.tags["TileByteCounts"]):
            each = place.valuebytecount // place.count
            content[place.valueoffset : place.valueoffset + each] = bytes(each)
    path.write_bytes(content)
    image = image_files.read(path)
    whole[:16, :16] = int(tag or 0)
    np.testing.assert_array_equal(image.pixels, whole)
    assert (0 if image.missing is None else image.missing.sum()) == 256 * bool(tag)
    assert not image.bands and "1 strips or tiles are empty" in image.note


def test_planes_of_jpeg_in_ycbcr_that_gdal_leaves_out(tiff):
    # The decoder leaves each plane as it is: they would be taken for RGB.
    options = {"tile": (16, 16), "compression": "jpeg", "planarconfig": "separate"}
    path = tiff(helpers.ramps(32, 48), photometric="ycbcr", **options)
    assert "empty" not in image_files.read(path).note  # By Pillow.
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for tag in ("TileOffsets", "TileByteCounts"):
            place = file.pages.first.tags[tag]
            each = place.valuebytecount // place.count
            content[place.valueoffset : place.valueoffset + each] = bytes(each)
    path.write_bytes(content)
    refused(path, "colour YCBCR")


@pytest.mark.parametrize(
    "dtype, nodata, options, written",
    [
        ("uint8", 0, {}, "0"),
        ("uint8", 255, {}, "255"),
        ("uint8", 0, {"photometric": "rgb"}, "0"),
        ("uint8", 0, {"photometric": "rgb", "compression": "jpeg"}, "0"),
        ("uint8", 0, {"photometric": "miniswhite"}, "255"),
        ("uint16", 4095, {"bitspersample": 12}, "65535"),
        ("int16", -9999, {"photometric": "miniswhite"}, "9998"),
        ("float32", 0, {}, "0"),
    ],
)
def test_the_value_for_no_data_stays_true(tiff, dtype, nodata, options, written):
    pixels = np.full((16, 16, 3 if options.get("photometric") == "rgb" else 1), 1)
    pixels[:8] = 250
    pixels = np.where(pixels == nodata, 249, pixels).astype(dtype)
    pixels[4:12, :8] = nodata
    path = tiff(pixels, extratags=[(42113, "s", 0, str(nodata), True)], **options)
    image = image_files.read(path)
    assert image.missing.sum() == 64 and image.geo[42113] == written
    # All valid pixels come out at the ends of their type, where the value may be.
    ends = np.zeros((32, 32, pixels.shape[2]))
    ends[:16] = 1
    larger = image_encoding.encode(enlarging.as_stored(ends, image, 2), "tif")
    path.write_bytes(larger)
    found = image_files.read(path).missing
    np.testing.assert_array_equal(found, image.missing.repeat(2, 0).repeat(2, 1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "dtype, value, moved",
    [
        ("uint8", 255, 254),
        ("int32", -(2**31), 1 - 2**31),
        ("float32", -9999, -9999 * (1 - 2**-20)),
        ("float32", 3.4028234663852886e38, 3.4028234663852886e38 * (1 - 2**-20)),
        ("float16", 65504, 65504 * (1 - 2**-7)),
        ("float64", -np.finfo(float).max, -np.finfo(float).max * (1 - 2**-49)),
        ("float32", 0, np.finfo(np.float32).tiny),
    ],
)
def test_valid_pixels_keep_away_from_the_value_for_no_data(dtype, value, moved):
    value = np.array(value, dtype)
    # GDAL takes the next value for the same.
    close = np.nextafter(value, value * 0) if value.dtype.kind == "f" else value
    pixels = np.array([[[value, close], [value, 1]]], dtype)
    nodata.avoid(pixels, value)
    expected = np.array([[[moved, moved], [value, 1]]], dtype)
    np.testing.assert_array_equal(pixels, expected)


def test_no_data_in_a_palette(tiff):
    places = helpers.noise(*SHAPE)
    places[0, :2] = 255, 0
    colours = helpers.noise(3, 256, dtype=np.uint16)
    options = {"photometric": "palette", "colormap": colours, "planarconfig": None}
    plain = image_files.read(tiff(places, **options))
    tags = [(42113, "s", 0, "255", True)]
    image = image_files.read(tiff(places, extratags=tags, **options))
    np.testing.assert_array_equal(image.pixels, plain.pixels)
    assert image.pixels.dtype == np.uint8 and 42113 not in image.geo
    np.testing.assert_array_equal(image.missing[..., 0], places == 255)


@pytest.mark.parametrize("compression", [None, "lzw", "zstd"])
def test_a_palette_of_8_bits(tiff, compression):
    places = helpers.noise(*SHAPE)
    colours = helpers.noise(3, 256, dtype=np.uint8)
    options = {"photometric": "palette", "planarconfig": None}
    options["compression"] = compression
    path = tiff(places, colormap=colours.astype(np.uint16), **options)
    expected = np.moveaxis(colours[:, places], 0, -1)
    np.testing.assert_array_equal(image_files.read(path).pixels, expected)


@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_bits_in_the_other_order(tiff, photometric, dtype):
    pixels = helpers.noise(*SHAPE, 1, dtype=np.dtype(dtype))
    swapped = np.packbits(np.unpackbits(pixels.view(np.uint8), bitorder="little"))
    swapped = swapped.view(dtype).reshape(pixels.shape)
    tags = [(267, "H", 1, 2, True)]  # tifffile writes no FillOrder.
    path = tiff(swapped, photometric=photometric, extratags=tags)
    change_tag(path, 267, number=266)
    expected = ~pixels if photometric == "miniswhite" else pixels
    np.testing.assert_array_equal(image_files.read(path).pixels, expected)


@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
@pytest.mark.parametrize("bits", [4, 8])
def test_a_palette_with_alpha(tiff, kind, bits):
    pixels = helpers.noise(*SHAPE, 2) >> (8 - bits)
    colours = helpers.noise(3, 2**bits, dtype=np.uint16)
    tags = [(320, "H", colours.size, colours.ravel().tolist(), True)]
    path = tiff(pixels, extrasamples=[kind], extratags=tags, bitspersample=bits)
    change_tag(path, "PhotometricInterpretation", value=3)
    image = image_files.read(path)
    # As GIMP writes it, colours are multiplied with neither kind of alpha.
    expected = np.moveaxis(colours[:, pixels[..., 0]] >> 8, 0, -1)
    np.testing.assert_array_equal(image.pixels, expected)
    np.testing.assert_array_equal(image.alpha, pixels[..., 1] * (255 // (2**bits - 1)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "channels, extras, kind",
    [
        (1, 0, "minisblack"),
        (2, 1, "minisblack"),
        (3, 0, "rgb"),
        (4, 1, "rgb"),
        (4, 0, "separated"),
    ],
)
def test_without_a_kind_of_colour_black_is_zero(tiff, dtype, channels, extras, kind):
    pixels = values(channels, dtype)
    alpha = ["unassalpha"] if extras else None
    path = tiff(pixels, photometric=kind, extrasamples=alpha)
    change_tag(path, "PhotometricInterpretation", number=263)
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels, pixels[..., : channels - extras])
    assert image.is_colour == (channels - extras == 3)
    assert image.bands == (channels == 4 and not extras)


def test_previews_in_the_file_are_no_frames(tmp_path):
    frames = [helpers.noise(*SHAPE, dtype=np.uint16, seed=i) for i in range(3)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for frame, kind in zip(frames, (1, 0, 0), strict=True):
            file.write(frame, subfiletype=kind, metadata=None)
    for number in range(2):
        image = image_files.read(tmp_path / "a.tif", frame=number)
        np.testing.assert_array_equal(image.pixels[..., 0], frames[number + 1])
        assert image.frames == 2 and "1 previews or masks" in image.note


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("is_turned_above", [True, False])
def test_a_picture_below_its_preview(tmp_path, dtype, is_turned_above):
    pixels = helpers.noise(*SHAPE, 3, dtype=np.dtype(dtype))
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        options = {"photometric": "rgb", "metadata": None}
        tags = [(271, "s", 0, "Camera", True), (700, "B", 4, b"<x/>", True)]
        turned = [(274, "H", 1, 6, True)]
        above, below = (tags + turned, []) if is_turned_above else (tags, turned)
        preview = {"subfiletype": 1, "subifds": 1, "extratags": above}
        file.write(pixels[::3, ::3], **preview, **options)
        file.write(pixels, subfiletype=0, extratags=below, **options)
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels, np.rot90(pixels, -1))
    assert b"Camera" in image.exif and image.xmp == b"<x/>"
    assert image.frames == 1 and "1 previews or masks" in image.note


@pytest.mark.parametrize(
    "dtype, photometric", [("uint8", "rgb"), (">u2", "minisblack")]
)
def test_pictures_without_tags_of_their_own(tmp_path, dtype, photometric):
    shape = (2, 3, *SHAPE, 3)[: 5 if photometric == "rgb" else 4]
    stack = helpers.noise(*shape, dtype=np.dtype(dtype).newbyteorder("="))
    path = tmp_path / "a.tif"
    options = {"photometric": photometric, "byteorder": ">"}
    tifffile.imwrite(path, stack, truncate=True, **options)
    frames = stack.reshape(6, *SHAPE, -1)
    for number in range(6):
        image = image_files.read(path, frame=number)
        np.testing.assert_array_equal(image.pixels, frames[number])
        assert image.frames == 6 and image.pixels.dtype.isnative
    path.write_bytes(path.read_bytes()[: -stack[0, 0].nbytes - 1])
    image = image_files.read(path)
    assert image.frames == 4 and "what follows page 4 is damaged" in image.note


def test_stacks_of_imagej_with_one_page(tmp_path):
    stack = helpers.noise(3, *SHAPE, dtype=np.uint16)
    path = tmp_path / "a.tif"
    options = {"description": "ImageJ=1.54f\nimages=3\nslices=3\n", "metadata": None}
    tifffile.imwrite(path, stack[0], photometric="minisblack", **options)
    with open(path, "ab") as file:
        stack[1:].tofile(file)
    image = image_files.read(path, frame=2)
    np.testing.assert_array_equal(image.pixels[..., 0], stack[2])
    assert image.frames == 3


def test_stacks_of_metamorph(tmp_path):
    stack = helpers.noise(3, *SHAPE, dtype=np.uint16)
    path = tmp_path / "a.stk"
    # What counts as one value of these tags are two and six numbers.
    values = {33628: [0] * 4, 33629: [1, 1, 0, 0, 0, 0] * 3}
    tags = [(33627, "I", 4, values[33628], True), (33629, "2I", 9, values[33629], True)]
    options = {"photometric": "minisblack", "metadata": None, "byteorder": "<"}
    tifffile.imwrite(path, stack[0], extratags=tags, **options)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        first, second = (file.pages.first.tags[tag].offset for tag in (33627, 33629))
    struct.pack_into("<HHI", content, first, 33628, 4, 2)
    struct.pack_into("<HHI", content, second, 33629, 5, len(stack))
    path.write_bytes(content + stack[1:].tobytes())
    image = image_files.read(path, frame=2)
    np.testing.assert_array_equal(image.pixels[..., 0], stack[2])
    assert image.frames == 3


@pytest.mark.parametrize(
    "text",
    ['{"shape": [16, 20], "truncated": "x"', '{"shape": "a", "truncated": true}',
     "ImageJ=1.5\nimages=x\n"],
)  # fmt: skip
def test_descriptions_that_only_look_like_those_of_stacks(tmp_path, text):
    stored = helpers.noise(*SHAPE, 1)[..., 0]
    path = tmp_path / "a.tif"
    options = {"description": text, "metadata": None}
    tifffile.imwrite(path, stored, photometric="minisblack", **options)
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels[..., 0], stored)
    assert image.frames == 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_inks_that_are_not_cmyk_are_bands(tiff, dtype):
    pixels = values(4, dtype)
    path = tiff(pixels, photometric="separated", extratags=[(331, "H", 1, 2, True)])
    change_tag(path, 331, number=332)
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.bands and image.alpha is None


def test_a_single_ink_is_gray(tiff):
    stored = values(1, "uint8")
    path = tiff(stored)
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags["PhotometricInterpretation"].valueoffset
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, place, 5)
    path.write_bytes(content)
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels, stored)
    assert not image.bands


def test_metadata_of_deep_tiff(tiff):
    tags = [(315, "s", 0, "me", True), (700, "B", 5, b"<xmp>", True)]
    options = {"extratags": tags, "iccprofile": b"profile", "byteorder": ">"}
    path = tiff(values(3, "uint16"), photometric="rgb", resolution=(7, 7), **options)
    image = image_files.read(path)
    assert (image.icc_profile, image.xmp) == (b"profile", b"<xmp>")
    assert b"me\0" in image.exif


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [13, 16, 18])
def test_exif_of_a_big_tiff(tiff, dtype, order, kind):
    tags = [(315, "s", 0, "somebody else", True), (34666, "Q", 1, 0, True)]
    options = {"bigtiff": True, "byteorder": order, "extratags": tags}
    path = tiff(values(1, dtype), **options)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags[34666].offset
    end, text = len(content), b"2020:02:03 04:05:06\0"
    value = struct.pack(order + ("Q" if kind > 13 else "Ixxxx"), end)
    struct.pack_into(order + "HHQ8s", content, place, 34665, kind, 1, value)
    folder = struct.pack(order + "QHHQQQ", 1, 0x9003, 2, len(text), end + 36, 0)
    path.write_bytes(content + folder + text)
    image = image_files.read(path)
    exif = pillow.Exif()
    exif.load(image.exif)
    assert exif[315] == "somebody else" and "EXIF" not in image.note
    assert exif.get_ifd(34665)[0x9003] == text[:-1].decode()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_what_is_lost_of_a_tiff_is_said(tiff, dtype):
    tags = [(tag, "B", 9, b"something", True) for tag in (33723, 34377)]
    image = image_files.read(tiff(values(1, dtype), extratags=tags))
    assert image.note == "IPTC and data of Photoshop left out"


@pytest.mark.parametrize(
    "resolution, aspect",
    [
        ((2, 3), (2, 3)),
        ((2.5, 2.5), None),
        (((2**32 - 1, 1), (1, 2**32 - 1)), None),
        ((1, 2001), None),
    ],
)
def test_the_shape_of_a_pixel(tiff, resolution, aspect):
    path = tiff(values(1, "uint16"), resolution=resolution, resolutionunit="NONE")
    assert image_files.read(path).aspect == aspect


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "options, note",
    [
        ({"metadata": {"axes": "YX"}}, ""),
        ({"ome": True}, "sizes and units of OME left out"),
        ({"imagej": True}, "sizes and units of ImageJ left out"),
        ({"description": "a <caption>", "metadata": None}, None),
    ],
)
def test_what_programs_say_of_the_layout_is_not_kept(tmp_path, dtype, options, note):
    pixels = values(1, dtype)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    image = image_files.read(tmp_path / "a.tif")
    assert image.note == (note or "")
    exif = pillow.Exif()
    exif.load(image.exif)
    is_kept = note is None
    assert exif.get(270) == (options["description"] if is_kept else None)


@pytest.mark.parametrize(
    "photometric, dtype, words",
    [
        ("cielab", "uint16", ["CIELAB", "16 bits"]),
        ("ycbcr", "uint16", ["YCBCR"]),
        ("ycbcr", "uint8", ["YCBCR", "compression NONE"]),
    ],
)
def test_layouts_that_are_not_read_are_named(tiff, photometric, dtype, words):
    path = tiff(values(3, dtype), photometric=photometric)
    refused(path, *words, "export it as RGB")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_volumes_are_named(tmp_path, dtype):
    volume = helpers.noise(16, 16, 32, dtype=np.dtype(dtype))
    options = {"volumetric": True, "photometric": "minisblack", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", volume, tile=(16, 16, 16), **options)
    refused(tmp_path / "a.tif", "depth 16", "export it")


@pytest.mark.parametrize(
    "bits, words",
    [((5, 6, 5), "different depths (5, 6, 5 bits)"), ((24,) * 3, "integers of 24")],
)
def test_depths_that_are_not_read_are_named(tiff, bits, words):
    path = tiff(values(3, "uint16"), photometric="rgb")
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags["BitsPerSample"].valueoffset
    content = bytearray(path.read_bytes())
    struct.pack_into("<3H", content, place, *bits)
    path.write_bytes(content)
    refused(path, words, "export it with 8 or 16 bits")


def test_floats_of_24_bits_with_a_predictor_are_not_damaged(tiff):
    path = tiff(values(1, "float32"), compression="zlib", predictor=3)
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags["BitsPerSample"].valueoffset
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, place, 24)
    path.write_bytes(content)
    refused(path, "float24", "cannot be read", "export it anew")


def test_complex_numbers_are_named(tiff):
    refused(tiff(np.ones((3, 4), np.complex64)), "complex64")


def test_a_file_that_promises_too_much_is_damaged(tiff):
    path = tiff(values(3, "uint16"), photometric="rgb", compression="lzw")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags["ImageWidth"].offset
    struct.pack_into("<HHII", content, place, 256, 4, 1, 2**23)
    path.write_bytes(content)
    refused(path, "is damaged")


@pytest.mark.parametrize(
    "text", [None, '{"shape": [5, 6, 9]}', "ImageJ=1.11a\nimages=5"]
)
@pytest.mark.parametrize("pages, back_to", [(1, 0), (3, 0), (3, 1)])
@pytest.mark.parametrize("is_big", [False, True])
def test_pages_that_lead_back_are_no_others(tmp_path, is_big, pages, back_to, text):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=is_big) as file:
        for number in range(pages):
            page = np.full(SHAPE, number, np.uint8)
            page[0] = 200
            file.write(page, description=text, metadata=None, contiguous=False)
    count, entry, code = ("<Q", 20, "<Q") if is_big else ("<H", 12, "<I")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        starts = [page.offset for page in file.pages]
    (tags,) = struct.unpack_from(count, content, starts[-1])
    place = starts[-1] + struct.calcsize(count) + tags * entry
    struct.pack_into(code, content, place, starts[back_to])
    path.write_bytes(content)
    image = image_files.read(path, frame=pages - 1)
    assert image.frames == pages and image.pixels[-1, 0, 0] == pages - 1
    assert f"what follows page {pages} is damaged and left out" in image.note


def test_a_stack_is_followed_by_damaged_pages_without_an_end(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, helpers.noise(5, *SHAPE, dtype=np.uint8), contiguous=True)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        (tags,) = struct.unpack_from("<H", path.read_bytes(), page.offset)
        link = page.offset + 2 + 12 * tags
    content = bytearray(path.read_bytes())
    starts = [len(content) + 6 * number for number in range(150)]
    struct.pack_into("<I", content, link, starts[0])
    # Without a tag, and more than those among which tifffile sees a circle.
    for following in [*starts[1:], starts[0]]:
        content += struct.pack("<HI", 0, following)
    path.write_bytes(content)
    image = image_files.read(path)
    assert image.frames == 1 and "what follows page 1 is damaged" in image.note


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_strips_that_are_missing(tiff, capfd, dtype, compression):
    path = tiff(values(3, dtype), photometric="rgb", compression=compression)
    change_tag(path, "ImageLength", value=2 * SHAPE[0])
    change_tag(path, "RowsPerStrip", value=SHAPE[0])
    refused(path, "is damaged", "strips or tiles are missing")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_strip_behind_the_end(tiff, capfd, dtype):
    path = tiff(values(3, dtype), photometric="rgb", compression="deflate")
    change_tag(path, "StripOffsets", value=path.stat().st_size - 5)
    refused(path, "is damaged", "pixels lie behind the end of the file")
    assert capfd.readouterr().err == ""


def change_jpeg(path, part, *, side, value):
    """Gives a JPEG that is a strip or tile of a TIFF another height or width."""
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        start = file.pages.first.dataoffsets[part]
    frame = content.index(b"\xff\xc0\0", start)
    struct.pack_into(">H", content, frame + {"height": 5, "width": 7}[side], value)
    path.write_bytes(content)


OF_JPEG = {
    "gray": {},
    "ycbcr": {"photometric": "rgb", "subsampling": (1, 1)},
    "subsampled": {"photometric": "rgb", "subsampling": (2, 2)},
    "planes": {"photometric": "rgb", "planarconfig": "separate"},
}


@pytest.fixture(params=OF_JPEG)
def jpeg_tiff(request, tiff):
    """Writes a TIFF of 37 columns in strips or tiles of JPEG and returns its path."""

    def write(height, **options):
        pixels = helpers.ramps(height, 37)
        pixels = pixels[..., :1] if request.param == "gray" else pixels
        options |= {"compression": "jpeg"} | OF_JPEG[request.param]
        return tiff(np.ascontiguousarray(pixels), **options)

    return write


@pytest.mark.parametrize("side", ["height", "width"])
@pytest.mark.parametrize("part", [0, 1, -1])
@pytest.mark.parametrize("options", [{"rowsperstrip": 16}, {"tile": (16, 16)}])
def test_strips_and_tiles_of_jpeg_that_are_too_small(jpeg_tiff, options, part, side):
    path = jpeg_tiff(40, **options)
    change_jpeg(path, part, side=side, value=4)
    refused(path, "is damaged", "a part of the picture is missing")


def test_a_strip_of_jpeg_that_is_too_small_with_common_tables(tmp_path):
    path = tmp_path / "a.tif"
    pillow.fromarray(helpers.ramps(40, 37)).save(path, compression="jpeg")
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.jpegtables
    assert image_files.read(path).pixels.shape == (40, 37, 3)
    change_jpeg(path, 0, side="height", value=39)
    refused(path, "is damaged", "a part of the picture is missing")


def test_the_last_strip_of_jpeg_may_have_more_rows(jpeg_tiff):
    path = jpeg_tiff(48, rowsperstrip=16)
    whole = image_files.read(path).pixels
    change_tag(path, "ImageLength", value=37)
    np.testing.assert_array_equal(image_files.read(path).pixels, whole[:37])


def test_the_last_tile_of_jpeg_may_end_with_the_picture(jpeg_tiff):
    path = jpeg_tiff(40, tile=(16, 16))
    whole = image_files.read(path).pixels
    change_jpeg(path, -1, side="height", value=8)
    change_jpeg(path, -1, side="width", value=5)
    found = image_files.read(path).pixels
    # Subsampled colours at the edge are no longer mixed with those beyond it.
    np.testing.assert_allclose(found.astype(int), whole, atol=32)
    np.testing.assert_array_equal(found[:32], whole[:32])


@pytest.mark.parametrize("change", [{"number": 280}, {"value": 0}])
@pytest.mark.parametrize(
    "compression, rows", [(None, 2), (None, 99), ("deflate", 99), ("jpeg", 99)]
)
def test_pillow_needs_no_numbers_of_bytes(tiff, compression, rows, change):
    options = {"compression": compression, "rowsperstrip": rows}
    path = tiff(values(3, "uint8"), photometric="rgb", **options)
    whole = image_files.read(path)
    change_tag(path, "StripByteCounts", **change)  # Another tag, or of the first strip.
    np.testing.assert_array_equal(image_files.read(path).pixels, whole.pixels)


def test_a_stack_of_which_the_end_with_the_later_tags_is_missing(tmp_path):
    path = tmp_path / "a.tif"
    frames = helpers.noise(5, *SHAPE, dtype=np.uint8)
    tifffile.imwrite(path, frames)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 5
        start, size = file.pages.first.dataoffsets[0], frames[0].size
    path.write_bytes(path.read_bytes()[: start + 3 * size + 7])
    for number in range(3):
        image = image_files.read(path, frame=number)
        np.testing.assert_array_equal(image.pixels[..., 0], frames[number])
    assert image.frames == 3 and "what follows page 3 is damaged" in image.note


def test_a_damaged_page_ends_the_file(tmp_path):
    frames = [helpers.noise(*SHAPE, dtype=np.uint16, seed=i) for i in range(3)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack(frames), photometric="minisblack", metadata=None)
    assert "damaged" not in image_files.read(path).note
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        places = [page.tags["ImageWidth"].offset for page in file.pages]
    struct.pack_into("<H", content, places[2], 1)
    path.write_bytes(content)
    image = image_files.read(path)
    assert image.frames == 2 and "what follows page 2 is damaged" in image.note
    struct.pack_into("<H", content, places[0], 1)
    path.write_bytes(content)
    refused(path, "damaged or incomplete")


@pytest.mark.parametrize(
    "photometric, below",
    [(32803, False), (34892, False), (32803, True)],
    ids=["cfa", "linear", "preview"],
)
def test_camera_raw_is_refused(tmp_path, photometric, below):
    channels = 3 if photometric == 34892 else 1
    pixels = helpers.noise(16, 16, channels, dtype=np.uint16).squeeze()
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        if below:
            preview = helpers.noise(8, 8, 3)
            file.write(preview, subifds=1, subfiletype=1, metadata=None)
        file.write(pixels, photometric=photometric, metadata=None)
    refused(tmp_path / "a.tif", "camera raw", "export it")


@pytest.mark.parametrize(
    "name, start",
    [
        ("a.nef", b"MM\0*\0\0\0\x08"),
        ("a.dat", b"FUJIFILMCCD-RAW 0201"),
        ("a.dat", b"II*\0\x10\0\0\0CR\x02\0"),
        ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"),
        ("a.raf", b"anything"),
    ],
)
def test_camera_raw_is_known_by_its_start_or_name(tmp_path, name, start):
    (tmp_path / name).write_bytes(start + bytes(64))
    refused(tmp_path / name, "camera raw")


def test_warnings_about_a_damaged_tag_become_a_note(tiff):
    path = tiff(values(3, "uint16"), photometric="rgb", software="abcdefghij")
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<HH", 305, 2))
    data[at + 4 : at + 8] = struct.pack("<I", 9999)  # longer than the file
    path.write_bytes(data)
    image = image_files.read(path)
    # The words are those of Pillow, of older and newer releases.
    assert re.search("Skipping tag 305|Truncated File Read", image.note)
    assert image.pixels.shape == (*SHAPE, 3)


@pytest.mark.parametrize("kind", ["deep", "plain", "stack"])
def test_the_tags_of_a_file_are_read_once_for_all_its_pages(
    tmp_path, monkeypatch, kind
):
    path, frames = tmp_path / "a.tif", helpers.noise(6, *SHAPE, dtype=np.uint16)
    frames = frames if kind == "deep" else frames.astype(np.uint8)
    if kind == "stack":
        tifffile.imwrite(path, frames, imagej=True)
    else:
        with tifffile.TiffWriter(path) as writer:
            for frame in frames:
                writer.write(frame, contiguous=False, compression="lzw", metadata=None)
    opened = []
    reader = tiff_decoding.TiffFile
    monkeypatch.setattr(
        tiff_decoding, "TiffFile", lambda file: opened.append(1) or reader(file)
    )
    kept = image_files.Kept()
    for place in (0, 1, 2, 5, 3):
        image = image_files.read(path, frame=place, kept=kept)
        np.testing.assert_array_equal(image.pixels[..., 0], frames[place])
        assert image.frames == 6
    assert len(opened) == 1
    tifffile.imwrite(path, frames[:2, :3], photometric="minisblack")
    image = image_files.read(path, frame=1, kept=kept)
    np.testing.assert_array_equal(image.pixels[..., 0], frames[1, :3])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_pillow_reads_the_tags_of_no_other_page(
    tmp_path, monkeypatch, order, is_big, compression
):
    path, frames = tmp_path / "a.tif", helpers.noise(5, *SHAPE)
    with tifffile.TiffWriter(path, byteorder=order, bigtiff=is_big) as writer:
        for place, frame in enumerate(frames):
            options = {"subfiletype": int(place == 1), "metadata": None}  # a preview
            writer.write(frame, contiguous=False, compression=compression, **options)
    loaded = []
    load = TiffImagePlugin.ImageFileDirectory_v2.load
    monkeypatch.setattr(
        TiffImagePlugin.ImageFileDirectory_v2,
        "load",
        lambda tags, file: loaded.append(1) or load(tags, file),
    )
    counts = []
    for place, frame in enumerate(np.delete(frames, 1, axis=0)):
        image = image_files.read(path, frame=place)
        np.testing.assert_array_equal(image.pixels[..., 0], frame)
        counts.append(len(loaded))
        loaded.clear()
    assert counts[0] and len(set(counts)) == 1
