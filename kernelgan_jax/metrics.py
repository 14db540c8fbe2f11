"""How good an estimate is: the field's protocol (SPEC section 3)."""

import math

import numpy as np
import scipy.ndimage

from kernelgan_jax import checks, kernels
from kernelgan_jax.degradation import downscale


def kernel_psnr(estimate: np.ndarray, truth: np.ndarray, *, scale: int = 2) -> float:
    """PSNR of a kernel in dB: `20 log10(1 / rmse)`, peak 1, without re-scaling.

    Args:
      estimate: `h x w`, aligned as `kernelgan_jax.kernels` states.
      truth: `h' x w'`, likewise.
      scale: Positive integer; both kernels are compared as `framed` for it.

    Raises:
      ValueError: If the scale is out of range.
    """
    difference = pad_to_frame(estimate, scale=scale) - pad_to_frame(truth, scale=scale)
    mse = (difference**2).mean()
    return float("inf") if mse == 0 else float(-10 * np.log10(mse))


def pad_to_frame(kernel: np.ndarray, *, scale: int) -> np.ndarray:
    """Puts the middle value of a kernel on the middle of a square frame.

    Args:
      kernel: `h x w`; what does not fit is cut off.
      scale: Positive integer.

    Returns:
      `n x n`, n = 8 scale + 9: the field's 25 pixels at x2 and 41 at x4.

    Raises:
      ValueError: If the scale is out of range.
    """
    checks.whole("scale", scale)
    size = 8 * scale + 9
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


def covariance_error(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Relative error of the kernel's covariance: `|C - C'| / |C'|`, Frobenius norms.

    Infinite if the true kernel is an impulse, which has none.
    """
    wanted = kernels.covariance(truth)
    found = kernels.covariance(estimate)
    norm = np.linalg.norm(wanted)
    return float(np.linalg.norm(found - wanted) / norm) if norm > 0 else math.inf


def psnr_y(image: np.ndarray, truth: np.ndarray, *, scale: int) -> float:
    """PSNR of the Y channel in dB, peak 255, without `scale` pixels at each border.

    Args:
      image: `H x W x C`, floating point in [0, 1], C = 1 or 3; rounded to 8 bits.
      truth: The HR image, alike.
      scale: The scale of the super-resolution.

    Raises:
      ValueError: If the shapes differ.
    """
    difference = _y(image, truth, scale) - _y(truth, image, scale)
    mse = (difference**2).mean()
    return float("inf") if mse == 0 else float(10 * np.log10(255**2 / mse))


def ssim_y(image: np.ndarray, truth: np.ndarray, *, scale: int) -> float:
    """SSIM of the Y channel (Wang et al. 2004): 11 x 11 Gaussian of 1.5, valid part.

    Arguments and errors are those of `psnr_y`.
    """
    a, b = _y(image, truth, scale), _y(truth, image, scale)

    def mean(x: np.ndarray) -> np.ndarray:
        window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
        window /= window.sum()
        for axis in (0, 1):
            x = scipy.ndimage.correlate1d(x, window, axis)
        return x[5:-5, 5:-5]

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float(similarity.mean())


def lr_psnr_y(
    image: np.ndarray, lr: np.ndarray, kernel: np.ndarray, *, scale: int
) -> float:
    """How well an SR image explains its LR image: `psnr_y` of the two at LR size.

    Args:
      image: The SR image, `H x W x C`, floating point in [0, 1], C = 1 or 3.
      lr: The LR image, `ceil(H/scale) x ceil(W/scale) x C`, alike.
      kernel: The true kernel, which the SR image is downscaled with.
      scale: The scale of the super-resolution; as many pixels are left out at each
        border of the LR image.

    Raises:
      ValueError: If the shapes do not belong together.
    """
    again = np.clip(downscale(image.astype(np.float64), kernel, scale), 0, 1)
    return psnr_y(again, lr, scale=scale)


def shift(image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """How far an image lies off another: (down, right) in pixels.

    One Gauss-Newton step on the gradients (Lucas, Kanade, IJCAI 1981), for shifts under
    a pixel. Both are smoothed first: what one lacks in detail would be taken for a
    shift.

    Args:
      image: `H x W x C`, floating point, of more than 32 pixels at each side.
      truth: Alike.

    Raises:
      ValueError: If the shapes differ or a side is too small.
    """
    if image.shape != truth.shape or min(image.shape[:2]) <= 32:
        raise ValueError(
            f"images have shapes {image.shape} and {truth.shape}; they must be the "
            "same, of more than 32 pixels at each side"
        )
    a, b = (
        scipy.ndimage.gaussian_filter(x.mean(-1, dtype=np.float64), 4)[16:-16, 16:-16]
        for x in (image, truth)
    )
    gradients = np.stack([g.ravel() for g in np.gradient(a)])
    products = gradients @ gradients.T
    found = np.linalg.lstsq(products, gradients @ (a - b).ravel(), rcond=None)[0]
    return -float(found[0]), -float(found[1])


def _y(image: np.ndarray, other: np.ndarray, border: int) -> np.ndarray:
    """Y of MATLAB's rgb2ycbcr (BT.601), 16 to 235, rounded, without the border."""
    if image.shape != other.shape:
        raise ValueError(f"images have shapes {image.shape} and {other.shape}")
    rgb = np.broadcast_to(
        np.rint(255 * image.astype(np.float64)), (*image.shape[:2], 3)
    )
    y = 16 + rgb @ np.array([65.481, 128.553, 24.966]) / 255
    return np.rint(y)[border:-border, border:-border]
