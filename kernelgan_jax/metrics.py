"""Measures of kernels and of super-resolved images, as the field computes them.

Kernels are compared on a frame whose middle is the middle value of both, images by
their Y channel, without `scale` pixels at each border. Images are `H x W x C`, floating
point in [0, 1], C = 1 or 3; what cannot be measured is refused.
"""

import math

import numpy as np
import scipy.ndimage

from kernelgan_jax import checks, kernels
from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import check_unit_range

SSIM_WINDOW = 11
"""Side of the window of `ssim_y`, pixels."""
SHIFT_MARGIN = 16
"""Pixels at each border that `shift` leaves out."""

# --- Kernels ---


def kernel_psnr(
    estimate: np.ndarray, truth: np.ndarray, *, scale: int = 2, size: int | None = None
) -> float:
    """PSNR of a kernel in dB: `20 log10(1 / rmse)`, peak 1, without re-scaling.

    Args:
      estimate: `h x w`, aligned as `kernelgan_jax.kernels` states.
      truth: The true kernel, `h' x w'`, aligned for the same scale.
      scale: Positive integer; both kernels are put on its frame (`pad_to_frame`).
      size: Side of another frame, such as `kernel_grid(scale)`.

    Returns:
      The PSNR; infinite for equal kernels.

    Raises:
      ValueError: If the scale is out of range or a kernel is not finite.

    Example:
      >>> kernel = np.full((13, 13), 1 / 169)
      >>> round(kernel_psnr(kernel, np.pad(kernel, 1)[1:, 1:], scale=2), 1)
      55.5
    """
    estimate = checks.matrix("estimate", estimate)
    truth = checks.matrix("truth", truth)
    a, b = (
        pad_to_frame(kernel, scale=scale, size=size) for kernel in (estimate, truth)
    )
    mse = ((a - b) ** 2).mean()
    return float("inf") if mse == 0 else float(-10 * np.log10(mse))


def kernel_grid(scale: int) -> int:
    """Side of the kernels of other papers, on which they print kernel PSNR.

    It is that of their kernels at x2 (FKP, DKP, MetaKernelGAN) and at x4, where
    MetaKernelGAN applies the x2 kernel twice; at other scales, that of FKP. The error
    is a mean over fewer values that are 0 in both kernels than on the frame of
    `kernel_psnr`: for the same kernels it is larger, the PSNR 7.1 dB less at x2 and
    5.8 dB less at x4 if both lie on the grid.

    Args:
      scale: Positive integer.

    References:
      Liang et al., "Flow-based Kernel Prior with Application to Blind
      Super-Resolution", CVPR 2021. Lee et al., "Meta-Learned Kernel For Blind
      Super-Resolution Kernel Estimation", WACV 2024.

    Example:
      >>> [kernel_grid(scale) for scale in (2, 3, 4)]
      [11, 15, 21]
    """
    scale = checks.scale(scale)
    return 21 if scale == 4 else 4 * scale + 3


def pad_to_frame(
    kernel: np.ndarray, *, scale: int, size: int | None = None
) -> np.ndarray:
    """Puts the middle value of a kernel on the middle of a square frame.

    Args:
      kernel: `h x w`; values outside of the frame are cut off.
      scale: Positive integer.
      size: Side of the frame; None for `kernels.frame_size(scale)`.

    Returns:
      `size x size` float64.

    Raises:
      ValueError: If the scale or the size is out of range.

    Example:
      >>> frame = pad_to_frame(np.ones((1, 1)), scale=2)
      >>> frame.shape, float(frame[12, 12])
      ((25, 25), 1.0)
    """
    kernel = checks.matrix("kernel", kernel)
    usual = kernels.frame_size(scale)
    size = usual if size is None else checks.whole("size", size, maximum=4096)
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

    Args:
      estimate: `h x w`, sum not 0.
      truth: The true kernel, `h' x w'`, sum not 0.

    Returns:
      The error; infinite if the true kernel is an impulse, whose covariance is 0.

    Raises:
      ValueError: If a kernel is not finite.

    Example:
      >>> from kernelgan_jax.blur_kernels import gaussian
      >>> a, b = (gaussian(25, variances=(v, 1.0), scale=2) for v in (1.5, 1.0))
      >>> round(covariance_error(a, b), 2)
      0.35
    """
    estimate = checks.matrix("estimate", estimate, sums=True)
    truth = checks.matrix("truth", truth, sums=True)
    return relative_error(kernels.covariance(estimate), kernels.covariance(truth))


def relative_error(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Relative error of a matrix, such as a covariance: `|C - C'| / |C'|`.

    Args:
      estimate: `h x w`.
      truth: The true matrix, `h x w`.

    Returns:
      The error by Frobenius norms; infinite if the true matrix is 0.

    Raises:
      ValueError: If a matrix is not finite, or their shapes differ.

    Example:
      >>> relative_error(2 * np.eye(2), np.eye(2))
      1.0
    """
    estimate = checks.matrix("estimate", estimate)
    truth = checks.matrix("truth", truth)
    if estimate.shape != truth.shape:
        raise ValueError(f"estimate is {estimate.shape}; it must be {truth.shape}")
    norm = np.linalg.norm(truth)
    return float(np.linalg.norm(estimate - truth) / norm) if norm > 0 else math.inf


# --- Images ---


def psnr_y(image: np.ndarray, truth: np.ndarray, *, scale: int) -> float:
    """PSNR of the Y channel in dB, peak 255, without `scale` pixels at each border.

    Args:
      image: The super-resolved image, `H x W x C`, floating point in [0, 1], C = 1 or
        3; rounded to 8 bits.
      truth: The HR image, of the same shape and kind.
      scale: Scale of the super-resolution, a positive integer.

    Returns:
      The PSNR; infinite for equal images.

    Raises:
      ValueError: If the shapes differ, an image is not floating point in [0, 1], the
        scale is out of range or nothing is left inside of the border.

    Example:
      >>> truth = np.full((20, 20, 3), 0.5)
      >>> round(psnr_y(truth + 0.1, truth, scale=2), 2)
      21.69
    """
    a, b = _y_channels(image, truth, scale, smallest=1)
    difference = a - b
    mse = (difference**2).mean()
    return float("inf") if mse == 0 else float(10 * np.log10(255**2 / mse))


def ssim_y(image: np.ndarray, truth: np.ndarray, *, scale: int) -> float:
    """SSIM of the Y channel without `scale` pixels at each border.

    The window is an 11 x 11 Gaussian of standard deviation 1.5, and means are taken
    where it lies inside of the image.

    Args:
      image: The super-resolved image, `H x W x C`, floating point in [0, 1], C = 1 or
        3; rounded to 8 bits.
      truth: The HR image, of the same shape and kind.
      scale: Scale of the super-resolution, a positive integer.

    Returns:
      From -1 to 1; 1 for equal images.

    Raises:
      ValueError: If the shapes differ, an image is not floating point in [0, 1], the
        scale is out of range or under 11 pixels are left inside of the border.

    References:
      Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility
      to Structural Similarity", IEEE TIP 2004, equation 13.

    Example:
      >>> truth = np.random.default_rng(0).random((20, 20, 3))
      >>> ssim_y(truth, truth, scale=2)
      1.0
    """
    try:
        from skimage.metrics import structural_similarity  # slow to import
    except ImportError as error:
        raise ImportError(
            'SSIM needs scikit-image: pip install "kernelgan-jax[benchmark]"'
        ) from error

    a, b = _y_channels(image, truth, scale, smallest=SSIM_WINDOW)
    return float(
        structural_similarity(
            a,
            b,
            gaussian_weights=True,
            sigma=1.5,
            data_range=255,
            use_sample_covariance=False,
        )
    )


def lr_psnr_y(
    image: np.ndarray, lr: np.ndarray, kernel: np.ndarray, *, scale: int
) -> float:
    """PSNR of the LR image that the SR image would give: how well it explains it.

    Args:
      image: The SR image, `H x W x C`, floating point in [0, 1], C = 1 or 3.
      lr: The LR image, `ceil(H/scale) x ceil(W/scale) x C`, of the same kind.
      kernel: The true kernel, with which the SR image is downscaled.
      scale: Scale of the super-resolution; as many pixels are left out at each border
        of the LR image.

    Returns:
      `psnr_y` of the two LR images, dB.

    Raises:
      ValueError: If the shapes do not belong together, or as `psnr_y`.

    Example:
      >>> kernel = np.full((2, 2), 0.25)
      >>> hr = np.zeros((20, 20, 1))
      >>> lr_psnr_y(hr, downscale(hr, kernel, 2), kernel, scale=2)
      inf
    """
    image = _checked("image", image)
    kernel = checks.matrix("kernel", kernel)
    again = np.clip(downscale(image.astype(np.float64), kernel, scale), 0, 1)
    return psnr_y(again, lr, scale=scale)


def shift(image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Displacement of an image against another, (down, right) in pixels.

    One Gauss-Newton step on the gradients, for displacements under a pixel. Both images
    are smoothed first, or detail that one lacks would be taken for a shift.

    Args:
      image: `H x W x C`, floating point, of more than 32 pixels at each side.
      truth: The image to measure against, of the same shape.

    Raises:
      ValueError: If the shapes differ, a side is too small or a value is not finite.

    References:
      Lucas, Kanade, "An Iterative Image Registration Technique with an Application to
      Stereo Vision", IJCAI 1981.

    Example:
      >>> waves = np.sin(np.arange(80) / 9)[:, None] + np.sin(np.arange(80) / 7)
      >>> later = np.sin((np.arange(80) - 0.5) / 9)[:, None] + np.sin(np.arange(80) / 7)
      >>> [abs(round(x, 2)) for x in shift(later[..., None], waves[..., None])]
      [0.5, 0.0]
    """
    for name, pixels in (("image", image), ("truth", truth)):
        checks.known(name, pixels)
        checks.floating(name, pixels, (3,))
    image, truth = np.asarray(image), np.asarray(truth)
    if image.shape != truth.shape or min(image.shape[:2]) <= 2 * SHIFT_MARGIN:
        raise ValueError(
            f"images have shapes {image.shape} and {truth.shape}; they must be the "
            f"same, of more than {2 * SHIFT_MARGIN} pixels at each side"
        )
    checks.finite("image", image)
    checks.finite("truth", truth)
    inside = (slice(SHIFT_MARGIN, -SHIFT_MARGIN),) * 2
    a, b = (
        scipy.ndimage.gaussian_filter(x.mean(-1, dtype=np.float64), 4)[inside]
        for x in (image, truth)
    )
    gradients = np.stack([g.ravel() for g in np.gradient(a)])
    products = gradients @ gradients.T
    found = np.linalg.lstsq(products, gradients @ (a - b).ravel(), rcond=None)[0]
    return -float(found[0]), -float(found[1])


def _y_channels(
    image: np.ndarray, truth: np.ndarray, border: int, *, smallest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Checks two images and gives their Y channels without the border."""
    border = checks.whole("scale", border)
    image, truth = _checked("image", image), _checked("truth", truth)
    if image.shape != truth.shape:
        raise ValueError(f"images have shapes {image.shape} and {truth.shape}")
    side = min(image.shape[:2]) - 2 * border
    if side < smallest:
        raise ValueError(
            f"image is {image.shape[0]} x {image.shape[1]}: {max(side, 0)} pixels are "
            f"left without {border} (scale) at each border; {smallest} are needed"
        )
    inside = (slice(border, -border),) * 2
    return _y(image)[inside], _y(truth)[inside]


def _checked(name: str, pixels: np.ndarray) -> np.ndarray:
    """An image in [0, 1] with 1 or 3 channels, as a NumPy array."""
    checks.known(name, pixels)
    checks.floating(name, pixels, (3,))
    pixels = np.asarray(pixels)
    check_unit_range(name, pixels)
    if pixels.shape[2] not in (1, 3):
        raise ValueError(f"{name} has {pixels.shape[2]} channels; it must have 1 or 3")
    return pixels


def _y(image: np.ndarray) -> np.ndarray:
    """Y of MATLAB's rgb2ycbcr (BT.601), 16 to 235, rounded."""
    rgb = np.broadcast_to(
        np.rint(255 * image.astype(np.float64)), (*image.shape[:2], 3)
    )
    return np.rint(16 + rgb @ np.array([65.481, 128.553, 24.966]) / 255)
