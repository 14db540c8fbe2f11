"""TIFF strips that are higher than the picture, end early or run into other data."""

import io
import struct
import tracemalloc
import zlib

import helpers
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as pillow

from kernelgan_jax.app.images import image_files, tiff_strips

ROWS, COLUMNS, HEIGHT = 16, 37, 40
"""Sides of a strip, and of the picture, of which the last strip has 8 rows."""

NONE, RLE, GROUP_3, GROUP_4, LZW, JPEG, DEFLATE = 1, 2, 3, 4, 5, 7, 8
PACKBITS, ZSTD = 32773, 50000
PACKED = {
    LZW: imagecodecs.lzw_encode,
    DEFLATE: zlib.compress,
    PACKBITS: imagecodecs.packbits_encode,
    ZSTD: imagecodecs.zstd_encode,
}
FAXES = {RLE: "tiff_ccitt", GROUP_3: "group3", GROUP_4: "group4"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.tif"


def write(path, strips, compression, *, counts=None, tags=(), bits=8, kind=1):
    """Writes a gray TIFF of strips as they are; without StripByteCounts for `()`.

    Without a kind of colour, Pillow does not read it.
    """
    counts = [len(strip) for strip in strips] if counts is None else counts
    starts = np.cumsum([8, *map(len, strips)]).tolist()
    entries = {256: (4, [COLUMNS]), 257: (4, [HEIGHT]), 258: (3, [bits])}
    entries |= {259: (3, [compression]), 277: (3, [1])}
    entries |= {} if kind is None else {262: (3, [kind])}
    entries |= {273: (4, starts[:-1]), 278: (4, [ROWS]), **dict(tags)}
    entries |= {279: (4, counts)} if counts else {}
    table, behind = struct.pack("<H", len(entries)), b""
    place = starts[-1] + 2 + 12 * len(entries) + 4
    for tag, (type, values) in sorted(entries.items()):
        data = struct.pack(f"<{len(values)}{'?BsHI'[type]}", *values)
        if len(data) > 4:
            behind += data
            data = struct.pack("<I", place + len(behind) - len(data))
        table += struct.pack("<HHI4s", tag, type, len(values), data)
    head = struct.pack("<2sHI", b"II", 42, starts[-1])
    path.write_bytes(head + b"".join(strips) + table + bytes(4) + behind)


def pixels(dtype):
    """Three whole strips."""
    return helpers.noise(3 * ROWS, COLUMNS, dtype=dtype)


def strips_of(gray, pack=bytes):
    return [pack(gray[top : top + ROWS].tobytes()) for top in range(0, len(gray), ROWS)]


def read(path):
    return image_files.read(path).pixels[..., 0]


def is_refused(path, words="a part of the picture is missing"):
    with pytest.raises(image_files.ImageError, match=words) as error:
        image_files.read(path)
    return len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_the_last_strip_may_have_more_rows_than_the_picture(path, compression, dtype):
    gray = pixels(dtype)
    strips = strips_of(gray, PACKED[compression])
    write(path, strips, compression, bits=8 * gray.itemsize)
    np.testing.assert_array_equal(read(path), gray[:HEIGHT])


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_single_strip_may_have_more_rows_than_the_picture(path, compression, dtype):
    gray = pixels(dtype)
    strip = PACKED[compression](gray.tobytes())
    rows = {278: (4, [len(gray)])}
    write(path, [strip], compression, bits=8 * gray.itemsize, tags=rows)
    np.testing.assert_array_equal(read(path), gray[:HEIGHT])


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("place", [0, 2])
def test_a_strip_has_too_few_rows(path, compression, place):
    gray = pixels("uint16")
    strips = strips_of(gray, PACKED[compression])
    strips[place] = PACKED[compression](gray[:5].tobytes())
    write(path, strips, compression, bits=16)
    assert is_refused(path, "is damaged")


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("kept", [0, 5])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_next_strip_is_not_read_in_place_of_what_is_missing(
    path, dtype, kept, place
):
    gray = pixels(dtype)[:HEIGHT]
    strips = strips_of(gray)
    strips[place] = strips[place][: 3 * kept * gray.itemsize]
    # So long that the file does not end before the picture.
    write(path, strips, NONE, bits=8 * gray.itemsize, tags={305: (1, [65] * 2000)})
    assert is_refused(path, "is damaged")


def test_pixels_in_one_strip_that_run_into_the_tags(path):
    gray = pixels("uint16")[:HEIGHT]
    tags = {278: (4, [HEIGHT]), 305: (1, [65] * 2000)}
    write(path, [gray.tobytes()], NONE, bits=16, tags=tags)
    np.testing.assert_array_equal(read(path), gray)
    write(path, [gray.tobytes()[:-100]], NONE, bits=16, tags=tags)
    assert is_refused(path)


@pytest.mark.parametrize("counts", [(), (0, 0, 0), (592, 300, 296), (9999, 592, 296)])
def test_numbers_of_bytes_may_be_wrong_if_the_pixels_are_there(path, counts):
    gray = pixels("uint8")[:HEIGHT]
    write(path, strips_of(gray), NONE, counts=counts)
    np.testing.assert_array_equal(read(path), gray)


@pytest.mark.parametrize("compression", [LZW, DEFLATE, PACKBITS])
def test_packed_strips_without_numbers_of_bytes(path, capfd, compression):
    gray = pixels("uint8")
    write(path, strips_of(gray, PACKED[compression]), compression, counts=())
    assert is_refused(path, "the bytes of its strips or tiles are not stated")
    assert capfd.readouterr().err == ""


# --- JPEG ---


def jpegs():
    gray = helpers.ramps(3 * ROWS, COLUMNS)[..., 0]
    strips = []
    for top in range(0, len(gray), ROWS):
        file = io.BytesIO()
        pillow.fromarray(gray[top : top + ROWS]).save(file, "JPEG")
        strips.append(file.getvalue())
    return strips


@pytest.mark.parametrize("kind", [1, None])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_a_jpeg_that_ends_early(path, capfd, end, place, kind):
    strips = jpegs()
    write(path, strips, JPEG, kind=kind)
    whole = read(path)
    strips[place] = strips[place][:-2]
    write(path, strips, JPEG, kind=kind)
    image = image_files.read(path)
    np.testing.assert_array_equal(image.pixels[..., 0], whole)
    assert image.note == "the marker of its end is missing, but no part of the picture"
    for missing in (20, len(strips[place]) - 30):
        strips[place] = jpegs()[place][:-missing] + end
        write(path, strips, JPEG, kind=kind)
        assert is_refused(path)
    assert capfd.readouterr().err == ""


def test_a_jpeg_that_ends_early_with_common_tables(path):
    picture = pillow.fromarray(helpers.ramps(HEIGHT, COLUMNS))
    picture.save(path, compression="jpeg")
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert page.jpegtables
        end = page.dataoffsets[0] + page.databytecounts[0]
    content = bytearray(path.read_bytes())
    content[end - 30 : end] = bytes(30)
    path.write_bytes(content)
    assert is_refused(path)


@pytest.mark.parametrize("kind", [1, None])
def test_common_tables_may_be_padded(path, kind):
    strips = jpegs()
    write(path, strips, JPEG, kind=kind)
    whole = read(path)
    # The tables stand between the start and the frame.
    start, end = (strips[0].index(mark) for mark in (b"\xff\xdb", b"\xff\xc0"))
    tables = b"\xff\xd8" + strips[0][start:end] + b"\xff\xd9\0\0"
    strips = [strip[:2] + strip[strip.index(b"\xff\xc0") :] for strip in strips]
    write(path, strips, JPEG, kind=kind, tags={347: (1, list(tables))})
    np.testing.assert_array_equal(read(path), whole)


# --- Strips that are left out ---


@pytest.mark.parametrize("compression", [NONE, GROUP_4, JPEG])
def test_nothing_is_read_for_strips_that_are_left_out(monkeypatch, path, compression):
    drawn = helpers.noise(HEIGHT, COLUMNS) > 160
    packed = {NONE: lambda: strips_of(pixels("uint8")), JPEG: jpegs}
    packed[GROUP_4] = lambda: faxes(drawn, GROUP_4)
    bits = 1 if compression == GROUP_4 else 8
    write(path, packed[compression](), compression, bits=bits)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        page = tiff.pages.first
        for tag, values in ((273, page.dataoffsets), (279, page.databytecounts)):
            page.tags[tag].overwrite([values[0], 0, values[2]])
    taken = []
    reader = tiff_strips._data
    monkeypatch.setattr(
        tiff_strips,
        "_data",
        lambda file, part: taken.append(part) or reader(file, part),
    )
    image = image_files.read(path)
    assert image.note.startswith("1 strips or tiles are empty")
    assert all(part.offset for part in taken)


# --- Facsimiles ---


def faxes(black, compression, **tags):
    """Strips of a picture that is True where it is black."""
    strips = []
    for top in range(0, len(black), ROWS):
        file = io.BytesIO()
        picture = pillow.fromarray(~black[top : top + ROWS])
        picture.save(file, "TIFF", compression=FAXES[compression], tiffinfo=tags)
        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            (offset,), (count,) = page.dataoffsets, page.databytecounts
            assert page.photometric == 1
        strips.append(file.getvalue()[offset : offset + count])
    return strips


@pytest.fixture(params=["dense", "with white rows"])
def drawing(request):
    drawn = helpers.noise(HEIGHT, COLUMNS) > 160
    if request.param == "with white rows":
        drawn[:] = drawn[:, ::-1] & (np.arange(HEIGHT) % 4 > 1)[:, None]
    return drawn


@pytest.mark.parametrize("kind", [1, None])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("compression", FAXES)
def test_facsimiles_that_end_early(path, drawing, compression, place, kind):
    strips = faxes(drawing, compression)
    write(path, strips, compression, bits=1, kind=kind)
    np.testing.assert_array_equal(read(path), np.where(drawing, 0, 255))
    whole = strips[place]
    for cut in (8, len(whole) // 2, len(whole) - 5):
        strips[place] = whole[:-cut]
        write(path, strips, compression, bits=1, kind=kind)
        assert is_refused(path)


@pytest.mark.parametrize("compression, seed, place", [(RLE, 14, 2), (GROUP_3, 7, 0)])
def test_facsimiles_of_which_the_last_byte_is_missing(path, compression, seed, place):
    """Other bits in its place may all give the same pixels, which are not these."""
    drawn = helpers.noise(HEIGHT, COLUMNS, seed=seed) > 160
    strips = faxes(drawn, compression)
    strips[place] = strips[place][:-1]
    write(path, strips, compression, bits=1)
    assert is_refused(path)


DAMAGED = [
    (mode, compression)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits")
    for mode in ("L", "RGB", "P", "CMYK", "YCbCr")
]


@pytest.mark.parametrize("mode, compression", [*DAMAGED, ("1", "group3")])
@pytest.mark.parametrize("what", ["cut off", "overwritten"])
def test_libtiff_says_nothing_of_damage(path, capfd, mode, compression, what):
    """It prints what it finds; of YCbCr it then gives other pixels."""
    smooth = helpers.noise(60, 70, 3, seed=1).cumsum(1, dtype=np.uint8)
    pillow.fromarray(smooth).convert(mode).save(path, compression=compression)
    with tifffile.TiffFile(path) as file:
        (start,), (size,) = (
            file.pages.first.tags[name].value
            for name in ("StripOffsets", "StripByteCounts")
        )
        count = file.pages.first.tags["StripByteCounts"].offset + 8
    content = bytearray(path.read_bytes())
    if what == "cut off":
        struct.pack_into("<I", content, count, size // 2)
    else:
        content[start + size // 3 : start + size // 3 + 40] = bytes(range(200, 240))
    path.write_bytes(content)
    try:
        read(path)
    except image_files.ImageError as error:
        assert len(str(error).splitlines()) == 1
    else:  # Nothing tells that other codes are wrong.
        assert what == "overwritten" and compression in ("group3", "packbits")
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_without_its_tables(path, capfd):
    smooth = pillow.new("YCbCr", (70, 60))
    smooth.save(path, compression="jpeg")
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags["JPEGTables"].offset
    path.write_bytes(content[:place] + b"\0\0" + content[place + 2 :])
    assert is_refused(path, "the tables of its JPEG are missing")
    assert capfd.readouterr() == ("", "")


YCBCR = {258: (3, [8, 8, 8]), 277: (3, [3]), 530: (3, [1, 1])}


@pytest.mark.parametrize("compression", [LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("more", [0, 1, 500])
def test_packed_ycbcr_may_have_more_rows_in_its_last_strip(path, compression, more):
    count = 3 * COLUMNS * np.array([ROWS, ROWS, HEIGHT - 2 * ROWS])
    parts = [bytes([80]) * n for n in count + [0, 0, more]]
    strips = [bytes(PACKED[compression](part)) for part in parts]
    write(path, strips, compression, kind=6, tags=YCBCR)
    assert image_files.read(path).pixels.shape == (HEIGHT, COLUMNS, 3)
    strips[2] = bytes(PACKED[compression](parts[2][: count[2] - 1]))
    write(path, strips, compression, kind=6, tags=YCBCR)
    assert is_refused(path)


def test_a_strip_of_ycbcr_is_not_unpacked_beyond_the_picture(path):
    strips = [zlib.compress(bytes(3 * ROWS * COLUMNS + 2**24))] * 3
    write(path, strips, DEFLATE, kind=6, tags=YCBCR)
    tracemalloc.start()
    try:
        image_files.read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**22


def test_a_checksum_of_packed_ycbcr_that_is_wrong(path):
    strips = [zlib.compress(bytes(3 * ROWS * COLUMNS))] * 3
    strips[1] = strips[1][:-1] + b"!"
    write(path, strips, DEFLATE, kind=6, tags=YCBCR)
    assert is_refused(path, "is damaged or incomplete")


def test_group_4_says_that_it_ends_early(path, drawing):
    strips = faxes(drawing, GROUP_4)
    (strips[1],) = faxes(drawing[:5], GROUP_4)
    write(path, strips, GROUP_4, bits=1)
    assert is_refused(path)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("seed, cut", [(0, 1), (2, 1), (7, 1), (12, 2)])
def test_lzw_of_which_the_last_code_is_cut_off(path, order, seed, cut):
    """In the first case this is the end alone, and nothing is missing."""
    rng = np.random.default_rng(seed)
    whole = rng.integers(0, 5, (3 * ROWS, COLUMNS)).cumsum(1).astype(np.uint16)
    strips = [imagecodecs.lzw_encode(part.tobytes()) for part in np.split(whole, 3)]
    strips[1] = strips[1][:-cut]
    if order == 2:
        strips = [bytes(imagecodecs.bitorder_decode(strip)) for strip in strips]
    tags = {266: (3, [order])}
    write(path, strips, LZW, tags=tags, bits=16)
    if seed:
        assert is_refused(path)
    else:
        np.testing.assert_array_equal(read(path), whole[:HEIGHT])


def test_group_4_needs_no_end_and_its_last_strip_may_have_more_rows(path):
    drawn = helpers.noise(3 * ROWS, COLUMNS) > 160
    strips = []
    for strip in faxes(drawn, GROUP_4):
        bits = f"{int.from_bytes(strip, 'big'):0{8 * len(strip)}b}".rstrip("0")
        assert bits.endswith(2 * "000000000001")
        bits = bits[:-24].ljust(8 * len(strip), "0")
        strips.append(int(bits, 2).to_bytes(len(strip), "big").rstrip(b"\0"))
    write(path, strips, GROUP_4, bits=1)
    np.testing.assert_array_equal(read(path), np.where(drawn[:HEIGHT], 0, 255))


def test_group_4_with_bits_in_the_other_order(path, drawing):
    strips = [imagecodecs.bitorder_decode(s) for s in faxes(drawing, GROUP_4)]
    write(path, strips, GROUP_4, bits=1, tags={266: (3, [2])})
    np.testing.assert_array_equal(read(path), np.where(drawing, 0, 255))
    strips[1] = strips[1][:-9]
    write(path, strips, GROUP_4, bits=1, tags={266: (3, [2])})
    assert is_refused(path)
