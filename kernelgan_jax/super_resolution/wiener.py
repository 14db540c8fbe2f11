"""Super-resolution in closed form: the Wiener filter of a known kernel.

The LR image is `y = D K x + noise`: correlation with the kernel (transfer function K on
the HR grid), subsampling by s (D), white noise of variance n^2. If the HR image x is a
stationary process of power spectrum S, the linear estimate of least squared error is

    X = S conj(K) Y / (mean over the s^2 aliases of S |K|^2 + n^2)

where Y, the transform of y, repeats s times along each axis of the HR grid. If the
kernel itself is uncertain, the denominator also holds the expected power of what the
kernel's error lets through, `u^2 S |w . dK/dw|^2` for a relative error of standard
deviation u in its width: the filter then trusts high frequencies less.

Everything here is for one image `H x W x C` in [0, 1], pure, differentiable in image
and kernel, and can be jitted and vmapped.

References:
  Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949.
  Zhao, Wei, Basarab, Dobigeon, Kouamé, Tourneret, "Fast Single Image Super-Resolution
  Using a New Analytical Solution for l2-l2 Problems", IEEE TIP 2016 (the aliases).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from kernelgan_jax import checks
from kernelgan_jax.power_spectra import fitted_spectrum, natural_spectrum
from kernelgan_jax.super_resolution import periodic

MIN_NOISE_STD = 0.3 / 255
"""Least noise that the filter assumes: rounding to 8 bits makes 0.29 gray levels."""


def wiener_filter(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    scale: int,
    noise_std: ArrayLike = 0.0,
    kernel_std: ArrayLike = 0.0,
    spectrum: Any = None,
) -> jax.Array:
    """Enlarges an image with the Wiener filter of its kernel.

    Args:
      image: `H x W x C`, floating point in [0, 1].
      kernel: `h x w` correlation kernel, aligned for `scale`, sum 1; no larger than the
        HR image.
      scale: Positive integer; 1 is deblurring.
      noise_std: Standard deviation of the noise of each channel, as a fraction of the
        range; `MIN_NOISE_STD` is assumed if it is less.
      kernel_std: Relative standard deviation of the kernel's width; 0 if it is known.
      spectrum: What the spectral likelihood has fitted to the image
        (`Evidence.spectrum`), or None for `natural_spectrum`.

    Returns:
      `scale*H x scale*W x C`, not clipped, of the image's dtype; computed in float32.

    Raises:
      ValueError: If an argument is out of range, or the kernel too large, not finite or
        of another sum.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax import blur_kernels
      >>> from kernelgan_jax.super_resolution import wiener_filter
      >>> image = np.full((20, 24, 1), 0.5, np.float32)
      >>> kernel = blur_kernels.gaussian(9, variances=(2.0, 1.0), scale=2)
      >>> wiener_filter(image, kernel.astype(np.float32), scale=2).shape
      (40, 48, 1)
    """
    image = checks.jax_array("image", image)
    kernel = checks.jax_array("kernel", kernel)
    check(image, kernel, scale, noise_std=noise_std, kernel_std=kernel_std)
    check_kernel(image, kernel, scale)
    if spectrum is not None and not hasattr(spectrum, "log_amplitude"):
        raise ValueError(f"spectrum is {spectrum!r}; it must be as Evidence.spectrum")
    height, width = image.shape[:2]
    inner = (
        periodic.wrapped_size(height, scale=scale),
        periodic.wrapped_size(width, scale=scale),
    )
    grid = (scale * inner[0], scale * inner[1])
    pixels = periodic.wrap(image.astype(jnp.float32), inner)
    signal = (
        jnp.asarray(natural_spectrum(grid))
        if spectrum is None
        else fitted_spectrum(spectrum, grid, scale=scale)
    )
    noise = jnp.maximum(jnp.asarray(noise_std, jnp.float32), MIN_NOISE_STD)
    (out,) = periodic.invert(
        pixels,
        periodic.blur(kernel.astype(jnp.float32), grid, scale=scale),
        signal[None],
        noise[None] ** 2,
        jnp.asarray(kernel_std, jnp.float32)[None],
        scale,
    )
    return out[: scale * height, : scale * width].astype(image.dtype)


def check(image: Any, kernel: Any, scale: int, **numbers: Any) -> None:
    """Checks the arguments of a super-resolution with a kernel.

    Args:
      image: Must be `H x W x C`, C 1 or 3, floating point.
      kernel: Must be `h x w`, floating point, finite if it is not traced.
      scale: Must be a positive integer.
      **numbers: Each must be one finite number, at least 0.

    Raises:
      ValueError: If one of them is not.
    """
    scale = checks.scale(scale)
    checks.floating("image", image, (3,))
    if image.shape[2] not in (1, 3):
        raise ValueError(f"image has {image.shape[2]} channels; it must have 1 or 3")
    checks.floating("kernel", kernel, (2,))
    checks.finite("kernel", kernel)
    for name, value in numbers.items():
        checks.number(name, value)


def check_kernel(image: Any, kernel: Any, scale: int) -> None:
    """Checks that a kernel sums to 1, if known, and is no larger than the HR image.

    Raises:
      ValueError: If it is larger or has another sum.
    """
    largest = tuple(scale * side for side in image.shape[:2])
    if any(k > n for k, n in zip(kernel.shape, largest, strict=True)):
        raise ValueError(
            f"kernel is {kernel.shape}; it must be no larger than the HR image, "
            f"{largest}"
        )
    checks.unit_sum("kernel", kernel)
