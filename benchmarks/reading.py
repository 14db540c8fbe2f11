"""Memory that reading image files takes, as a multiple of the pixels that come out.

    python benchmarks/reading.py

Each kind of file is written and read in a child process of its own, whose peak memory
is compared with that before the read. The pixels are blocks of noise.
"""

import argparse
import io
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image as pillow

from kernelgan_jax.app import resources
from kernelgan_jax.app.images import image_files


def blocks(side: int, channels: int, dtype: type = np.uint8) -> np.ndarray:
    """A square image of blocks of 8 x 8 equal pixels; `H x W` for one channel."""
    small = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, channels))
    pixels = np.repeat(np.repeat(small, 8, 0), 8, 1).astype(np.float64) / 255
    top = 1.0 if np.dtype(dtype).kind == "f" else float(np.iinfo(dtype).max)
    return (pixels * top).astype(dtype).squeeze()


def by_pillow(kind: str, pixels: np.ndarray, mode: str = "", **options) -> bytes:
    """A file that Pillow writes."""
    image, file = pillow.fromarray(pixels), io.BytesIO()
    if mode:
        image = image.convert(mode)
    image.save(file, kind, **options)
    return file.getvalue()


def by_tifffile(pixels: np.ndarray, **options) -> bytes:
    """A TIFF that tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def by_heif(pixels: np.ndarray) -> bytes:
    """A HEIC, for which pillow-heif is needed."""
    import pillow_heif

    file, (height, width, _) = io.BytesIO(), pixels.shape
    encoded = pillow_heif.from_bytes("RGB", (width, height), pixels.tobytes())
    encoded.save(file, quality=60)
    return file.getvalue()


def header(text: str, pixels: np.ndarray) -> bytes:
    """A Netpbm file or PFM; `{}` in its header stands for width and height."""
    return text.format(f"{pixels.shape[1]} {pixels.shape[0]}").encode() + bytes(pixels)


def kinds(side: int) -> dict[str, Callable[[], bytes]]:
    """For each kind of file: a function that makes one."""
    u16, f32 = np.uint16, np.float32
    gray, rgb, rgba = (lambda c=c: blocks(side, c) for c in (1, 3, 4))
    deep = lambda c: blocks(side, c, u16)  # noqa: E731
    frames = [pillow.fromarray(blocks(side, 3)).rotate(90 * i) for i in (1, 2)]
    more = {"save_all": True, "append_images": frames}
    turned = pillow.Exif()
    turned[0x112] = 6
    xl = imagecodecs.jpegxl_encode
    return {
        "PNG RGB": lambda: by_pillow("PNG", rgb()),
        "PNG gray": lambda: by_pillow("PNG", gray()),
        "PNG RGBA": lambda: by_pillow("PNG", rgba()),
        "PNG palette": lambda: by_pillow("PNG", rgb(), "P"),
        "PNG 16 bits": lambda: imagecodecs.png_encode(deep(3), level=1),
        "PNG 16 bits, alpha": lambda: imagecodecs.png_encode(deep(4), level=1),
        "JPEG RGB": lambda: by_pillow("JPEG", rgb()),
        "JPEG turned": lambda: by_pillow("JPEG", rgb(), exif=turned),
        "JPEG progressive": lambda: by_pillow("JPEG", rgb(), progressive=True),
        "JPEG CMYK": lambda: by_pillow("JPEG", rgb(), "CMYK"),
        "TIFF RGB": lambda: by_pillow("TIFF", rgb()),
        "TIFF RGB, LZW": lambda: by_pillow("TIFF", rgb(), compression="tiff_lzw"),
        "TIFF CMYK": lambda: by_pillow("TIFF", rgb(), "CMYK"),
        "TIFF 16 bits": lambda: by_tifffile(deep(3)),
        "TIFF 16 bits, big endian": lambda: by_tifffile(deep(3), byteorder=">"),
        "TIFF 16 bits, alpha": lambda: by_tifffile(
            deep(4), photometric="rgb", extrasamples=["unassalpha"], compression="lzw"
        ),
        "TIFF 8 bands, planes": lambda: by_tifffile(
            np.moveaxis(blocks(side, 8, u16), -1, 0),
            photometric="minisblack",
            planarconfig="separate",
        ),
        "TIFF float, tiles": lambda: by_tifffile(
            blocks(side, 3, f32), predictor=True, compression="zlib", tile=(256, 256)
        ),
        "BMP": lambda: by_pillow("BMP", rgb()),
        "GIF": lambda: by_pillow("GIF", gray()),
        "GIF of 3 frames": lambda: by_pillow("GIF", rgb(), **more),
        "WebP": lambda: by_pillow("WEBP", rgb(), method=0),
        "WebP RGBA, lossless": lambda: by_pillow(
            "WEBP", rgba(), method=0, lossless=True, quality=0
        ),
        "WebP of 3 frames": lambda: by_pillow("WEBP", rgb(), method=0, **more),
        "AVIF": lambda: imagecodecs.avif_encode(rgb(), speed=10),
        "AVIF 10 bits": lambda: imagecodecs.avif_encode(
            deep(3) >> 6, speed=10, bitspersample=10
        ),
        "JPEG XL": lambda: xl(rgb(), effort=1),
        "JPEG XL lossless": lambda: xl(rgb(), effort=1, lossless=True),
        "JPEG XL gray": lambda: xl(gray(), effort=1),
        "JPEG XL gray, lossless": lambda: xl(gray(), effort=1, lossless=True),
        "JPEG XL float": lambda: xl(blocks(side, 3, f32), effort=1),
        "HEIC": lambda: by_heif(rgb()),
        "PPM": lambda: header("P6\n{}\n255\n", rgb()),
        "PPM 16 bits": lambda: header("P6\n{}\n65535\n", deep(3).byteswap()),
        "PFM": lambda: header("PF\n{}\n-1.0\n", blocks(side, 3, f32)),
    }


def measure(path: Path, answer) -> None:
    """Sends the peak of a read as a multiple of the pixels, or the error."""
    image_files.read(path.with_name("small.image"))  # What stays loaded is not counted.
    before = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    with resources.peak_memory() as peak:
        image = image_files.read(path)
        most = (peak() or 0) * 2**20
    size = image.pixels.nbytes + (0 if image.alpha is None else image.alpha.nbytes)
    answer.put((most - before) / size)


def main() -> None:
    """Prints a row for each kind of file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4000, help="multiple of 8, pixels")
    side = parser.parse_args().side
    spawn = multiprocessing.get_context("spawn")
    small = kinds(64)
    with tempfile.TemporaryDirectory() as folder:
        path, answer = Path(folder) / "a.image", spawn.SimpleQueue()
        for name, make in kinds(side).items():
            path.write_bytes(make())
            path.with_name("small.image").write_bytes(small[name]())
            child = spawn.Process(target=measure, args=(path, answer))
            child.start()
            print(f"| {name} | {answer.get():.1f} |", flush=True)
            child.join()


if __name__ == "__main__":
    main()
