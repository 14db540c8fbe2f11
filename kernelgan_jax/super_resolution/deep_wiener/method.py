"""The method `deep_wiener`: the trained network, with the weights of the package."""

import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.estimate import Progress, ProgressCallback
from kernelgan_jax.super_resolution.deep_wiener.enlarge import added_noise_std, enlarge
from kernelgan_jax.super_resolution.deep_wiener.network import MAX_KERNEL
from kernelgan_jax.super_resolution.deep_wiener.weights import Weights, load
from kernelgan_jax.super_resolution.planning import Plan

JPEG = 0.25
"""Strength of JPEG that is assumed where its blocks are found: that of quality 75."""


def deep_wiener(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    plans: Sequence[Plan],
    *,
    progress: ProgressCallback | None = None,
) -> list[np.ndarray]:
    """Enlarges images with the trained network; see `Enlarge`.

    The network is given the noise, the strength of JPEG and the uncertainty of the
    kernel.
    """
    del keys
    weights = pretrained()
    results = []
    for index, (image, planned) in enumerate(zip(images, plans, strict=True)):
        kernel = kernels.normalise(planned.stages[-1].kernel)
        jpeg = planned.evidence is not None and planned.evidence.jpeg
        results.append(
            enlarge(
                weights,
                image,
                _cropped(kernels.centre(kernel, planned.scale)),
                scale=planned.scale,
                noise_std=added_noise_std(planned.noise_std),
                kernel_std=planned.kernel_std,
                jpeg=JPEG if jpeg else 0.0,
                strength=planned.config.strength,
            )
        )
        if progress is not None:
            progress(Progress(index, "deep_wiener", 1, 1))
    return results


def _cropped(kernel: np.ndarray) -> np.ndarray:
    """A kernel without the margin that the network has no room for, if it is empty."""
    margin = max(-(-(max(kernel.shape) - MAX_KERNEL) // 2), 0)
    height, width = kernel.shape
    if min(height, width) <= 2 * margin:
        return kernel
    inside = kernel[margin : height - margin, margin : width - margin]
    empty = np.abs(kernel).sum() - np.abs(inside).sum() < 0.01
    return kernels.normalise(inside) if empty else kernel


@functools.cache
def pretrained() -> Weights:
    """The weights that come with the package."""
    return load(Path(__file__).parent / "weights.npz")
