"""Bicubic enlargement: the baseline that needs no kernel and no training."""

from typing import Any

import jax
import numpy as np

from kernelgan_jax.resize import bicubic_resize


def bicubic(
    key: jax.Array, image: np.ndarray, kernel: np.ndarray, *, scale: int, **_: Any
) -> np.ndarray:
    """Enlarges bicubically; see `Method`."""
    del key, kernel
    return np.clip(bicubic_resize(image, scale), 0, 1)
