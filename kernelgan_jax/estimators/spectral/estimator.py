"""The spectral estimator: the kernel of an image's evidence, and a map of kernels.

`analysis.py` finds the evidence of one image. Where a map is asked for, each part of
the image is analysed for itself (`kernel_map.py`).
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from kernelgan_jax import checks
from kernelgan_jax.estimate import (
    Diagnostics,
    Evidence,
    KernelEstimate,
    Progress,
    ProgressCallback,
)
from kernelgan_jax.estimators.spectral.analysis import analyse
from kernelgan_jax.estimators.spectral.confidence import judge
from kernelgan_jax.estimators.spectral.kernel_map import kernel_map, parts
from kernelgan_jax.estimators.spectral.periodogram import to_gray
from kernelgan_jax.parallel import map_images


def estimate_spectral(image: Any, *, scale: int = 2) -> KernelEstimate:
    """Estimates the kernel that an image was downscaled with, from its spectrum alone.

    Deterministic. The kernel is a Gaussian; or a generalised Gaussian (a lens out of
    focus) or a straight motion, where these fit much better; or that of a resampler
    (bicubic, Lanczos, box, nearest), where it fits about as well; or the path of a
    camera that shakes, where spectrum and picture show it. `likelihood.py` states the
    model, `confidence.py` how the result is rated.

    Args:
      image: As `analyse` takes it.
      scale: Positive integer; at 1 the kernel is a plain blur.

    Returns:
      The estimate, with its confidence and evidence. At scale 4 the x2 kernel that
      leads to the x4 kernel is `intermediate`. `failure` is not empty if the search did
      not converge.

    Raises:
      ValueError: As `analyse`.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax import estimate_spectral
      >>> noise = np.random.default_rng(0).random((48, 64))
      >>> estimate = estimate_spectral(noise.cumsum(0).cumsum(1) / noise.sum(), scale=2)
      >>> round(float(estimate.kernel.sum()), 6), estimate.scale, estimate.failure
      (1.0, 2, '')
    """
    return _estimate(analyse(image, scale=scale))


def check(image: np.ndarray, *, scale: int, config: Any) -> None:
    """Checks that the spectrum of an image can be analysed; see `registry.py`.

    Raises:
      ValueError: If the scale is out of range, or the image is too small, for a map of
        as many kernels as are asked for as well, or constant.
    """
    checks.scale(scale)
    to_gray(image)
    if config is not None and config.grid:
        list(parts(image.shape[:2], config.grid))


def estimate(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    *,
    scale: int,
    config: Any,
    evidence: Sequence[Evidence | None],
    progress: ProgressCallback | None,
) -> list[KernelEstimate]:
    """Turns the evidence of images into estimates; see `registry.py`.

    An image is analysed here if its evidence is None.

    Raises:
      ValueError: If the evidence is of another scale, or as `analyse`.
    """
    del keys

    def one(
        i: int, item: tuple[np.ndarray, Evidence | None], report: ProgressCallback
    ) -> KernelEstimate:
        image, known = item
        found = analyse(image, scale=scale) if known is None else known
        if found.scale != scale:
            raise ValueError(
                f"evidence[{i}] is of scale {found.scale}; it must be of scale {scale}"
            )
        estimate = _estimate(found)
        if config is not None and config.grid:
            made = kernel_map(image, found, grid=config.grid)
            estimate = estimate._replace(kernel_map=made)
        report(Progress(image=i, phase="spectral", step=1, total=1))
        return estimate

    return map_images(one, list(zip(images, evidence, strict=True)), progress=progress)


def device_bytes(config: Any) -> int:
    """Device memory that each image of a batch takes, at the largest scales."""
    del config
    return 2**28


def _estimate(evidence: Evidence) -> KernelEstimate:
    """The estimate that evidence leads to."""
    confidence = judge(evidence.kernel, evidence)
    return KernelEstimate(
        evidence.kernel,
        evidence.scale,
        intermediate=evidence.intermediate,
        confidence=confidence,
        failure="" if evidence.converged else confidence.reason,
        trusted=confidence.level != "low",
        noise_std=evidence.noise_std,
        diagnostics=Diagnostics(evidence.raw_kernel),
        evidence=evidence,
    )
