"""Files that are written: what they hold, with which metadata, and what is lost."""

import dataclasses
import io
import struct
import zlib

import helpers
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import ExifTags
from PIL import Image as pillow
from PIL.TiffImagePlugin import IFDRational

from kernelgan_jax.app import enlarging
from kernelgan_jax.app.images import image_encoding, image_files, xmp_packets
from kernelgan_jax.app.images.exif import AsRead, enlarged, kept_block
from kernelgan_jax.app.images.image import Image
from kernelgan_jax.app.images.metadata import Spliced, split_png
from kernelgan_jax.app.job import FORMATS

ICC = b"a profile" * 9
XMP = (
    b'<x:xmpmeta tiff:ImageWidth="7" tiff:Orientation="6">'
    b"<exif:PixelYDimension>5</exif:PixelYDimension>"
    b"<exif:SubjectArea><rdf:Seq><rdf:li>3</rdf:li><rdf:li>2</rdf:li></rdf:Seq>"
    b"</exif:SubjectArea><exif:FocalPlaneXResolution>40000/7</exif:x>"
    b'<x GPano:FullPanoWidthPixels="14" GPano:CroppedAreaTopPixels = "0"/>'
    b'<mwg-rs:AppliedToDimensions stDim:w="7.5" stDim:h="5" stDim:unit="pixel"/>'
    b"<tiff:XResolution>72/1</tiff:XResolution>"
)
UPRIGHT_XMP = (
    b'<x:xmpmeta tiff:ImageWidth="7" tiff:Orientation="6">'
    b"<exif:PixelYDimension>5</exif:PixelYDimension>"
    b"<exif:FocalPlaneYResolution>40000/7</exif:x>"
    b'<x GPano:FullPanoWidthPixels="14" GPano:CroppedAreaTopPixels = "0"/>'
    b'<mwg-rs:AppliedToDimensions stDim:h="7.5" stDim:w="5" stDim:unit="pixel"/>'
    b"<tiff:YResolution>72/1</tiff:YResolution>"
)
"""`XMP` of an image that has been turned upright."""
ORIENTATION_1 = struct.pack(">HHHIHHI", 1, ExifTags.Base.Orientation, 3, 1, 1, 0, 0)
"""The tags of an EXIF block that has nothing but the orientation."""


TITLE = "Müller\0".encode("utf-16-le")
COPYRIGHT = "© 2020 Müller".encode()


OF_GRAY, OF_RGB = (
    bytes(16) + kind + bytes(16) + b"acsp" + bytes(88) for kind in (b"GRAY", b"RGB ")
)
"""Headers of ICC profiles."""


@pytest.mark.parametrize("channels, profile", [(1, OF_GRAY), (3, OF_RGB)])
def test_a_profile_of_its_own_colours_stays(channels, profile):
    fitted = image_encoding.fit(Image(BLACK[..., :channels], None, profile), "png")
    assert fitted.image.icc_profile == profile and not fitted.notes


def exif_block():
    exif = pillow.Exif()
    exif[ExifTags.Base.Artist] = "me"
    exif[ExifTags.Base.Copyright] = COPYRIGHT
    exif[ExifTags.Base.DocumentName] = "a name"
    exif[ExifTags.Base.HostComputer] = "a host"
    exif[ExifTags.Base.Rating] = 4
    exif[ExifTags.Base.XPTitle] = TITLE
    exif[ExifTags.Base.ImageWidth] = 7
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.ExifImageWidth: 7,
        ExifTags.Base.ExifImageHeight: 5,
        ExifTags.Base.DateTimeOriginal: "2020:02:03 04:05:06",
        ExifTags.Base.CameraOwnerName: AsRead("Jos\xe9"),
        ExifTags.IFD.Interop: {1: "R98", 0x1001: 7, 0x1002: 5},
        0x9214: (3, 2, 4),
        0xA214: (3, 2),
        ExifTags.Base.FocalPlaneXResolution: IFDRational(40000, 7),
        ExifTags.Base.FocalPlaneYResolution: 3000.5,
    }
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    return exif.tobytes()


def written(tmp_path, image, wanted, quality=95):
    """What is read from the file that is written, its format, and the notes."""
    fitted, kind, notes = image_encoding.fit(image, wanted)
    path = tmp_path / f"a.{kind}"
    image_encoding.write(path, fitted, kind, quality=quality)
    return image_files.read(path), kind, notes


@pytest.mark.parametrize("wanted", sorted({*FORMATS} - {"gif"}))
@pytest.mark.parametrize("channels", [1, 3])
def test_metadata_are_kept_and_made_true(tmp_path, wanted, channels):
    pixels = helpers.ramps(20, 24)[..., :channels]
    image = Image(
        pixels, None, ICC, exif_block(), xmp=XMP, dpi=(300.0, 150.0), format="JPEG"
    )
    larger = enlarging.as_stored(np.full((40, 48, channels), 0.5), image, 2)
    found, kind, notes = written(tmp_path, larger, wanted)
    lost = f"without the shape of a pixel, which {kind} cannot hold"
    expected = (lost,) if wanted in ("webp", "avif") else ()
    assert (kind, tuple(map(str.lower, notes))) == (wanted, expected)
    assert found.icc_profile == ICC
    exif = pillow.Exif()
    exif.load(found.exif)
    assert exif[ExifTags.Base.Artist] == "me"
    assert exif[ExifTags.Base.DocumentName] == "a name"
    assert exif[ExifTags.Base.HostComputer] == "a host"
    assert (exif[ExifTags.Base.Rating], exif[ExifTags.Base.XPTitle]) == (4, TITLE)
    sizes = {0x1001: 48, 0x1002: 40}
    assert exif.get_ifd(ExifTags.IFD.Interop) == {1: "R98"} | sizes
    assert ExifTags.IFD.Interop not in exif  # Its place is among the camera's tags.
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    assert inner[ExifTags.Base.DateTimeOriginal] == "2020:02:03 04:05:06"
    assert inner[ExifTags.Base.ExifImageWidth] == 48
    assert inner[ExifTags.Base.ExifImageHeight] == 40
    assert inner[0x9214] == (6, 4, 8)
    assert inner[0xA214] == (6, 4)
    assert inner[ExifTags.Base.FocalPlaneXResolution] == IFDRational(80000, 7)
    assert inner[ExifTags.Base.FocalPlaneYResolution] == 6001
    assert exif.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: "N"}
    assert COPYRIGHT + b"\0" in found.exif and b"Jos\xe9\0" in found.exif
    for text in (
        *(b'ImageWidth="48"', b'Orientation="1"', b"YDimension>40</", b">72/1</"),
        *(b"<rdf:li>6</rdf:li><rdf:li>4</", b"Resolution>80000/7</", b'Pixels="28"'),
        *(b'Pixels = "0"', b'stDim:w="15" stDim:h="10"'),
    ):
        assert text in found.xmp
    if wanted in ("png", "jpg", "tif"):
        np.testing.assert_allclose(found.dpi, (300, 150), rtol=1e-4)
    np.testing.assert_allclose(found.pixels.astype(int), 128, atol=3)


@pytest.mark.parametrize("wanted", ["jpg", "tif"])
def test_bytes_of_exif_are_of_the_types_of_the_rules(tmp_path, wanted):
    # Other programs find comments and makers' notes among those of no type alone.
    comment, none, numbers = b"UNICODE\0" + "ä".encode("utf-16-be"), 7, 1
    exif = pillow.Exif()
    exif[ExifTags.Base.XPTitle] = TITLE
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.UserComment: comment,
        ExifTags.Base.MakerNote: b"a note",
        ExifTags.Base.SceneType: b"\1",
        ExifTags.IFD.Interop: {1: "R98", 2: b"0100"},
    }
    exif[ExifTags.IFD.GPSInfo] = {0: b"\2\3\0\0", 5: b"\1", 27: b"ASCII\0\0\0GPS"}
    block = pillow.Exif()
    block.load(exif.tobytes())
    block = kept_block(block, "JPEG", [])
    larger = Image(helpers.noise(20, 24, 3), exif=enlarged(block, 24, 20, 2))
    found, _, _ = written(tmp_path, larger, wanted)
    again = pillow.Exif()
    again.load(found.exif)
    assert again.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] == comment
    stored = (tmp_path / f"a.{wanted}").read_bytes()
    order = "<" if wanted == "tif" else ">"
    for tag, kind, length in (
        (ExifTags.Base.XPTitle, numbers, len(TITLE)),
        (ExifTags.Base.UserComment, none, len(comment)),
        (ExifTags.Base.MakerNote, none, 6),
        (ExifTags.Base.SceneType, none, 1),
        (2, none, 4),
        (0, numbers, 4),
        (5, numbers, 1),
        (27, none, 11),
    ):
        assert struct.pack(order + "HHI", tag, kind, length) in stored, tag


def test_bytes_where_exif_has_other_types_do_not_cost_the_block():
    texts = {ExifTags.Base.Artist: "me", ExifTags.Base.Make: "a maker"}
    block, notes = pillow.Exif(), []
    block.update(texts)
    written = block.tobytes()
    for tag in texts:
        kinds = [struct.pack(">HH", tag, kind) for kind in (2, 7)]
        assert kinds[0] in written
        written = written.replace(*kinds)
    block.load(written)
    assert block[ExifTags.Base.Artist] == b"me\0"
    found = pillow.Exif()
    found.load(kept_block(block, "JPEG", notes))
    assert {tag: found[tag].rstrip("\0") for tag in texts} == texts and not notes


@pytest.mark.parametrize(
    "tag, value",
    [
        (0x9214, (-1, 2**31 - 1)),
        (0x9214, (-(2**31), 5)),
        (0xA20E, IFDRational(-(2**31), 7)),
        (0xA20E, IFDRational(2**31 - 1, -7)),
    ],
)
def test_negative_numbers_of_exif_stay(tag, value):
    block, found = pillow.Exif(), pillow.Exif()
    block[ExifTags.IFD.Exif] = {tag: value, ExifTags.Base.ExifImageWidth: 7}
    found.load(enlarged(block.tobytes(), 14, 10, 2))
    camera = found.get_ifd(ExifTags.IFD.Exif)
    assert camera == {tag: value, ExifTags.Base.ExifImageWidth: 14}


def test_pointers_of_exif_to_nothing():
    block = pillow.Exif()
    block[ExifTags.Base.Artist] = "me"
    block[ExifTags.IFD.Exif] = block[ExifTags.IFD.Interop] = {}
    read, notes = pillow.Exif(), []
    read.load(block.tobytes())
    found = pillow.Exif()
    found.load(kept_block(read, "JPEG", notes))
    assert dict(found) == {ExifTags.Base.Artist: "me"} and not notes


def test_numbers_of_exif_that_stand_for_infinity_stay():
    block = pillow.Exif()
    block[ExifTags.IFD.Exif] = {
        ExifTags.Base.FocalPlaneXResolution: IFDRational(2**32 - 1, 0),
        ExifTags.Base.FocalPlaneYResolution: IFDRational(2**32 - 1, 1),
        0x9214: (2**32 - 1, 7),
    }
    larger = pillow.Exif()
    larger.load(enlarged(block.tobytes(), 20, 20, 2))
    found = larger.get_ifd(ExifTags.IFD.Exif)
    across = found[ExifTags.Base.FocalPlaneXResolution]
    assert (across.numerator, across.denominator) == (2**32 - 1, 0)
    assert found[ExifTags.Base.FocalPlaneYResolution] == 2**32 - 1
    assert found[0x9214] == (2**32 - 1, 14)


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("alpha", [False, True])
def test_tiff_holds_everything(tmp_path, dtype, channels, alpha):
    dtype = np.dtype(dtype)
    integers = np.dtype(np.uint8) if dtype.kind == "f" else dtype
    stored = helpers.noise(9, 12, channels + 1, dtype=integers).astype(dtype)
    stored *= dtype.type(1.5 if dtype.kind == "f" else 1)
    bands = channels not in (1, 3)
    image = Image(stored[..., :-1], stored[..., -1] if alpha else None, bands=bands)
    found, kind, _ = written(tmp_path, image, "tif")
    np.testing.assert_array_equal(found.pixels, image.pixels)
    assert found.pixels.dtype == dtype and found.bands == bands
    if alpha:
        np.testing.assert_array_equal(found.alpha, image.alpha)
    else:
        assert found.alpha is None


BLACK = np.zeros((4, 4, 3), np.uint8)
GRAY = bytes(16) + b"GRAY"  # The kind of colour in the header of a profile.
GAMMA_AND_TEXT = ((b"gAMA", bytes(4)), (b"tEXt", b"a\0b"))


@pytest.mark.parametrize(
    "image, wanted, kind, word",
    [
        (Image(np.zeros((4, 4, 1), np.float32)), "png", "tif", "float32"),
        (Image(np.zeros((4, 4, 5), np.uint8), bands=True), "jpg", "tif", "5 bands"),
        (Image(np.zeros((4, 4, 3), np.uint16)), "jpg", "jpg", "rounded to 8"),
        (Image(BLACK, BLACK[..., 0]), "jpg", "jpg", "on white"),
        (Image(np.zeros((2, 16384, 3), np.uint8)), "webp", "png", "too large"),
        (Image(np.zeros((1, 10**6 + 1, 1), np.uint8)), "png", "tif", "too large"),
        (Image(np.zeros((10**6 + 1, 1, 1), np.uint8)), "jpg", "tif", "for JPEG"),
        (Image(BLACK, exif=bytes(70000)), "jpg", "jpg", "EXIF"),
        (Image(BLACK[..., :1], None, GRAY), "webp", "webp", "without its profile"),
        (Image(BLACK, None, OF_GRAY), "png", "png", "not of RGB"),
        (Image(BLACK[..., :1], None, OF_RGB), "png", "png", "not of gray"),
        (Image(BLACK, frames=2, format="TIFF"), "webp", "tif", "hold pages"),
        (Image(BLACK, chunks=GAMMA_AND_TEXT), "tif", "tif", "without gAMA, texts"),
        (Image(BLACK, dpi=(300, 300)), "webp", "webp", "without pixels per inch"),
    ],
)  # fmt: skip
def test_what_a_format_cannot_hold_is_said(image, wanted, kind, word):
    fitted = image_encoding.fit(image, wanted)
    assert fitted.format == kind
    assert word in " ".join(fitted.notes)
    assert image_encoding.encode(fitted.image, kind)


@pytest.mark.parametrize(
    "case",
    ["JPEG jpg", "TIFF tif", "WEBP webp", "AVIF avif", "GIF gif", "JXL png"],
)
def test_the_same_format(case):
    format, kind = case.split()
    image = Image(np.zeros((4, 4, 3), np.uint8), format=format)
    assert image_encoding.fit(image, "same").format == kind


def test_quality(tmp_path):
    image = Image(helpers.noise(32, 32, 3))
    for kind in ("jpg", "webp", "avif"):
        sizes = [
            len(image_encoding.encode(image, kind, quality=q)) for q in (10, 60, 95)
        ]
        assert sizes == sorted(sizes)
    lossless, _, _ = written(tmp_path, image, "webp", 100)
    np.testing.assert_array_equal(lossless.pixels, image.pixels)


@pytest.mark.parametrize("density, kept", [(65535.0, True), (70000.0, False)])
def test_pixels_per_inch_that_a_jpeg_cannot_state(tmp_path, density, kept):
    dpi = (density, density)
    found, _, notes = written(tmp_path, Image(BLACK, dpi=dpi), "jpg")
    assert found.dpi == (dpi if kept else None)
    assert ("without pixels per inch" in " ".join(notes)) != kept


def test_colour_below_alpha_is_on_white_in_a_jpeg(tmp_path):
    pixels = np.zeros((16, 32, 3), np.uint8)
    alpha = np.full((16, 32), 255, np.uint8)
    alpha[:, 16:] = 0
    found, _, _ = written(tmp_path, Image(pixels, alpha), "jpg")
    assert found.pixels[:, :12].max() < 10 and found.pixels[:, 20:].min() > 245


# --- PNG ---

COLOUR = (
    (b"gAMA", struct.pack(">I", 100000)),
    (b"cHRM", bytes(range(32))),
    (b"cICP", bytes([9, 16, 0, 1])),
)


def png(pixels, chunks=(), density=(300.0, 300.0)):
    image = Image(pixels, chunks=tuple(chunks), dpi=density)
    return image_encoding.encode(image, "png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_chunks_of_a_png_are_kept(tmp_path, dtype):
    texts = ((b"tEXt", b"Title\0a"), (b"zTXt", b"Prompt\0\0" + zlib.compress(b"c")))
    path = tmp_path / "a.png"
    path.write_bytes(png(helpers.noise(5, 7, 3, dtype=dtype), COLOUR + texts))
    image = image_files.read(path)
    assert image.chunks == COLOUR + texts and image.note == ""
    larger = enlarging.as_stored(np.zeros((10, 14, 3)), image, 2)
    found, _, _ = written(tmp_path, larger, "png")
    assert found.chunks == image.chunks
    np.testing.assert_allclose(found.dpi, (300, 300), rtol=1e-4)


@pytest.mark.parametrize(
    "primaries, transfer, chunks", [(9, 16, COLOUR[2:]), (1, 13, ()), (2, 2, ())]
)
def test_colours_of_an_avif_are_kept(tmp_path, primaries, transfer, chunks):
    """As those of phones in BT.2020 and PQ."""
    path = tmp_path / "a.avif"
    pixels = helpers.noise(16, 16, 3)
    path.write_bytes(
        imagecodecs.avif_encode(pixels, primaries=primaries, transfer=transfer)
    )
    image = image_files.read(path)
    assert image.chunks == chunks
    for kind in ("png", "avif"):
        assert image_encoding.fit(image, kind).notes == ()
        assert written(tmp_path, image, kind)[0].chunks == chunks


def test_srgb_gives_way_to_a_profile(tmp_path):
    image = Image(helpers.noise(5, 7, 3), None, ICC, chunks=((b"sRGB", b"\0"),))
    found, _, _ = written(tmp_path, image, "png")
    assert found.icc_profile == ICC and found.chunks == ()


@pytest.mark.parametrize("kind", ["png", "jpg", "tif"])
def test_pixels_that_are_not_square_stay_so(tmp_path, kind):
    image = Image(helpers.noise(5, 7, 1), aspect=(2, 3))
    assert written(tmp_path, image, kind)[0].aspect == (2, 3)


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_long_texts_and_profiles_do_not_cost_the_image(tmp_path, kind):
    pixels = helpers.noise(5, 7, 3)
    path = tmp_path / "a.png"
    for length in (2**20, 2**20 + 1):  # Pillow refuses a longer one that is packed.
        text = b"y" * length
        texts = {
            b"tEXt": b"a\0" + text,
            b"zTXt": b"a\0\0" + zlib.compress(text),
            b"iTXt": b"a\0\1\0en\0b\0" + zlib.compress(text),
        }
        profile = bytes(2_000_000)
        image = Image(pixels, None, profile, chunks=((kind, texts[kind]),))
        image_encoding.write(path, image, "png")
        found = image_files.read(path)
        np.testing.assert_array_equal(found.pixels, pixels)
        assert found.icc_profile == profile
        is_kept = length == 2**20
        assert found.chunks == (image.chunks if is_kept else ())
        assert ("bytes of text left out" in found.conversions) != is_kept


def test_exif_in_the_digits_of_a_text(tmp_path):
    exif = pillow.Exif()
    exif.load(exif_block())
    exif[ExifTags.Base.Orientation] = 6
    digits = exif.tobytes().hex()
    text = f"Raw profile type exif\0\0\nexif\n{len(digits) // 2:8}\n{digits}\n"
    keyword, _, rest = text.encode().partition(b"\0\0")
    chunk = (b"zTXt", keyword + b"\0\0" + zlib.compress(rest))
    image = Image(helpers.noise(5, 7, 3), chunks=(chunk,))
    found = written(tmp_path, image, "png")[0]
    assert found.pixels.shape == (7, 5, 3) and found.chunks == ()
    assert b"me\0" in found.exif


@pytest.mark.parametrize(
    "xmp",
    [
        XMP,
        b"<x tiff:Orientation = ' 6' />",
        b"<tiff:Orientation> 6 </tiff:Orientation>",
        b"<tiff:Orientation\n>6</tiff:Orientation>",
    ],
    ids=["value", "spaced value", "element", "broken element"],
)
def test_packed_xmp_is_read_and_turns_the_image(tmp_path, xmp):
    body = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)
    image = Image(helpers.noise(5, 7, 3), chunks=((b"iTXt", body),))
    found = written(tmp_path, image, "png")[0]
    assert found.xmp == (UPRIGHT_XMP if xmp == XMP else xmp)
    assert ("place of the subject left out" in found.note) == (xmp == XMP)
    np.testing.assert_array_equal(found.pixels, np.rot90(image.pixels, -1))
    assert xmp_packets.orientation_of(xmp_packets.enlarged(xmp, 14, 10, 2)) == 1
    tags = [(700, "B", len(xmp), xmp, True)]
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, image.pixels * np.uint16(257), extratags=tags)
    turned = np.rot90(image.pixels, -1)
    np.testing.assert_array_equal(image_files.read(path).pixels // 257, turned)
    image = dataclasses.replace(image, exif=b"MM\0*\0\0\0\10" + ORIENTATION_1)
    found = written(tmp_path, image, "png")[0]
    np.testing.assert_array_equal(found.pixels, image.pixels)


def test_xmp_names_no_data_that_are_left_out(tmp_path):
    kept = b'<a><b dc:x="1"%b/>%b<dc:title>cat</dc:title></a>'
    values = (
        b' hdrgm:Version="1.0" GCamera:MotionPhoto=\'1\' Camera:MicroVideoOffset="9"'
    )
    elements = (
        b"<hdrgm:Version>1.0</hdrgm:Version><GDepth:Near/>"
        b'<Container:Directory><rdf:li Item:Length="9"/></Container:Directory>'
    )
    path = tmp_path / "a.jpg"
    pillow.new("RGB", (8, 8)).save(path, xmp=kept % (values, elements))
    found = image_files.read(path)
    assert found.xmp == kept % (b"", b"")
    assert "gain map, video or depth that XMP speaks of left out" in found.note
    pillow.new("RGB", (8, 8)).save(path, xmp=found.xmp)
    assert image_files.read(path).note == ""
    odd = kept % (b"", b"<hdrgm:Version>")  # Without an end.
    assert xmp_packets.without_companions(odd, []) == odd


@pytest.mark.parametrize(
    "unit, turned, enlarged",
    [("pixel", b"hw", (b"15", b"10")), ("inch", b"wh", (b"7.5", b"5"))],
)
def test_xmp_of_other_units_stays(unit, turned, enlarged):
    packet = b'<a stDim:%c="%b" stDim:%c="%b" stDim:unit="' + unit.encode() + b'"/>'
    xmp = packet % (b"w", b"7.5", b"h", b"5")
    across, down = turned[:1], turned[1:]
    assert xmp_packets.turned(xmp, 6, []) == packet % (across, b"7.5", down, b"5")
    larger = packet % (b"w", enlarged[0], b"h", enlarged[1])
    assert xmp_packets.enlarged(xmp, 10, 10, 2) == larger
    sensor = b'<a exif:FocalPlaneXResolution="%b/1"/>'
    found = xmp_packets.enlarged(sensor % b"3072.5", 10, 10, 2)
    assert found == sensor % b"6145"


def test_damaged_metadata_of_a_png_are_left_out(tmp_path):
    data = png(helpers.noise(5, 7, 3), COLOUR)
    damaged = data.replace(struct.pack(">I", 100000), struct.pack(">I", 100001))
    notes = []
    # Behind the end of a picture nothing is looked at.
    plain, found = split_png(io.BytesIO(damaged + bytes(1200)), notes)
    assert plain.read() == png(helpers.noise(5, 7, 3), density=None)
    assert found.chunks == COLOUR[1:]
    assert notes == ["damaged gAMA left out"]
    others = [image_encoding.png_chunk(b"ab%02d" % (n // 2), b"") for n in range(100)]
    split_png(io.BytesIO(damaged[:33] + b"".join(others) + damaged[33:]), notes := [])
    assert len(notes) == 9 and notes[-1] == "43 kinds of other chunks left out"


def test_parts_of_a_file_are_read_as_one():
    parts = [(2, 0)] * 3 + [(2, 3), b"abc", b"", (9, 0), (7, 2)] + [(0, 0)] * 3
    spliced = Spliced(io.BytesIO(b"0123456789"), parts)
    content = b"234abc78"
    assert io.BufferedReader(spliced).read() == content
    for place in range(len(content) + 2):
        spliced.seek(place)
        assert spliced.read(1) == content[place : place + 1]
    assert spliced.seek(0, io.SEEK_END) == len(content)
    assert Spliced(io.BytesIO(), []).read() == b""


def test_texts_of_imagemagick(tmp_path):
    # It repeats EXIF and XMP in texts, of which those on sizes would not be true.
    def text(keyword, value):
        return image_encoding.png_chunk(b"tEXt", keyword + b"\0" + value)

    xmp = b'<x tiff:Orientation="6" tiff:ImageWidth="7"/>'
    raw = f"\nxmp\n{len(xmp):8}\n{xmp.hex()}\n".encode()
    kept = [(b"exif:Make", b"Camera"), (b"xmp:Rating", b"4"), (b"Title", b"exif:Make")]
    untrue = (b"exif:PixelXDimension", b"tiff:ImageWidth", b"xmp:PixelYDimension")
    others = b"exif:thumbnail:XResolution", b"exif:Orientation", b"exif:ExifOffset"
    plain = image_encoding.encode(Image(helpers.noise(5, 7, 3)), "png")
    added = [text(*pair) for pair in kept]
    added += [text(keyword, b"7") for keyword in (*untrue, *others)]
    added.append(text(b"Raw profile type xmp", raw))
    added.append(text(b"Raw profile type xmp", b"\nxmp\n 2\nxy"))
    path = tmp_path / "a.png"
    path.write_bytes(plain[:33] + b"".join(added) + plain[33:])
    image = image_files.read(path)
    assert image.pixels.shape == (7, 5, 3)  # Turned upright.
    damaged = b"Raw profile type xmp\0\nxmp\n 2\nxy"
    expected = [b"\0".join(pair) for pair in kept] + [damaged]
    assert [body for _, body in image.chunks] == expected
    assert image.xmp == xmp


def test_exif_of_a_tiff_is_for_others_to_read(tmp_path):
    exif = pillow.Exif()
    exif.load(exif_block())
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 300.0
    image = Image(helpers.noise(5, 7, 3), exif=exif.tobytes())
    path = tmp_path / "a.tif"
    image_encoding.write(path, image, "tif")
    with pillow.open(path) as file:
        interop = file.getexif().get_ifd(ExifTags.IFD.Interop)
    assert interop == {1: "R98", 0x1001: 7, 0x1002: 5}
    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        assert tags["ExifTag"].value["PixelXDimension"] == 7
        assert tags["Artist"].value == "me"
        assert tags["XResolution"].value == (300, 1)


# --- GeoTIFF ---

SCALE_AND_TIE = {33550: (30.0, 30.0, 0.0), 33922: (2.0, 3.0, 0.0, 5e5, 4e6, 0.0)}
MATRIX = {34264: (30.0, 1.0, 0, 5e5, 2.0, -30.0, 0, 4e6, *(0.0,) * 7, 1.0)}


def ground(geo, column, row):
    """Where a GeoTIFF puts a place in the image; only its upper left with points."""
    if 34264 in geo:
        m = geo[34264]
        return m[0] * column + m[1] * row + m[3], m[4] * column + m[5] * row + m[7]
    (sx, sy, _), (i, j, _, x, y, _) = geo[33550], geo[33922]
    return x + (column - i) * sx, y - (row - j) * sy


@pytest.mark.parametrize("tags", [SCALE_AND_TIE, MATRIX], ids=["tie", "matrix"])
@pytest.mark.parametrize("raster", [1, 2])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_georeference_is_kept_and_made_true(tmp_path, dtype, raster, tags):
    keys = (1, 1, 0, 1, 1025, 0, 1, raster)
    geo = tags | {34735: keys, 42112: "<µm>", 42113: "0"}
    image = Image(helpers.noise(8, 9, 1, dtype=np.dtype(dtype)), geo=geo)
    stored, _, _ = written(tmp_path, image, "tif")
    assert {tag: tuple(v) for tag, v in stored.geo.items() if tag in tags} == tags
    larger = enlarging.as_stored(np.full((24, 27, 1), 0.5), stored, 3)
    found = written(tmp_path, larger, "tif")[0].geo
    assert found[34735] == keys and found[42112] == "<µm>"
    # The corner of the image is the same place; half a pixel off where points are.
    off = 0.5 if raster == 2 else 0.0
    before = ground(stored.geo, 5 - off, 4 - off)
    after = ground(found, 15 - off, 12 - off)
    np.testing.assert_allclose(after, before, rtol=1e-12)
    assert "the georeference" in " ".join(image_encoding.fit(larger, "png").notes)


def test_the_camera_model_of_a_satellite_is_made_true(tmp_path):
    # Errors, offsets of lines, samples, latitude, ..., their scales, coefficients.
    model = (-1.0, -1.0, 3.5, 4.5, *range(3), 4.0, 5.0, *range(3), *range(80))
    image = Image(helpers.noise(8, 9, 1), geo={50844: tuple(map(float, model))})
    stored, _, notes = written(tmp_path, image, "tif")
    assert stored.geo[50844] == model and not notes
    larger = enlarging.as_stored(np.full((24, 27, 1), 0.5), stored, 3)
    found = larger.geo[50844]
    # The centres of the pixels 0, 1, ... are at 1, 4, ... of the larger image.
    assert found[2:4] == (11.5, 14.5) and found[7:9] == (12, 15)
    assert found[:2] + found[4:7] + found[9:] == model[:2] + model[4:7] + model[9:]
    assert "the georeference" in image_encoding.fit(larger, "png").notes[0]
