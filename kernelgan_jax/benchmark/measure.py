"""The measures of kernels and images, in the form that rows have them."""

import math
from typing import Any

import numpy as np

from kernelgan_jax import equivalent_gaussian, metrics
from kernelgan_jax.benchmark.rows import Widths
from kernelgan_jax.benchmark.testset import Case, common_part, sizes_match
from kernelgan_jax.pixels import to_unit

MAX_KERNEL_PSNR = 300.0
"""Largest kernel PSNR that is reported, dB; above it, kernels differ by rounding."""


def kernel_measures(kernel: np.ndarray, case: Case) -> dict[str, Any]:
    """The fields of `KernelRow` that compare a kernel with the true one.

    Widths and covariances are those of `equivalent_gaussian`: the moments of a kernel
    with negative lobes say nothing.
    """
    truth = case.kernel()
    sizes = (None, metrics.kernel_grid(case.scale))
    psnr, on_grid = (
        metrics.kernel_psnr(kernel, truth, scale=case.scale, size=size)
        for size in sizes
    )
    both = (kernel, truth)
    error = metrics.relative_error(
        *(equivalent_gaussian.covariance(each, scale=case.scale) for each in both)
    )
    return {
        "kernel_psnr": psnr if psnr < MAX_KERNEL_PSNR else None,
        "kernel_psnr_on_grid": on_grid if on_grid < MAX_KERNEL_PSNR else None,
        "covariance_error": finite_or_none(error),
        "widths": _widths(kernel, case.scale),
        "true_widths": _widths(truth, case.scale),
    }


def image_measures(sr: np.ndarray, case: Case) -> dict[str, Any]:
    """The fields of `ImageRow` that compare a super-resolved image with the HR image.

    Args:
      sr: `H x W x C`, floating point in [0, 1], C = 1 or 3.
      case: The image of the test set.

    Raises:
      ValueError: If the result has another size than the scale asks for.
    """
    scale = case.scale
    hr, lr = to_unit(case.hr()), to_unit(case.lr())
    if not sizes_match(sr.shape, lr.shape, scale=scale):
        (height, width), (rows, columns) = sr.shape[:2], lr.shape[:2]
        raise ValueError(
            f"the result is {width}x{height}; it must be {scale * columns}x"
            f"{scale * rows}"
        )
    if sr.shape[2] != hr.shape[2]:  # One is gray, the other RGB.
        sr, hr, lr = (np.broadcast_to(x, (*x.shape[:2], 3)) for x in (sr, hr, lr))
    consistency = _consistency(sr, lr, case)
    sr, hr = common_part(sr, hr)
    shift = None
    if min(hr.shape[:2]) > 32:
        down, right = metrics.shift(sr, hr)
        shift = (round(down, 4), round(right, 4))
    return {
        "psnr_y": finite_or_none(metrics.psnr_y(sr, hr, scale=scale)),
        "ssim_y": finite_or_none(metrics.ssim_y(sr, hr, scale=scale)),
        "lr_psnr_y": consistency,
        "shift": shift,
    }


def finite_or_none(value: float) -> float | None:
    """The value; None if it is infinite or not a number."""
    return value if math.isfinite(value) else None


def _consistency(sr: np.ndarray, lr: np.ndarray, case: Case) -> float | None:
    """PSNR of the downscaled result against the LR image; None for tiny images."""
    scale = case.scale
    height, width = (side // scale for side in sr.shape[:2])
    whole = sr[: height * scale, : width * scale]
    lr = lr[:height, :width]
    if min(lr.shape[:2]) <= 2 * scale:
        return None
    return finite_or_none(metrics.lr_psnr_y(whole, lr, case.kernel(), scale=scale))


def _widths(kernel: np.ndarray, scale: int) -> Widths:
    found = equivalent_gaussian.widths(kernel, scale=scale)
    longer, shorter, angle = (finite_or_none(value) for value in found)
    return longer, shorter, angle
