"""One enlargement with one kernel, and the kernel as methods use it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kernelgan_jax import kernels


class Stage(NamedTuple):
    """One enlargement of the LR image by `scale`, with one kernel.

    Each stage starts from the LR image. The results of earlier stages, of smaller
    scales, are further images to learn from.
    """

    scale: int
    """The factor by which height and width grow."""
    kernel: np.ndarray
    """`h x w` correlation kernel of this scale; aligned before it is used."""
    widths: tuple[float, ...] = (1.0,)
    """Equally likely factors on the kernel's width."""

    def aligned_kernel(self, *, image_shape: Sequence[int] | None = None) -> np.ndarray:
        """The kernel: sum 1, aligned for the scale.

        Args:
          image_shape: Height and width of the LR image; more numbers are ignored. What
            alignment adds around the kernel is cut off, if it is empty, where the
            enlarged image has no room for it. None to keep it.
        """
        aligned = kernels.normalise(kernels.centre(self.kernel, self.scale))
        if image_shape is None:
            return aligned
        return cropped(aligned, [self.scale * side for side in image_shape[:2]])

    def aligned_kernels(
        self, *, image_shape: Sequence[int] | None = None
    ) -> tuple[np.ndarray, ...]:
        """The kernel at each width, as `aligned_kernel` returns it."""
        wider = (kernels.scale_width(self.kernel, width) for width in self.widths)
        return tuple(
            Stage(self.scale, each).aligned_kernel(image_shape=image_shape)
            for each in wider
        )


def cropped(kernel: np.ndarray, room: Sequence[int]) -> np.ndarray:
    """A kernel without the margin that there is no room for, if that is empty.

    Args:
      kernel: `h x w`, sum 1.
      room: The largest height and width.

    Returns:
      The kernel with the same margin cut off at all sides: it stays aligned; sum 1. As
      it was if it fits, or if the margin holds more than a hundredth of it.
    """
    excess = max(side - most for side, most in zip(kernel.shape, room, strict=True))
    margin = max(-(-excess // 2), 0)
    height, width = kernel.shape
    if min(height, width) <= 2 * margin:
        return kernel
    inside = kernel[margin : height - margin, margin : width - margin]
    empty = np.abs(kernel).sum() - np.abs(inside).sum() < 0.01
    return kernels.normalise(inside) if empty else kernel
