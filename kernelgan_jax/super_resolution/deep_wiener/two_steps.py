"""Larger scales in two steps: the network, then bicubic enlargement by 2.

Beyond scale 4 an LR image has nothing to say of the highest frequencies: only the
first step restores, and it needs the kernel as it is seen from half of the HR size.

An HR image x that is downscaled by 2 with the bicubic kernel B, and then by s/2 with a
kernel H, gives the LR image of x by s with the kernel K if, for the frequencies f in
cycles per HR pixel that the half-size image can hold, H(2f) = K(f) / B(f).
"""

import numpy as np

from kernelgan_jax import blur_kernels, kernels, transfer_functions

SIZE = 37
"""Side of the kernels."""

FREQUENCIES = 160
"""Along each axis; more than any kernel is wide, so that nothing wraps around."""


def half_kernel(kernel: np.ndarray, scale: int) -> np.ndarray:
    """A kernel as it is seen from half of the HR size.

    Args:
      kernel: `h x w` correlation kernel, aligned for `scale`, sum 1.
      scale: An even number.

    Returns:
      `SIZE x SIZE` float32, aligned for half of the scale, sum 1.

    Example:
      >>> from kernelgan_jax import blur_kernels, kernels
      >>> kernel = blur_kernels.gaussian(45, variances=(16.0, 9.0), scale=8)
      >>> widths = kernels.widths(half_kernel(kernel, 8))[:2]
      >>> [round(float(w) ** 2, 1) for w in widths]  # a quarter, and less what B adds
      [4.0, 2.2]
    """
    waves = (np.arange(FREQUENCIES) - FREQUENCIES // 2) / FREQUENCIES
    bicubic = kernels.centre(blur_kernels.bicubic(2), 2)
    half = waves / 2
    ratio = transfer_functions.at(kernel, half, half, scale=scale)
    ratio /= transfer_functions.at(bicubic, half, half, scale=2)
    middle = kernels.alignment((SIZE, SIZE), scale // 2)[0]
    back = np.exp(-2j * np.pi * np.outer(np.arange(SIZE) - middle, waves))
    found = (back @ ratio @ back.T).real
    return (found / found.sum()).astype(np.float32)
