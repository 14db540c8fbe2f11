"""Super-resolution where something is wrong: noise, JPEG, wrong kernels, resamplers.

    python benchmarks/robustness.py --data=PATH/kodakrk --sr=deep_wiener

For the images of a test set (`kernelgan-benchmark degrade`) at x2, PSNR-Y in dB of
bicubic enlargement and gains over it, as a table in Markdown:

- noise or JPEG is added to the LR image, and the kernel estimated from it;
- the true kernel is made too narrow or too wide by 30 %, and given as an estimate that
  is as certain as a good one (relative standard deviation of its width 0.09), or
  as one of low confidence;
- the HR image is downscaled with the kernels of resamplers, and super-resolved with
  the estimated kernel and with that kernel itself.
"""

import io
import time
from pathlib import Path

import jax
import numpy as np
from absl import app, flags
from PIL import Image

from kernelgan_jax import (
    KernelEstimate,
    blur_kernels,
    estimate_spectral,
    kernels,
    metrics,
    super_resolve,
)
from kernelgan_jax.app.resources import machine
from kernelgan_jax.benchmark.testset import read_test_set
from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution.deep_wiener import DeepWienerConfig

SCALE = 2

_DATA = flags.DEFINE_string("data", None, "The test set.", required=True)
_NAMES = flags.DEFINE_list("images", [], "Names of images; all if empty.")
_SR = flags.DEFINE_string("sr", "deep_wiener", "The method.")

LEVELS = {"noise": (2, 5, 10), "JPEG": (90, 75, 50)}
RESAMPLERS = ("bicubic", "lanczos", "box")


def degraded(lr: np.ndarray, kind: str, level: int) -> np.ndarray:
    """An LR image, uint8, with noise or after JPEG."""
    if kind == "noise":
        rng = np.random.default_rng(0)
        return from_unit(to_unit(lr) + rng.normal(0, level / 255, lr.shape), np.uint8)
    file = io.BytesIO()
    Image.fromarray(lr).save(file, "JPEG", quality=level)
    return np.asarray(Image.open(file))


def gain(lr: np.ndarray, hr: np.ndarray, estimate: object, **options: object) -> tuple:
    """PSNR-Y of bicubic enlargement, and the gain over it."""
    options = {"method": _SR.value} | options
    key = jax.random.key(0)
    made = super_resolve(key, lr, estimate, scale=SCALE, **options)  # type: ignore
    plain = np.clip(bicubic_resize(to_unit(lr), SCALE), 0, 1)
    base = metrics.psnr_y(plain, hr, scale=SCALE)
    return base, metrics.psnr_y(made, hr, scale=SCALE) - base


def rows_of(lr: np.ndarray, hr: np.ndarray, true: np.ndarray) -> dict[str, tuple]:
    """All conditions for one image."""
    rows = {"as it is": gain(lr, hr, estimate_spectral(lr, scale=SCALE))}
    for kind, levels in LEVELS.items():
        for level in levels:
            bad = degraded(lr, kind, level)
            rows[f"{kind} {level}"] = gain(bad, hr, estimate_spectral(bad, scale=SCALE))
    for name, factor in (("too narrow", 0.7), ("too wide", 1.3)):
        kernel = kernels.centre(kernels.scale_width(true, factor), SCALE)
        if _SR.value == "deep_wiener":
            config = DeepWienerConfig(kernel_std=0.09)
            rows[f"{name}, certain"] = gain(lr, hr, kernel, config=config)
        rows[f"{name}, low"] = gain(lr, hr, KernelEstimate(kernel, SCALE))
    for name in RESAMPLERS:
        kernel = kernels.centre(getattr(blur_kernels, name)(SCALE), SCALE)
        small = from_unit(downscale(hr, kernel.astype(np.float32), SCALE), np.uint8)
        found = estimate_spectral(small, scale=SCALE)
        rows[f"{name}, estimated"] = gain(small, hr, found)
        rows[f"{name}, its kernel"] = gain(small, hr, kernel)
    return rows


def main(argv: list[str]) -> None:
    del argv
    cases = read_test_set(Path(_DATA.value), SCALE, names=_NAMES.value).cases
    found = [rows_of(case.lr(), to_unit(case.hr()), case.kernel()) for case in cases]
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}, `--sr={_SR.value}`\n")
    print(f"| {len(cases)} images | bicubic | gain: mean | worst |\n|---|---|---|---|")
    for name in found[0]:
        base, gains = np.array([rows[name] for rows in found]).T
        cells = f"{base.mean():.2f} | {gains.mean():+.2f} | {gains.min():+.2f}"
        print(f"| {name} | {cells} |")


if __name__ == "__main__":
    app.run(main)
