"""The Gaussian that blurs an image about as much as a kernel.

Uncertain kernels are compared by their widths. Those of a kernel with negative lobes
are not its moments: the bicubic kernel has hardly any variance. It is therefore
compared by the Gaussian that passes as much of the finest waves that the LR image can
hold.
"""

import numpy as np

from kernelgan_jax import blur_kernels, checks, kernels

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
    return _of_transfer((kernel / kernel.sum())[None], scale)[0]


def covariances(many: np.ndarray, *, scale: int) -> np.ndarray:
    """`covariance` of many kernels of one size, at once.

    Args:
      many: `n x h x w`, sums not 0.
      scale: Scale of the kernels.

    Returns:
      `n x 2 x 2`.

    Raises:
      ValueError: If a kernel is not finite, or its sum is 0.

    Example:
      >>> covariances(np.ones((5, 1, 3)), scale=2)[0].round(2).tolist()
      [[0.0, 0.0], [0.0, 0.67]]
    """
    flat = checks.matrix("many", many.reshape(len(many), -1))
    sums = flat.sum(1)
    if not sums.all():
        raise ValueError(f"many[{int(sums.argmin())}] sums to 0; it must not")
    lobes = flat.min(1) < -LOBES * flat.max(1)
    flat = flat / sums[:, None]
    at = np.indices(many.shape[1:]).reshape(2, -1)
    # Bits must not depend on the number of kernels, as those of a product would.
    centres = (flat[:, None] * at).sum(2, keepdims=True)
    off = at - centres  # n x 2 x hw
    found: np.ndarray = (flat[:, None] * off) @ off.swapaxes(1, 2)
    if lobes.any():
        normal = flat.reshape(many.shape)
        found[lobes] = _of_transfer(normal[lobes], scale)
    return found


def _of_transfer(many: np.ndarray, scale: int) -> np.ndarray:
    """Covariances by the transfer of kernels of sum 1: `n x 2 x 2`."""
    rows, columns = np.indices(many.shape[1:])
    wave = np.pi / scale

    def variance(row: float, column: float) -> np.ndarray:
        phase = np.exp(1j * wave * (row * rows + column * columns))
        passed = np.clip(np.abs((many * phase).sum((1, 2))), 1e-3, 1)
        found: np.ndarray = -2 * np.log(passed) / wave**2
        return found

    half = 0.5**0.5
    both = (variance(half, half) - variance(half, -half)) / 2
    sides = np.array([[variance(1, 0), both], [both, variance(0, 1)]])
    return np.moveaxis(sides, 2, 0)


def widths(kernel: np.ndarray, *, scale: int) -> kernels.Widths:
    """`kernels.widths` of the Gaussian that stands for a kernel."""
    return kernels.Widths.of(covariance(kernel, scale=scale))


def gaussian(size: int, *, covariance: np.ndarray, scale: int) -> np.ndarray:
    """The Gaussian of a covariance, not narrower than `blur_kernels.MIN_VARIANCE`.

    Args:
      size: Side, pixels.
      covariance: 2 x 2, rows first, pixels^2.
      scale: Scale that the kernel is aligned for.

    Returns:
      `size x size` float64, sum 1.

    Example:
      >>> kernel = gaussian(25, covariance=np.array([[3.0, 0.5], [0.5, 1.0]]), scale=2)
      >>> kernels.covariance(kernel).round(2).tolist()
      [[3.0, 0.5], [0.5, 1.0]]
    """
    variances, axes = np.linalg.eigh(covariance)
    shorter, longer = np.maximum(variances, blur_kernels.MIN_VARIANCE)
    angle = float(np.arctan2(-axes[0, 1], axes[1, 1]))
    return blur_kernels.gaussian(
        size, variances=(longer, shorter), angle=angle, scale=scale
    )
