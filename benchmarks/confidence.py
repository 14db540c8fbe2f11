"""What the levels of a confidence mean: losses of super-resolution by kernels' errors.

    python benchmarks/confidence.py --images=PATH/kodakrk/hr --side=448 --scale=2

Photographs are blurred by random kernels of many kinds and shrunk, some with noise or
JPEG. Printed, as a table in Markdown, for each level: by how many dB super-resolution
with the estimated kernel stays below that with the true one, and in how many images by
at most 0.5 dB.
"""

import time

import jax
import jpeg
import numpy as np
from absl import app, flags
from scipy.stats import spearmanr

from kernelgan_jax import estimate_kernel, metrics, super_resolve
from kernelgan_jax.app.resources import machine
from kernelgan_jax.benchmark.kernel_draws import DRAWS
from kernelgan_jax.confidence_levels import LEVELS
from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import from_unit

KINDS = ("div2krk", "bicubic", "narrow", "liang", "JPEG", "noise", "unsharp")
KINDS += ("lanczos", "box", "motion", "disk", "shake")
"""`JPEG` and `noise` are of `liang`'s kernels."""

QUALITIES, NOISE_STD = (95, 90, 75), 3 / 255
"""Of JPEG, and of noise."""

CLOSE = 0.5
"""Loss that hardly shows, dB."""

_SCALE = flags.DEFINE_integer("scale", 2, "By how much the photographs are shrunk.")


def lr_image(
    hr: np.ndarray, kind: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """An LR image, uint8, and its kernel."""
    draw = DRAWS.get(kind, DRAWS["liang"])
    kernel = draw(rng, _SCALE.value, None).astype(np.float32)
    lr = downscale(hr, kernel, _SCALE.value).clip(0, 1)
    if kind == "noise":
        lr = (lr + rng.normal(0, NOISE_STD, lr.shape)).clip(0, 1)
    pixels = from_unit(lr, np.uint8)
    if kind == "JPEG":
        pixels = jpeg.compressed(pixels, int(rng.choice(QUALITIES)))
    return pixels, kernel


def rated(hr: np.ndarray, kind: str, seed: list[int]) -> tuple[str, float, float]:
    """Level, expected loss and measured loss, dB."""
    lr, kernel = lr_image(hr, kind, np.random.default_rng(seed))
    key, scale = jax.random.key(0), _SCALE.value
    found = estimate_kernel(key, lr, scale=scale)
    own = super_resolve(key, lr, found)
    best = super_resolve(key, lr, kernel, scale=scale, evidence=found.evidence)
    one, other = (metrics.psnr_y(image, hr, scale=scale) for image in (own, best))
    return found.confidence.level, found.confidence.sr_loss, other - one


def main(_: list[str]) -> None:
    rows = [
        rated(hr, kind, [11, i, j])
        for i, hr in enumerate(jpeg.hr_images(multiple=_SCALE.value))
        for j, kind in enumerate(KINDS)
        if (i + j) % 4 < 2  # Half of all.
    ]
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}, x{_SCALE.value}\n")
    print("| level | images | loss, dB: mean, median | expected | at most 0.5 dB |")
    print("|---|---|---|---|---|")
    for level in reversed(LEVELS):
        some = [row[1:] for row in rows if row[0] == level]
        expected, losses = np.array(some).reshape(-1, 2).T
        if len(some):
            close = f"{(losses <= CLOSE).sum()} of {len(some)}"
            typical = f"{losses.mean():.2f}, {np.median(losses):.2f}"
            means = f"{expected.mean():.2f}, {np.median(expected):.2f}"
            print(f"| {level} | {len(some)} | {typical} | {means} | {close} |")
    _, expected, losses = zip(*rows, strict=True)
    print(f"\nrank correlation: {spearmanr(expected, losses).statistic:.2f}")


if __name__ == "__main__":
    app.run(main)
