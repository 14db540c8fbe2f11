"""Kernels that do not depend on the image: constant, bicubic, or given.

They are estimators like the others, so that a known kernel or a baseline takes the same
way through the library, the command and the benchmark.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.estimate import Evidence, KernelEstimate, ProgressCallback


class Fixed(NamedTuple):
    """An estimator whose kernel is a function of the scale and the settings."""

    kernel: Callable[[int, Any], np.ndarray]
    """`kernel(scale, config) -> h x w`."""
    gradual: bool = False
    """Whether the x4 kernel comes with the x2 kernel, for gradual super-resolution."""
    trusted: bool = True
    """Whether super-resolution takes the kernel as it is."""

    def check(self, image: np.ndarray, *, scale: int, config: Any) -> None:
        """Checks that the kernel can be used with an image."""
        kernel = self.kernel(scale, config)
        kernels.check(kernel, scale=scale, image_shape=image.shape[:2])

    def estimate(
        self,
        keys: Sequence[jax.Array],
        images: Sequence[np.ndarray],
        *,
        scale: int,
        config: Any,
        evidence: Sequence[Evidence | None],
        progress: ProgressCallback | None,
    ) -> list[KernelEstimate]:
        """The same kernel for each image; see `estimators/registry.py`."""
        del keys, evidence, progress
        smaller = ((2, self.kernel(2, config)),) if self.gradual and scale == 4 else ()
        estimate = KernelEstimate(
            self.kernel(scale, config), scale, smaller, trusted=self.trusted
        )
        return [estimate] * len(images)


def _constant(scale: int, config: Any) -> np.ndarray:
    variance = config.variance * kernels.variance_growth(scale)
    variances = (variance, variance)
    return blur_kernels.gaussian(12 * scale + 1, variances=variances, scale=scale)


def _bicubic(scale: int, config: None) -> np.ndarray:
    # It is symmetric about its own middle; aligned, it is like all others.
    return kernels.centre(blur_kernels.bicubic(scale), scale)


def _given(scale: int, config: Any) -> np.ndarray:
    if not config.kernel:
        raise ValueError(
            "config.kernel is missing; the estimator given needs the known kernel, as "
            "GivenConfig(kernel=an array of height x width)"
        )
    kernel = np.array(config.kernel, np.float64)
    kernels.check(kernel, scale=scale)
    return kernels.normalise(kernel)


constant = Fixed(_constant, gradual=True, trusted=False)
bicubic = Fixed(_bicubic)
given = Fixed(_given)
