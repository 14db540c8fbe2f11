"""A map of kernels against one kernel, on photographs whose blur varies.

    python benchmarks/varying.py --hr=PHOTOS [--grid=3x4] [--scale=2]

Each photograph is downscaled with Gaussians that grow from the middle to the corners,
longer along the radius (`lens`), or from left to right (`defocus`). Printed are the
error of the widths of the map and of the parts by themselves, and the PSNR-Y of
super-resolution with one kernel, the map, and the map of true kernels.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

from kernelgan_jax import (
    KernelEstimate,
    blur_kernels,
    estimate_kernel,
    kernels,
    metrics,
    super_resolve,
)
from kernelgan_jax.app.images import image_files
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral import SpectralConfig
from kernelgan_jax.pixels import to_unit

KNOTS = 5
"""The blur is exact at so many places along each axis, and interpolated between."""


def lens(row: float, column: float, scale: int) -> tuple[float, float, float]:
    """Variances along the radius and across, and the direction of the radius."""
    y, x = row - 0.5, column - 0.5
    width = (0.45 + 0.55 * (x * x + y * y) / 0.5) * scale
    return (1.15 * width) ** 2, (width / 1.15) ** 2, float(np.arctan2(-y, x))


def defocus(row: float, column: float, scale: int) -> tuple[float, float, float]:
    """The same of round kernels that grow from left to right."""
    variance = ((0.4 + 0.5 * column) * scale) ** 2
    return variance, variance, 0.0


KINDS = {"lens": lens, "defocus": defocus}


def gaussian(kind: str, row: float, column: float, scale: int) -> np.ndarray:
    """The true kernel at a place, in fractions of height and width."""
    first, second, angle = KINDS[kind](row, column, scale)
    size = kernels.frame_size(scale)
    return blur_kernels.gaussian(
        size, variances=(first, second), angle=angle, scale=scale
    )


def degrade(hr: np.ndarray, kind: str, scale: int) -> np.ndarray:
    """The LR image, uint8."""
    height, width = hr.shape[0] // scale, hr.shape[1] // scale
    knots = np.linspace(0, 1, KNOTS)

    def weight(n: int, knot: float) -> np.ndarray:
        place = (np.arange(n) + 0.5) / n
        return np.clip(1 - np.abs(place - knot) * (KNOTS - 1), 0, 1)

    lr = np.zeros((height, width, hr.shape[2]))
    for row in knots:
        for column in knots:
            part = downscale(hr, gaussian(kind, row, column, scale), scale)
            both = weight(height, row)[:, None] * weight(width, column)
            lr += both[..., None] * part
    return np.round(255 * np.clip(lr, 0, 1)).astype(np.uint8)


def measure(hr: np.ndarray, kind: str, grid: str, scale: int) -> list[float]:
    """Error of the widths, part of them within 10 %, and PSNR-Y."""
    key, lr = jax.random.key(0), degrade(hr, kind, scale)
    config = SpectralConfig(kernel_map=grid)
    found = estimate_kernel(key, lr, scale=scale, config=config)
    made = found.kernel_map
    assert made is not None
    rows, columns = made.kernels.shape[:2]
    true = np.empty_like(made.kernels)
    errors = []
    for i, j in np.ndindex(rows, columns):
        true[i, j] = gaussian(kind, (i + 0.5) / rows, (j + 0.5) / columns, scale)
        widths = [kernels.widths(k)[:2] for k in (made.kernels[i, j], true[i, j])]
        errors.append(np.log(np.divide(*widths)))
    known = made._replace(kernels=true, width_std=0 * made.width_std)

    def psnr(estimate: KernelEstimate) -> float:
        return metrics.psnr_y(super_resolve(key, lr, estimate), hr, scale=scale)

    return [
        float(np.sqrt(np.mean(np.square(errors)))),
        float((np.abs(errors) < 0.1).mean()),
        psnr(found._replace(kernel_map=None)),
        psnr(found),
        psnr(found._replace(kernel_map=known)),
    ]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hr", type=Path, nargs="+", required=True)
    parser.add_argument("--grid", default="3x4")
    parser.add_argument("--scale", type=int, default=2)
    options = parser.parse_args()
    print("| image | blur | widths off by, rms | within 10 % | one | map | true map |")
    print("|---|---|---|---|---|---|---|")
    for path in options.hr:
        hr = to_unit(image_files.read(path).pixels)
        height, width = (n // options.scale * options.scale for n in hr.shape[:2])
        for kind in KINDS:
            image = hr[:height, :width].astype(np.float64)
            off, within, *psnr = measure(image, kind, options.grid, options.scale)
            numbers = " | ".join(f"{x:.2f}" for x in psnr)
            print(f"| {path.stem} | {kind} | {off:.0%} | {within:.0%} | {numbers} |")


if __name__ == "__main__":
    main()
