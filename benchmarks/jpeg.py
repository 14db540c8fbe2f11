"""Kernels and super-resolution of photographs that were compressed by JPEG, at x2.

    python benchmarks/jpeg.py --images=PATH/photos --shrink=4

Photographs are shrunk (so that they are sharp), blurred by random Gaussians, halved and
compressed. Printed, as a table in Markdown: the error of the logarithm of both
variances of the kernel (0.1: a variance too large by 10 %), gains of PSNR-Y over
bicubic enlargement in dB, and what the true kernel would give.
"""

import io
import time
from pathlib import Path

import jax
import numpy as np
from absl import app, flags
from PIL import Image

from kernelgan_jax import (
    blur_kernels,
    equivalent_gaussian,
    estimate_spectral,
    metrics,
    super_resolve,
)
from kernelgan_jax.app.resources import machine
from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize

SCALE = 2
QUALITIES = (100, 95, 90, 75, 50)
"""Without JPEG in place of 100."""

_IMAGES = flags.DEFINE_string("images", None, "A folder of photographs.", required=True)
_COUNT = flags.DEFINE_integer("count", 24, "How many of them, evenly spread.")
_SHRINK = flags.DEFINE_integer("shrink", 1, "By how much they are shrunk first.")
_SIDE = flags.DEFINE_integer("side", 512, "Largest side of the HR images, pixels.")


def hr_images(*, multiple: int = SCALE) -> list[np.ndarray]:
    """The middle of each photograph, in [0, 1]; sides are multiples of this."""
    kinds = (".jpg", ".png", ".tif")
    files = sorted(f for f in Path(_IMAGES.value).iterdir() if f.suffix in kinds)
    chosen = np.linspace(0, len(files) - 1, min(_COUNT.value, len(files)))
    images = []
    for file in (files[round(place)] for place in chosen):
        image = Image.open(file).convert("RGB").reduce(_SHRINK.value)
        sides = [min(a, _SIDE.value) // multiple * multiple for a in image.size]
        left, top = ((a - b) // 2 for a, b in zip(image.size, sides, strict=True))
        image = image.crop((left, top, left + sides[0], top + sides[1]))
        images.append(to_unit(np.asarray(image)))
    return images


def random_gaussian(rng: np.random.Generator) -> np.ndarray:
    """A Gaussian whose variances are log-uniform from 0.5 to 4 pixels^2."""
    wide, narrow = sorted(np.exp(rng.uniform(np.log(0.5), np.log(4), 2)))[::-1]
    return blur_kernels.gaussian(
        17, variances=(wide, narrow), angle=rng.uniform(0, np.pi), scale=SCALE
    ).astype(np.float32)


def log_variances(kernel: np.ndarray) -> np.ndarray:
    covariance = equivalent_gaussian.covariance(kernel, scale=SCALE)
    return np.log(np.linalg.eigvalsh(covariance))


def compressed(lr: np.ndarray, quality: int) -> np.ndarray:
    """An image, uint8, after JPEG."""
    file = io.BytesIO()
    Image.fromarray(lr).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def row(hr: np.ndarray, kernel: np.ndarray, quality: int) -> tuple[float, ...]:
    """Errors of the two log variances, gain, and gain with the true kernel."""
    lr = from_unit(np.clip(downscale(hr, kernel, SCALE), 0, 1), np.uint8)
    if quality < 100:
        lr = compressed(lr, quality)
    found, key = estimate_spectral(lr, scale=SCALE), jax.random.key(0)
    plain = np.clip(bicubic_resize(to_unit(lr), SCALE), 0, 1)
    base = metrics.psnr_y(plain, hr, scale=SCALE)
    gains = (
        metrics.psnr_y(made, hr, scale=SCALE) - base
        for made in (
            super_resolve(key, lr, found),
            super_resolve(key, lr, kernel, scale=SCALE, evidence=found.evidence),
        )
    )
    return *(log_variances(found.kernel) - log_variances(kernel)), *gains


def main(argv: list[str]) -> None:
    del argv
    rng, images = np.random.default_rng(11), hr_images()
    pairs = [(image, random_gaussian(rng)) for image in images]
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}\n")
    print(
        f"| {len(pairs)} images | log variance: narrow, wide | root mean square "
        "| gain: mean | worst | true kernel |\n|---|---|---|---|---|---|"
    )
    for quality in QUALITIES:
        rows = np.array([row(*pair, quality) for pair in pairs])
        narrow, wide, gain, true = rows.mean(0)
        spread = np.sqrt((rows[:, :2] ** 2).mean())
        name = f"JPEG {quality}" if quality < 100 else "as it is"
        print(
            f"| {name} | {narrow:+.2f}, {wide:+.2f} | {spread:.2f} "
            f"| {gain:+.2f} | {rows[:, 2].min():+.2f} | {true:+.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
