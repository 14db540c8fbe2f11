"""What an image declares is bounded before it is decoded."""

import io
import math
import struct

import helpers
import imagecodecs
import numpy as np
import pytest
from PIL import Image as pillow

from kernelgan_jax.app import image_files, memory

PIXELS = helpers.noise(6, 10, 3)
SIDES = (10, 6)
DEEP = helpers.noise(6, 10, 4, dtype=np.uint16)


def encoded(kind, pixels=PIXELS, **options):
    file = io.BytesIO()
    pillow.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def of(data):
    return memory.declared(io.BytesIO(data))


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
    ],
)
def test_what_files_declare(data, bits, compression):
    assert of(data) == (*SIDES, bits, compression)
    for cut in range(0, min(len(data), 200), 7):
        found = of(data[:cut])
        assert found is None or found[:2] == SIDES or 0 in found[:2]


@pytest.mark.parametrize("data", [b"", b"P6 10 6 255\n", b"rubbish" * 20, b"BM" * 40])
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
    for kind in ("PNG", "TIFF", "JPEG", "BMP", "WEBP"):
        path = tmp_path / f"a.{kind.lower()}"
        path.write_bytes(encoded(kind))
        with pytest.raises(image_files.ImageError, match="has 10 x 6 pixels: it needs"):
            image_files.read(path)


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
