"""Makes the pictures of docs/gallery.md: crops at 100 %, before, after, and the kernel.

    python docs/figures/gallery.py PHOTOS [NAME ...]

PHOTOS is the folder of the photographs that the page names, NAME a name of a picture.
Those of `DEGRADED` are first downscaled by 2 with a random kernel; their second row is
the image that the command gets, the photograph, and the true kernel.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from kernelgan_jax import (
    blur_kernels,
    degradation,
    equivalent_gaussian,
    kernels,
    metrics,
    resize,
)
from kernelgan_jax.__main__ import main as command
from kernelgan_jax.app.images import image_files
from kernelgan_jax.kernel_picture import ellipse
from kernelgan_jax.pixels import from_unit, to_unit

FIGURES = Path(__file__).parent / "gallery"
RESULTS = Path("results/gallery")
HEIGHT, WIDTH, KERNEL, GAP = 300, 270, 130, 5  # Together narrower than a page.
SIDE = 13  # Pixels of the frame around a kernel's middle that is drawn.

CROPS = {  # Each picture's photograph, and where its crop begins in the enlarged one.
    "skyline": ("BuddiesOfBudgie_san-francisco-skyline.jpg", 1390, 2450),
    "daisies": ("BuddiesOfBudgie_fragrant-chamomile.jpg", 1300, 2150),
    "facade": ("GalliumOS_galliumos-3-0-architectural.jpg", 1130, 1000),
    "pier": ("elementary_Jonas-Nilsson-Lee.jpg", 690, 640),
    "frost": ("getsolus_blue-wallpaper.jpg", 800, 1200),
    "lake": ("pop-os_sean-afnan-244576.jpg", 1850, 2450),
    "skyline_x2": ("BuddiesOfBudgie_san-francisco-skyline.jpg", 350, 420),
    "lake_x2": ("pop-os_sean-afnan-244576.jpg", 360, 420),
}
DEGRADED = ("skyline_x2", "lake_x2")


def main(photos: Path, names: list[str], figures: Path = FIGURES) -> None:
    figures.mkdir(parents=True, exist_ok=True)
    for name in names or CROPS:
        file, row, column = CROPS[name]
        path, truth, true_kernel = photos / file, None, None
        if name in DEGRADED:
            truth = to_unit(image_files.read(path).pixels[500:1300, 700:1900])
            true_kernel = blur_kernels.random_gaussian(
                np.random.default_rng(DEGRADED.index(name)), 11, scale=2
            )
            path = RESULTS / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            lr = degradation.downscale(truth, true_kernel, 2)
            Image.fromarray(from_unit(lr, np.uint8)).save(path)
        command([str(path), f"--output_dir={RESULTS}", "--nofigures"])
        folder = RESULTS / path.stem
        image = to_unit(image_files.read(path).pixels)
        before = np.clip(resize.bicubic_resize(image, 2), 0, 1)
        after = to_unit(image_files.read(folder / "sr_x2.png").pixels)
        rows = [(before, after, np.load(folder / "kernel_x2.npy"))]
        if truth is not None:
            rows.append((image.repeat(2, 0).repeat(2, 1), truth, true_kernel))
            found = [metrics.psnr_y(x, truth, scale=2) for x in (before, after)]
            print("PSNR-Y, dB: bicubic {:.2f}, result {:.2f}".format(*found))
        save(figures / f"{name}.jpg", rows, row, column)


def save(path: Path, rows: list, row: int, column: int) -> None:
    """Saves rows of two crops and a kernel as one picture."""
    size = 2 * WIDTH + KERNEL + 2 * GAP, len(rows) * (HEIGHT + GAP) - GAP
    page = Image.new("RGB", size, "white")
    for number, (left, right, kernel) in enumerate(rows):
        top = number * (HEIGHT + GAP)
        for place, picture in enumerate((left, right)):
            crop = picture[row : row + HEIGHT, column : column + WIDTH]
            pixels = Image.fromarray(from_unit(crop, np.uint8))
            page.paste(pixels, (place * (WIDTH + GAP), top))
        page.paste(drawing(kernel), (2 * (WIDTH + GAP), top))
    page.save(path, quality=90, subsampling=0)


def drawing(kernel: np.ndarray) -> Image.Image:
    """The kernel in colour with its ellipse of one standard deviation."""
    row, column = np.round(kernels.centre_of_mass(kernel)).astype(int)
    frame = np.pad(kernel, SIDE)[row + SIDE // 2 + 1 :, column + SIDE // 2 + 1 :]
    frame = frame[:SIDE, :SIDE]
    colours = matplotlib.colormaps["magma"](frame / frame.max(), bytes=True)
    picture = Image.fromarray(colours[..., :3])
    picture = picture.resize((KERNEL, KERNEL), Image.Resampling.NEAREST)
    middle = kernels.centre_of_mass(frame)[:, None] + 0.5
    around = ellipse(equivalent_gaussian.covariance(kernel, scale=2))
    line = KERNEL / SIDE * (middle + around)
    ImageDraw.Draw(picture).line([tuple(p[::-1]) for p in line.T], "white", 2)
    return picture


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
