"""Correlation of NumPy arrays at every s-th pixel only.

`scipy.ndimage.correlate` computes every pixel, s x s times as many, needs memory that
grows with the fourth power of the kernel's side, and skips weights below 2.2e-16.
"""

from typing import Literal

import numpy as np

Mode = Literal["symmetric", "wrap"]
"""Values outside of an image, as `numpy.pad` names them."""

_BLOCK = 2**14
"""Values of the result that are summed at a time, so that they stay in the cache."""


def correlate(
    image: np.ndarray, kernel: np.ndarray, *, scale: int, mode: Mode
) -> np.ndarray:
    """Correlates an image with a kernel, and keeps every s-th pixel of both axes.

    Args:
      image: `H x W` or `H x W x C`.
      kernel: `h x w`, of any size.
      scale: s, a positive integer.
      mode: Values outside of the image.

    Returns:
      `ceil(H/s) x ceil(W/s) [x C]`, float64.

    Example:
      >>> image = np.arange(16.0).reshape(4, 4)
      >>> kernel = np.full((2, 2), 0.25)
      >>> correlate(image, kernel, scale=2, mode="symmetric").tolist()
      [[0.0, 1.5], [6.0, 7.5]]
    """
    height, width = (-(-side // scale) for side in image.shape[:2])
    planes = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
    pad = [(side // 2, side - 1 - side // 2) for side in kernel.shape]
    padded = np.pad(np.asarray(planes, np.float64), [(0, 0), *pad], mode=mode)
    weights = np.asarray(kernel, np.float64)
    result = np.zeros((len(planes), height, width))
    rows = max(1, _BLOCK // result[:, 0].size)
    for top in range(0, height, rows):
        block = result[:, top : top + rows]
        term = np.empty_like(block)
        first, last = scale * top, scale * (top + block.shape[1] - 1)
        for u, v in np.argwhere(weights):  # Not zeros: 0 times infinity is NaN.
            part = padded[
                :,
                first + u : last + u + 1 : scale,
                v : v + scale * (width - 1) + 1 : scale,
            ]
            np.multiply(part, weights[u, v], out=term)
            block += term
    if image.ndim == 2:
        return result[0]
    return np.ascontiguousarray(np.moveaxis(result, 0, -1))
