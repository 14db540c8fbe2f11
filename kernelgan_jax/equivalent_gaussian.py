"""The Gaussian that blurs an image about as much as a kernel.

Uncertain kernels are compared by their widths. Those of a kernel with negative lobes
are not its moments: the bicubic kernel has hardly any variance. It is therefore
compared by the Gaussian that passes as much of the finest waves that the LR image can
hold.
"""

import numpy as np

from kernelgan_jax import kernels

LOBES = 0.01
"""Negative values down to this part of the largest value are no lobes."""


def covariance(kernel: np.ndarray, *, scale: int) -> np.ndarray:
    """Covariance of the Gaussian that stands for a kernel.

    Args:
      kernel: `h x w`, sum not 0.
      scale: Scale of the kernel.

    Returns:
      2 x 2, rows first, pixels^2: the kernel's own covariance if it has no negative
      lobes; else that of the Gaussian with the same transfer, up to its sign, for the
      waves of `1 / (2 scale)` cycles per pixel along rows, columns and diagonals.

    Example:
      >>> from kernelgan_jax import blur_kernels
      >>> variance = covariance(blur_kernels.bicubic(2), scale=2)[0, 0]
      >>> round(float(variance) ** 0.5, 2)
      0.76
    """
    if kernel.min() >= -LOBES * kernel.max():
        return kernels.covariance(kernel)
    kernel = kernel / kernel.sum()
    rows, columns = np.indices(kernel.shape)
    wave = np.pi / scale

    def variance(row: float, column: float) -> float:
        phase = np.exp(1j * wave * (row * rows + column * columns))
        passed = np.clip(np.abs((kernel * phase).sum()), 1e-3, 1)
        return float(-2 * np.log(passed) / wave**2)

    half = 0.5**0.5
    both = (variance(half, half) - variance(half, -half)) / 2
    return np.array([[variance(1, 0), both], [both, variance(0, 1)]])


def widths(kernel: np.ndarray, *, scale: int) -> kernels.Widths:
    """`kernels.widths` of the Gaussian that stands for a kernel."""
    return kernels.Widths.of(covariance(kernel, scale=scale))
