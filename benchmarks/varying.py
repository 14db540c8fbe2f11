"""A map of kernels against one kernel, on images whose blur varies.

    kernelgan-benchmark degrade --hr=PHOTOS --output_dir=SET --protocol=varying
    python benchmarks/varying.py --data=SET [--grid=5x5] [--scale=2]

Printed are the error of the widths of the map, and the PSNR-Y of super-resolution with
one kernel, the map, and the map of true kernels.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

from kernelgan_jax import (
    KernelEstimate,
    estimate_kernel,
    kernels,
    metrics,
    super_resolve,
)
from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark.varying_blur import kernel_at
from kernelgan_jax.estimators.spectral import SpectralConfig
from kernelgan_jax.pixels import to_unit


def measure(
    hr: np.ndarray, lr: np.ndarray, truth: np.ndarray, grid: str, scale: int
) -> list[float]:
    """Error of the widths, part of them within 10 %, and PSNR-Y."""
    key = jax.random.key(0)
    config = SpectralConfig(kernel_map=grid)
    found = estimate_kernel(key, lr, scale=scale, config=config)
    made = found.kernel_map
    assert made is not None
    rows, columns = made.kernels.shape[:2]
    true = np.empty((rows, columns, *truth.shape[2:]))
    errors = []
    for i, j in np.ndindex(rows, columns):
        true[i, j] = kernel_at(truth, (i + 0.5) / rows, (j + 0.5) / columns)
        widths = [kernels.widths(k[i, j])[:2] for k in (made.kernels, true)]
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
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--grid", default="5x5")
    parser.add_argument("--scale", type=int, default=2)
    options = parser.parse_args()
    print("| image | widths off by, rms | within 10 % | one | map | true map |")
    print("|---|---|---|---|---|---|")
    table = []
    for path in sorted((options.data / f"gt_kernel_map_x{options.scale}").iterdir()):
        hr, lr = (
            image_files.read_pixels(options.data / part / f"{path.stem}.png")
            for part in ("hr", f"lr_x{options.scale}")
        )
        found = measure(to_unit(hr), lr, np.load(path), options.grid, options.scale)
        table.append(found)
        print(_row(path.stem, found), flush=True)
    print(_row("mean", np.mean(table, axis=0)))


def _row(name: str, values: list[float] | np.ndarray) -> str:
    off, within, *psnr = values
    numbers = " | ".join(f"{x:.2f}" for x in psnr)
    return f"| {name} | {off:.0%} | {within:.0%} | {numbers} |"


if __name__ == "__main__":
    main()
