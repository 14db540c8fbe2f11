"""How often camera shake is found, and how often other blur is taken for it, at x2.

    python benchmarks/camera_shake.py --images=PATH/photos --shrink=4 --count=74

Photographs are shrunk (so that they are sharp), blurred by random kernels of several
kinds and halved; some get noise, JPEG or a subtitle. Printed, as a table in Markdown:
how many are taken for camera shake, and what their kernels gain over those of the best
family, in dB of kernel PSNR.
"""

import time

import numpy as np
from absl import app
from drawings import text
from jpeg import SCALE, compressed, hr_images, random_gaussian
from PIL import Image

from kernelgan_jax import metrics
from kernelgan_jax.app.resources import machine
from kernelgan_jax.benchmark.kernel_draws import DRAWS
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral import camera_shake
from kernelgan_jax.estimators.spectral.analysis import analyse
from kernelgan_jax.pixels import from_unit, to_unit

QUALITY, NOISE_STD = 90, 3 / 255
"""Of JPEG, and of noise."""

KINDS = ("shake", "Gaussian", "disk", "motion", "unsharp", "bicubic")
CHANGES = ("noise", "JPEG", "subtitle")
"""What is done to images of the first two kinds, too."""


def kernel_of(kind: str, rng: np.random.Generator) -> np.ndarray:
    if kind == "Gaussian":
        return random_gaussian(rng)
    return DRAWS[kind](rng, SCALE, None).astype(np.float32)


def changed(lr: np.ndarray, change: str, rng: np.random.Generator) -> np.ndarray:
    """An LR image, uint8, with noise, after JPEG, or with a subtitle."""
    if change == "noise":
        return from_unit(to_unit(lr) + rng.normal(0, NOISE_STD, lr.shape), np.uint8)
    if change == "JPEG":
        return compressed(lr, QUALITY)
    if change == "subtitle":
        return np.asarray(text(18, "white")(Image.fromarray(lr)))
    return lr


def gain(lr: np.ndarray, true: np.ndarray) -> float | None:
    """What a path gains over the best family; None if no path is taken."""
    found = analyse(lr, scale=SCALE)
    if found.family != camera_shake.NAME:
        return None
    # Without rare kernels only the families are left.
    usual = analyse(lr, scale=SCALE, rare=False)
    own, other = (
        metrics.kernel_psnr(kernel, true, scale=SCALE)
        for kernel in (found.kernel, usual.kernel)
    )
    return own - other


def main(_: list[str]) -> None:
    images = hr_images()
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}\n")
    print("| blur | of images | taken for shake | gain, dB: mean, worst, best |")
    print("|---|---|---|---|")
    for change in ("", *CHANGES):
        for kind in KINDS[:2] if change else KINDS:
            rng, gains = np.random.default_rng(0), []
            for hr in images:
                kernel = kernel_of(kind, rng)
                lr = from_unit(downscale(hr, kernel, SCALE).clip(0, 1), np.uint8)
                bad = changed(lr, change, np.random.default_rng(1))
                gains.append(gain(bad, kernel))
            paths = [each for each in gains if each is not None]
            told = f"{len(images)} | {len(paths)}"
            values = (np.mean(paths), min(paths), max(paths)) if paths else ()
            name = f"{kind}, {change}" if change else kind
            cells = ", ".join(f"{value:+.1f}" for value in values)
            print(f"| {name} | {told} | {cells} |", flush=True)


if __name__ == "__main__":
    app.run(main)
