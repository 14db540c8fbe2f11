"""SR kernels as other tools read them: flip, centre, size, type.

Ours are correlation kernels (see `kernels.py`). A tool that convolves is given the
kernel turned by 180 degrees. All sides become odd, so that every tool takes the same
value for the middle. The offset of `(scale - 1)/2` pixels, with which the enlarged
image lies on top of the small one, stays in the kernel.
"""

import numpy as np

from kernelgan_jax import checks
from kernelgan_jax.kernel_formats import TOOLS

SRMD_SIZE = 15
"""Side of the kernels that SRMD was trained with."""


def export(kernel: np.ndarray, *, to: str, scale: int) -> np.ndarray:
    """The kernel as another tool reads it.

    `docs/export.md` has the lines that give it to each tool.

    Args:
      kernel: `h x w` correlation kernel, aligned for `scale` (see `kernels.py`).
      to: Name of the tool, one of `kernel_formats.TOOLS`: `usrnet`, `dpir`, `srmd`,
        `zssr`, `deepinv`, `skimage`, `opencv` or `matlab`.
      scale: The kernel's scale, a positive integer.

    Returns:
      `h x w` with odd sides and sum 1: a convolution kernel, float64, for `usrnet`,
      `dpir` and `skimage`, and `1 x 1 x h x w` float32 for `deepinv`; a correlation
      kernel, float64, for `zssr` and `matlab`, float32 for `opencv`. With each, the
      tool's blur followed by `[::scale, ::scale]` is `downscale`.

      For `srmd`, which blurs before a bicubic downscaling: `15 x 15` float64, at least
      0, centred; the kernel with which this is nearest to `downscale` for images whose
      power falls with the square of the frequency. It is only near where a kernel is
      sharper than the bicubic one, or too wide for 15 pixels.

    Raises:
      ValueError: If there is no such tool, or the kernel cannot be used at this scale.

    References:
      Zhang, Van Gool, Timofte, "Deep Unfolding Network for Image Super-Resolution",
      CVPR 2020, equation 1: USRNet. Zhang et al., "Plug-and-Play Image Restoration with
      Deep Denoiser Prior", TPAMI 2021, section 5.3: DPIR. Zhang, Zuo, Zhang, "Learning
      a Single Convolutional Super-Resolution Network for Multiple Degradations", CVPR
      2018, equation 1: SRMD. Shocher, Cohen, Irani, "Zero-Shot Super-Resolution using
      Deep Internal Learning", CVPR 2018: ZSSR.

    Example:
      >>> from kernelgan_jax import kernels
      >>> kernel = np.array([[0.0, 0.25], [0.0, 0.75]])
      >>> kernels.export(kernel, to="usrnet", scale=2).tolist()
      [[0.0, 0.0, 0.0], [0.0, 0.75, 0.0], [0.0, 0.25, 0.0]]
      >>> kernels.export(kernel, to="deepinv", scale=2).shape
      (1, 1, 3, 3)
    """
    from kernelgan_jax import kernels  # which has this function among its own

    if not isinstance(to, str) or to not in TOOLS:
        raise ValueError(f"to is {to!r}; it must be {' or '.join(TOOLS)}")
    kernels.check(kernel, scale=scale)
    ours = odd(np.asarray(kernel, np.float64))
    if to == "srmd":
        return _for_srmd(ours, scale)
    theirs = ours if TOOLS[to].correlates else flip(ours)
    if to == "deepinv":
        return theirs.astype(np.float32)[None, None]
    return theirs.astype(np.float32) if to == "opencv" else theirs


def odd(kernel: np.ndarray) -> np.ndarray:
    """The kernel with odd sides, which stays aligned, and sum 1.

    Args:
      kernel: `h x w`, a positive sum.

    Example:
      >>> odd(np.ones((2, 1))).tolist()
      [[0.5], [0.5], [0.0]]
    """
    kernel = checks.matrix("kernel", kernel, sums=True)
    padded = np.pad(kernel, [(0, 1 - side % 2) for side in kernel.shape])
    return padded / padded.sum()


def flip(kernel: np.ndarray) -> np.ndarray:
    """The kernel turned by 180 degrees: from correlation to convolution and back.

    Args:
      kernel: `h x w`, odd sides.

    Example:
      >>> flip(np.array([[1.0, 2.0, 3.0]])).tolist()
      [[3.0, 2.0, 1.0]]
    """
    return np.ascontiguousarray(checks.matrix("kernel", kernel)[::-1, ::-1])


def _for_srmd(kernel: np.ndarray, scale: int) -> np.ndarray:
    """The non-negative kernel before a bicubic downscaling, by least squares."""
    import scipy.linalg
    import scipy.optimize

    from kernelgan_jax import blur_kernels

    bicubic = blur_kernels.bicubic(scale)
    # Enough frequencies that nothing wraps around.
    size = max(128, 2 * max(*kernel.shape, len(bicubic)))
    ours = _spectrum(kernel, [-(side // 2) for side in kernel.shape], size)
    # Its first value lies there, seen from the pixel of the HR image that is kept.
    theirs = _spectrum(bicubic, [(scale - len(bicubic)) // 2] * 2, size)
    frequency = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(size)], indexing="ij"))
    power = 1 / np.maximum(frequency, 1 / size) ** 2
    place = np.arange(SRMD_SIZE) - SRMD_SIZE // 2
    rows, columns = (x.ravel() for x in np.meshgrid(place, place, indexing="ij"))
    products = np.fft.ifft2(power * np.abs(theirs) ** 2).real
    matrix = products[rows[:, None] - rows, columns[:, None] - columns]
    target = np.fft.ifft2(power * theirs.conj() * ours).real[rows, columns]
    ridge = 1e-7 * matrix[0, 0] * np.eye(len(matrix))
    lower = np.linalg.cholesky(matrix + ridge)
    right = scipy.linalg.solve_triangular(lower, target, lower=True)
    values, _ = scipy.optimize.nnls(lower.T, right, maxiter=20000)
    return (values / values.sum()).reshape(SRMD_SIZE, SRMD_SIZE)


def _spectrum(kernel: np.ndarray, first: list[int], size: int) -> np.ndarray:
    """Transform, `size x size`, of a kernel whose first value lies at `first`."""
    framed = np.zeros((size, size))
    framed[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.fft.fft2(np.roll(framed, first, (0, 1)))
