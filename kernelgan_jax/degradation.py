"""Downscaling with an SR kernel, its adjoint and its regularised inverse.

Alignment, for the whole project: pixel `i` of an image covers the interval `[i, i +
1)`, so that resizing keeps the corners of the image (not the centres of its corner
pixels) in place, as MATLAB's `imresize` does: LR pixel `i` sits at HR position `s*i +
(s - 1)/2`. A kernel therefore has its centre of mass there too (see `kernels.py`), and
the bicubic enlargement of an LR image lies on top of its HR image (`resize.py`).

Images are `H x W x C` (or `H x W`). In JAX all three operators can be differentiated
twice, and work under `jit`, `vmap`, `grad`, `checkpoint`, `shard_map` and in `scan`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from kernelgan_jax import checks, transfer_functions
from kernelgan_jax.correlation import Mode, correlate
from kernelgan_jax.exact_products import EXACT

BOUNDARIES: dict[str, Mode] = {"mirror": "symmetric", "wrap": "wrap"}
"""Values outside of an image, with NumPy's names for them."""


def downscale(image: Any, kernel: Any, scale: int, *, boundary: str = "mirror") -> Any:
    """Downscales an image with an SR kernel: correlation, then subsampling.

    `LR[i, j] = sum_uv kernel[u, v] image[scale*i + u - h//2, scale*j + v - w//2]`.
    Linear in the image and in the kernel.

    Args:
      image: `H x W` or `H x W x C`, floating point, NumPy or JAX. Sums are computed in
        float64 in NumPy, and in JAX in float32 unless the image is float64.
      kernel: `h x w` correlation kernel, floating point, NumPy or JAX; in JAX no larger
        than the image.
      scale: Positive integer.
      boundary: Values outside of the image: `mirror` (the edge pixel is repeated) or
        `wrap`.

    Returns:
      `ceil(H/scale) x ceil(W/scale) [x C]`, of the image's dtype; NumPy if image and
      kernel are, else JAX.

    Raises:
      ValueError: If an argument is out of range, the kernel is not finite (in NumPy),
        or the kernel is too large (in JAX).

    Example:
      >>> image = np.arange(16.0).reshape(4, 4)
      >>> downscale(image, np.full((2, 2), 0.25), 2).tolist()
      [[0.0, 1.5], [6.0, 7.5]]
    """
    scale = _check(image, kernel, scale)
    if not isinstance(boundary, str) or boundary not in BOUNDARIES:
        legal = " or ".join(BOUNDARIES)
        raise ValueError(f"boundary is {boundary!r}; it must be {legal}")
    mode = BOUNDARIES[boundary]
    if not (isinstance(image, jax.Array) or isinstance(kernel, jax.Array)):
        result = correlate(image, kernel, scale=scale, mode=mode)
        return result.astype(image.dtype, copy=False)
    if any(k > side for k, side in zip(kernel.shape, image.shape[:2], strict=True)):
        raise ValueError(
            f"kernel is {kernel.shape}; it must be no larger than the image "
            f"{image.shape[:2]}"
        )
    image = jnp.asarray(image)
    before = [side // 2 for side in kernel.shape]
    pad = [(b, side - 1 - b) for b, side in zip(before, kernel.shape, strict=True)]
    planes = image[None] if image.ndim == 2 else jnp.moveaxis(image, -1, 0)
    exact = _precision(image)
    padded = jnp.pad(planes.astype(exact), ((0, 0), *pad), mode=mode)
    # Colours are the batch: one filter for all.
    out = jax.lax.conv_general_dilated(
        padded[:, None],
        jnp.asarray(kernel, exact)[None, None],
        (scale, scale),
        "VALID",
        precision=EXACT,
    )[:, 0].astype(image.dtype)
    return out[0] if image.ndim == 2 else jnp.moveaxis(out, 0, -1)


def downscale_adjoint(
    image: ArrayLike,
    kernel: ArrayLike,
    scale: int,
    *,
    shape: tuple[int, int],
    boundary: str = "mirror",
) -> jax.Array:
    """The exact adjoint (transpose) of `downscale` as a linear map of the image.

    `<downscale(x), y> = <x, downscale_adjoint(y)>`: zeros between the pixels of `y`,
    then convolution with the kernel, then folding in what fell outside.

    Args:
      image: `h x w [x C]`, an LR image, floating point.
      kernel: Correlation kernel, floating point, no larger than `shape`.
      scale: Positive integer.
      shape: (H, W) of the HR image: `h = ceil(H/scale)`, `w = ceil(W/scale)`.
      boundary: Values outside of the HR image: `mirror` or `wrap`.

    Returns:
      `H x W [x C]`, a JAX array of the image's dtype.

    Raises:
      ValueError: If an argument is out of range or the shapes do not belong together.

    Example:
      >>> lr = np.ones((1, 2), np.float32)
      >>> downscale_adjoint(lr, np.float32([[0.25, 0.75]]), 2, shape=(2, 4)).tolist()
      [[1.0, 0.25, 0.75, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    image = checks.jax_array("image", image)
    kernel = checks.jax_array("kernel", kernel)
    scale = _check(image, kernel, scale)
    checks.sequence("shape", shape)
    sides = [checks.whole("shape", side) for side in shape]
    if tuple(-(-side // scale) for side in sides) != image.shape[:2]:
        raise ValueError(
            f"shape is {shape}; downscaled by {scale} it must give the image's "
            f"{image.shape[:2]}"
        )

    def forward(x: jax.Array) -> jax.Array:
        return downscale(x, kernel, scale, boundary=boundary)

    wide = jnp.zeros_like(image, shape=(*sides, *image.shape[2:]))  # for its type
    (out,) = jax.linear_transpose(forward, wide)(image)
    return out


def downscale_inverse(
    image: ArrayLike,
    kernel: ArrayLike,
    scale: int,
    *,
    noise_variance: ArrayLike,
    guess: ArrayLike | None = None,
    spectrum: ArrayLike = 1.0,
) -> jax.Array:
    """The regularised inverse of `downscale` with `boundary="wrap"`, in closed form.

    It minimises

        |downscale(x) - image|^2 / noise_variance + |x - guess|^2 / spectrum

    where the second term is taken frequency by frequency. A spectrum that is a number
    gives Tikhonov's inverse. The power spectrum of `x - guess` gives Wiener's, the mean
    of `x` given the image, if `noise_variance` is the variance of the noise.
    Subsampling folds scale x scale frequencies onto one, so that two FFTs suffice.

    Images that do not wrap around have ringing at their edges unless padded or tapered.

    Args:
      image: `h x w [x C]`, an LR image, floating point; bfloat16 and float16 are
        computed in float32.
      kernel: Correlation kernel, no larger than `scale*h x scale*w`.
      scale: Positive integer.
      noise_variance: Variance of the noise, or the weight of the regularisation: a
        positive number, at least 1.1e-19 in float32.
      guess: `scale*h x scale*w [x C]`, the answer where the image says nothing; zeros
        if not given.
      spectrum: A finite number, at least 0, or `scale*h x scale*w` of them, the
        frequencies in the order of `jnp.fft.fft2`.

    Returns:
      `scale*h x scale*w [x C]`, a JAX array of the image's dtype.

    Raises:
      ValueError: If an argument is out of range or the shapes do not belong together.

    References:
      Zhao, Wei, Basarab, Dobigeon, Kouamé, Tourneret, "Fast Single Image
      Super-Resolution Using a New Analytical Solution for l2-l2 Problems", IEEE TIP
      2016, theorem 1.
      Zhang, Van Gool, Timofte, "Deep Unfolding Network for Image Super-Resolution",
      CVPR 2020: the data step of USRNet.

    Example:
      >>> lr, kernel = np.ones((3, 3)), np.full((2, 2), 0.25)
      >>> hr = downscale_inverse(lr, kernel, 2, noise_variance=0.25)
      >>> hr.shape, round(float(hr.mean()), 3)
      ((6, 6), 0.5)
    """
    image = checks.jax_array("image", image)
    kernel = checks.jax_array("kernel", kernel)
    scale = _check(image, kernel, scale)
    exact = _precision(image)
    # Below that, a frequency that the kernel removes would be divided by 0.
    smallest = float(jnp.finfo(exact).tiny) ** 0.5
    checks.number("noise_variance", noise_variance, minimum=smallest)
    height, width = (scale * side for side in image.shape[:2])
    if np.shape(spectrum) not in ((), (height, width)):
        raise ValueError(
            f"spectrum has shape {np.shape(spectrum)}; it must be a number or "
            f"{(height, width)}"
        )
    checks.unmasked("spectrum", spectrum)
    checks.unmasked("guess", guess)
    if not checks.traced(spectrum):
        checks.finite("spectrum", spectrum)
        least, largest, top = np.min(spectrum), np.max(spectrum), jnp.finfo(exact).max
        if not 0 <= least <= largest <= top:
            raise ValueError(
                f"spectrum has values from {least} to {largest}, not from 0 to {top:g}"
            )
    noise, spectrum = jnp.asarray(noise_variance, exact), jnp.asarray(spectrum, exact)
    wide = (height, width, *image.shape[2:])
    guess = checks.jax_array("guess", np.zeros(wide) if guess is None else guess)
    if guess.shape != wide:
        raise ValueError(f"guess has shape {guess.shape}; it must be {wide}")
    checks.finite("guess", guess)
    guess = guess.astype(exact)

    # x = guess + P K* (K P K* + noise)^-1 (image - K guess), K with subsampling.
    missing = image.astype(exact) - downscale(guess, kernel, scale, boundary="wrap")
    transfer = transfer_functions.on_grid(kernel.astype(exact), (height, width))
    # Not abs(transfer)**2: its second derivative is lost where the transfer is 0.
    gain = transfer.real**2 + transfer.imag**2
    power = jnp.broadcast_to(spectrum, (height, width)) * gain
    folded = power.reshape(scale, height // scale, scale, width // scale).mean((0, 2))

    back = spectrum.astype(transfer.dtype) * transfer.conj()

    def solve(plane: jax.Array) -> jax.Array:
        answer = jnp.fft.fft2(plane) / (folded + noise).astype(transfer.dtype)
        return jnp.fft.ifft2(back * jnp.tile(answer, (scale, scale))).real

    if image.ndim == 3:
        solve = jax.vmap(solve, in_axes=-1, out_axes=-1)
    return (guess + solve(missing)).astype(image.dtype)


def _precision(image: Any) -> Any:
    """The type in which sums of an image's pixels are computed."""
    return np.float32 if image.dtype.itemsize < 8 else np.float64


def _check(image: Any, kernel: Any, scale: int) -> int:
    checks.floating("image", image, (2, 3))
    checks.floating("kernel", kernel, (2,))
    checks.finite("kernel", kernel)
    return checks.scale(scale)
