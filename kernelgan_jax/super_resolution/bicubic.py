"""Bicubic enlargement: the baseline that needs no kernel and no training."""

from collections.abc import Sequence

import jax
import numpy as np

from kernelgan_jax.estimate import ProgressCallback
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution.planning import Plan


def enlarge(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    plans: Sequence[Plan],
    *,
    progress: ProgressCallback | None = None,
) -> list[np.ndarray]:
    """Enlarges images bicubically; see `registry.Enlarge`."""
    del keys, progress
    return [
        np.clip(bicubic_resize(image, planned.scale), 0, 1)
        for image, planned in zip(images, plans, strict=True)
    ]
