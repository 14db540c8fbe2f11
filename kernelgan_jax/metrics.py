"""How good an estimate is: the field's protocol (SPEC section 3)."""

import numpy as np

from kernelgan_jax import kernels

# Side of the frame that kernels are compared in, by scale.
_FRAME = {2: 25, 4: 41}


def kernel_psnr(estimate: np.ndarray, truth: np.ndarray, *, scale: int = 2) -> float:
    """PSNR of a kernel in dB: `20 log10(1 / rmse)`, peak 1, without re-scaling.

    Args:
      estimate: `h x w`, aligned as `kernelgan_jax.kernels` states.
      truth: `h' x w'`, likewise.
      scale: 2 or 4: both kernels are compared centred on a frame of 25 or 41 pixels.

    Raises:
      ValueError: If the scale is none of these.
    """
    if scale not in _FRAME:
        raise ValueError(f"scale is {scale}; it must be one of {sorted(_FRAME)}")
    size = _FRAME[scale]
    difference = _framed(estimate, size) - _framed(truth, size)
    mse = (difference**2).mean()
    return float("inf") if mse == 0 else float(-10 * np.log10(mse))


def covariance_error(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Relative error of the kernel's covariance: `|C - C'| / |C'|`, Frobenius norms."""
    wanted = kernels.covariance(truth)
    found = kernels.covariance(estimate)
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def _framed(kernel: np.ndarray, size: int) -> np.ndarray:
    """Puts the middle value of a kernel on the middle of a `size x size` frame."""
    frame = np.zeros((size, size))
    # Positions on the frame of the kernel's first and last rows and columns.
    first = np.array([size // 2 - side // 2 for side in kernel.shape])
    last = first + kernel.shape
    inside = tuple(
        slice(max(f, 0), min(end, size)) for f, end in zip(first, last, strict=True)
    )
    part = tuple(
        slice(i.start - f, i.stop - f) for i, f in zip(inside, first, strict=True)
    )
    frame[inside] = kernel[part]
    return frame
