"""What an image declares is bounded before it is decoded."""

import io
import math
import struct

import helpers
import imagecodecs
import numpy as np
import pytest
from PIL import Image as pillow

from kernelgan_jax.app import memory
from kernelgan_jax.app.images import declared, image_files

PIXELS = helpers.noise(6, 10, 3)
SIDES = (10, 6)
OTHER = pillow.fromarray(255 - PIXELS)
TEN_BITS = {"bitspersample": 10}
DEEP = helpers.noise(6, 10, 4, dtype=np.uint16)


def encoded(kind, pixels=PIXELS, **options):
    file = io.BytesIO()
    pillow.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def of(data):
    return declared.read(io.BytesIO(data))


def box(kind, *content):
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def in_parts(jpegxl):
    """A JPEG XL in a container, its headers in two boxes."""
    parts = (bytes(4), jpegxl[:3]), (b"\x80\0\0\1", jpegxl[3:])
    return box(b"JXL ", b"\r\n\x87\n") + b"".join(box(b"jxlp", *p) for p in parts)


@pytest.mark.parametrize(
    "data, bits, compression",
    [
        (encoded("PNG"), 24, "deflate"),
        (imagecodecs.png_encode(DEEP), 64, "deflate"),
        (encoded("TIFF"), 24, "none"),
        (encoded("TIFF", compression="tiff_lzw"), 24, "lzw"),
        (encoded("TIFF", compression="packbits"), 24, "packbits"),
        (encoded("TIFF", big_tiff=True), 24, "none"),
        (imagecodecs.tiff_encode(PIXELS.astype(">u2"), byteorder=">"), 48, "none"),
        (encoded("JPEG"), 24, ""),
        (encoded("JPEG", exif=b"Exif\0\0" + bytes(300)), 24, ""),
        (encoded("BMP"), 24, "none"),
        (encoded("GIF", PIXELS[..., 0]), 8, "lzw"),
        (encoded("WEBP"), 32, ""),
        (encoded("WEBP", lossless=True), 32, ""),
        (encoded("WEBP", exif=bytes(9)), 32, ""),
        (encoded("WEBP", save_all=True, append_images=[OTHER]), 48, ""),
        (encoded("AVIF"), 32, ""),
        (imagecodecs.avif_encode(DEEP >> 4, bitspersample=12), 64, ""),
        (imagecodecs.jpegxl_encode(PIXELS), 24, ""),
        (imagecodecs.jpegxl_encode(PIXELS[..., 0], lossless=True), 8, ""),
        (imagecodecs.jpegxl_encode(DEEP, usecontainer=True), 64, ""),
        (imagecodecs.jpegxl_encode(PIXELS / np.float32(255)), 96, ""),
        (in_parts(imagecodecs.jpegxl_encode(DEEP >> 6, **TEN_BITS)), 64, ""),
        (imagecodecs.jpegxl_encode(DEEP[..., 0][None].repeat(2, 0)), 16, ""),
        (encoded("PPM"), 24, "none"),
        (b"P5 # a\n10 6 4095\n" + bytes(120), 16, "none"),
        (b"P1 10 6\n" + 60 * b"1", 8, "none"),
        (b"P4\n10 6\n" + bytes(12), 8, ""),
        (b"PF\n10 6\n-1.0\n" + bytes(720), 96, "none"),
        (b"P7\nHEIGHT 6\nWIDTH 10\nDEPTH 4\nMAXVAL 999\nENDHDR\n", 64, "none"),
        (imagecodecs.jpegls_encode(DEEP[..., :3]), 48, ""),
        (imagecodecs.jpeg8_encode(DEEP[..., :3] >> 4, bitspersample=12), 36, ""),
    ],
)
def test_what_files_declare(data, bits, compression):
    assert of(data) == (*SIDES, bits, compression)
    for cut in range(0, min(len(data), 200), 7):
        found = of(data[:cut])
        assert found is None or found[:2] == SIDES or 0 in found[:2]


def test_heic_declares_its_largest_picture():
    tile, whole = (box(b"ispe", struct.pack(">III", 0, *s)) for s in ((5, 5), SIDES))
    depths = box(b"pixi", bytes([0, 0, 0, 0, 3, 10, 10, 10]))
    none = box(b"pixi", bytes(5))
    ipco = box(b"iprp", box(b"ipco", tile, depths, none, whole, tile))
    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    assert of(head + box(b"free") + box(b"meta", bytes(4), ipco)) == (*SIDES, 64, "")
    assert of(head + box(b"meta", bytes(4))) is None
    endless = struct.pack(">I4s", 0, b"meta") + bytes(4) + ipco
    assert of(head + endless)[:2] == SIDES


@pytest.mark.parametrize(
    "data", [b"", b"P6 10 6 255\n", b"rubbish" * 20, b"BM" * 40, b"\xff\n\xff"]
)
def test_what_is_not_known_is_left_to_the_decoder(data):
    assert memory.problem(io.BytesIO(data), len(data), max_pixels=10**9) is None


def wide(data, width):
    """A TIFF that says it is wider than it is."""
    at = data.index(struct.pack("<HH", 256, 3)) if struct.pack(
        "<HH", 256, 3) in data else data.index(struct.pack("<HH", 256, 4))  # fmt: skip
    return data[: at + 2] + struct.pack("<HII", 4, 1, width) + data[at + 12 :]


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_deflate"])
def test_a_small_file_of_a_huge_image_is_refused_at_once(tmp_path, compression):
    (tmp_path / "a.tif").write_bytes(
        wide(encoded("TIFF", compression=compression), 9_000_000)
    )
    with pytest.raises(image_files.ImageError, match="it declares 9000000 x"):
        image_files.read(tmp_path / "a.tif")


def test_an_image_that_does_not_fit_is_refused_before_it_is_decoded(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available_memory", lambda: 2.4 * PIXELS.size)
    monkeypatch.setattr(image_files, "decode", lambda *_: pytest.fail("it was decoded"))
    files = {kind: encoded(kind) for kind in ("PNG", "TIFF", "JPEG", "BMP", "AVIF")}
    files["PFM"] = b"PF\n10 6\n-1.0\n" + bytes(720)
    files["JXL"] = imagecodecs.jpegxl_encode(PIXELS)
    for kind, data in files.items():
        path = tmp_path / f"a.{kind.lower()}"
        path.write_bytes(data)
        with pytest.raises(image_files.ImageError, match="has 10 x 6 pixels: it needs"):
            image_files.read(path)


def test_a_jpeg_xl_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    data = b"\xff\x0a" + (0b11 << 1 | 10**5 << 3 | 1 << 33).to_bytes(9, "little")
    assert of(data)[:2] == (10**5 + 1, 10**5 + 1)
    (tmp_path / "a.jxl").write_bytes(data)
    with pytest.raises(image_files.ImageError, match="has more than 1,000,000,000 pix"):
        image_files.read(tmp_path / "a.jxl")


@pytest.mark.parametrize("kind", ["TIFF", "AVIF"])
def test_later_frames_count_as_well(tmp_path, monkeypatch, kind):
    path = tmp_path / f"a.{kind.lower()}"
    if kind == "TIFF":
        first, second = (pillow.fromarray(PIXELS[:side, :side]) for side in (2, 6))
        first.save(path, save_all=True, append_images=[second])
    else:
        path.write_bytes(imagecodecs.avif_encode(np.stack(4 * [DEEP >> 6]), **TEN_BITS))
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(
        memory, "available_memory", lambda: 260 if kind == "TIFF" else 2000
    )
    if kind == "TIFF":
        assert image_files.read(path).pixels.shape == (2, 2, 3)
    with pytest.raises(image_files.ImageError, match="it needs"):
        image_files.read(path, frame=1)


def test_a_tile_counts_whole():
    data = encoded("TIFF")
    at = data.index(struct.pack("<HH", 278, 3)) if struct.pack(
        "<HH", 278, 3) in data else data.index(struct.pack("<HH", 278, 4))  # fmt: skip
    tiled = data[:at] + struct.pack("<HHII", 322, 4, 1, 10**6) + data[at + 12 :]
    assert of(tiled).width == 10**6


V1, V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
LIMITS = {
    "nothing": ({}, math.inf),
    "none": ({f"{V2}/memory.max": "max", f"{V2}/memory.current": "1"}, math.inf),
    "root": ({f"{V2}/memory.max": "100", f"{V2}/memory.current": "30"}, 70),
    "own": (
        {
            f"{V2}/a/memory.max": "100",
            f"{V2}/a/memory.current": "120",
            "/proc/self/cgroup": "0::/a\n",
        },
        0,
    ),
    "version 1": (
        {
            f"{V1}/b/memory.limit_in_bytes": "100",
            f"{V1}/b/memory.usage_in_bytes": "1",
            "/proc/self/cgroup": "5:cpu:/c\n4:memory:/b\n",
        },
        99,
    ),
    "machine": ({"/proc/meminfo": "MemAvailable: 3 kB\n"}, 3072),
}


@pytest.mark.parametrize("content, free", LIMITS.values(), ids=LIMITS)
def test_limits_of_containers_count(monkeypatch, content, free):
    def opened(path):
        if path not in content:
            raise FileNotFoundError(path)
        return io.StringIO(content[path])

    monkeypatch.setattr("builtins.open", opened)
    assert memory.available_memory() == free
