"""What text, lines and logos that were drawn on a picture cost the rest of it, at x2.

    python benchmarks/drawings.py --images=PATH/photos --shrink=3

Photographs are shrunk (so that they are sharp), blurred by one Gaussian and halved;
then something is drawn on them. Printed, as a table in Markdown: the PSNR that the
super-resolved image loses by it more than 3 LR pixels away, in dB, and the covariance
error of the kernel.
"""

from collections.abc import Callable

import jax
import numpy as np
from absl import app, flags
from jpeg import compressed, hr_images
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import maximum_filter

from kernelgan_jax import (
    blur_kernels,
    metrics,
    super_resolve,
)
from kernelgan_jax.app.resources import machine
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.run import estimate_kernel
from kernelgan_jax.pixels import from_unit

AWAY = 3
"""What is nearer to drawn pixels does not count, LR pixels."""

WORDS = "I never said that you should go there alone, did I?"

_QUALITY = flags.DEFINE_integer("quality", 0, "Quality of JPEG at the end; 0: none.")


def text(size: int, colour: str, *, rim: str = "", share: float = 1.0) -> Callable:
    """Draws two lines of text below the middle, with or without a rim."""

    def draw(image: Image.Image) -> Image.Image:
        drawn, lines = image.copy(), (WORDS[:29], WORDS[29:])
        for row, words in enumerate(lines):
            ImageDraw.Draw(drawn).text(
                (image.width // 2, round(0.75 * image.height + 1.3 * size * row)),
                words,
                fill=colour,
                font=ImageFont.load_default(size),
                anchor="mt",
                stroke_width=1 if rim else 0,
                stroke_fill=rim or None,
            )
        return Image.blend(image, drawn, share)

    return draw


def date(image: Image.Image) -> Image.Image:
    drawn, font = image.copy(), ImageFont.load_default(13)
    corner = (image.width - 8, image.height - 8)
    draw = ImageDraw.Draw(drawn)
    draw.text(corner, "2024 11 28", fill=(255, 140, 0), font=font, anchor="rb")
    return drawn


def logo(image: Image.Image) -> Image.Image:
    drawn, font = image.copy(), ImageFont.load_default(16)
    draw = ImageDraw.Draw(drawn)
    draw.ellipse((16, 10, 60, 54), fill=(210, 30, 40))
    draw.text((24, 20), "TV2", fill="white", font=font)
    return drawn


def grid(step: int, colour: str, *, soft: bool = False) -> Callable:
    """Draws lines of one pixel; soft ones lie between pixels."""

    def draw(image: Image.Image) -> Image.Image:
        fine, wide = (4, 5) if soft else (1, 1)
        mask = Image.new("L", (fine * image.width, fine * image.height))
        lines = ImageDraw.Draw(mask)
        start = fine * step // 2 + (fine // 2)
        for x in range(start, mask.width, fine * step):
            lines.line((x, 0, x, mask.height), fill=255, width=wide)
        for y in range(start, mask.height, fine * step):
            lines.line((0, y, mask.width, y), fill=255, width=wide)
        drawn = image.copy()
        drawn.paste(colour, (0, 0, *image.size), mask.reduce(fine))
        return drawn

    return draw


DRAWINGS = {
    "white subtitle, 18 pixels high": text(18, "white"),
    "the same with a dark rim": text(18, "white", rim="black"),
    "white text, 12 pixels high": text(12, "white"),
    "black text, 12 pixels high": text(12, "black"),
    "half-transparent white text, 20 pixels high": text(20, "white", share=0.5),
    "a date, 13 pixels high": date,
    "a logo": logo,
    "a grid of white lines, 40 pixels apart": grid(40, "white"),
    "the same with soft edges": grid(40, "white", soft=True),
    "a grid of red lines, 24 pixels apart": grid(24, "red"),
}


def saved(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return compressed(pixels, _QUALITY.value) if _QUALITY.value else pixels


def enlarged(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The super-resolved image and its estimated kernel."""
    key = jax.random.key(0)
    found = estimate_kernel(key, pixels, scale=2)
    return super_resolve(key, pixels, found), found.kernel


def main(_: list[str]) -> None:
    print(machine())
    kernel = blur_kernels.gaussian(13, variances=(2.2, 1.1), angle=0.6, scale=2)
    images = hr_images()
    losses = {name: [] for name in ("nothing", *DRAWINGS)}
    errors = {name: [] for name in losses}
    for hr in images:
        lr = Image.fromarray(from_unit(downscale(hr, kernel, 2), np.uint8))
        plain, found = enlarged(saved(lr))
        losses["nothing"].append(0.0)
        errors["nothing"].append(metrics.covariance_error(found, kernel))
        for name, draw in DRAWINGS.items():
            drawn = draw(lr)
            result, found = enlarged(saved(drawn))
            changed = (np.asarray(drawn) != np.asarray(lr)).any(axis=2)
            away = ~maximum_filter(changed, 2 * AWAY + 1).repeat(2, 0).repeat(2, 1)
            error, least = (((x - hr)[away] ** 2).mean() for x in (result, plain))
            losses[name].append(10 * np.log10(error / least))
            errors[name].append(metrics.covariance_error(found, kernel))
    print(f"| {len(images)} images | PSNR lost, dB: mean, worst | covariance error |")
    print("|---|---|---|")
    for name, lost in losses.items():
        print(
            f"| {name} | {np.mean(lost):.2f}, {np.max(lost):.2f} "
            f"| {np.mean(errors[name]):.2f} |"
        )


if __name__ == "__main__":
    app.run(main)
