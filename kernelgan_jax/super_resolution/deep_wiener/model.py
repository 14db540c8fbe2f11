"""The network's parameters, and the network as a pure function."""

import jax
import jax.numpy as jnp
from flax.errors import FlaxError
from jax.typing import ArrayLike

from kernelgan_jax import checks
from kernelgan_jax.super_resolution import wiener
from kernelgan_jax.super_resolution.deep_wiener.config import SCALES
from kernelgan_jax.super_resolution.deep_wiener.network import (
    FACTORS,
    MAX_KERNEL,
    DeepWiener,
    Params,
)


def init(key: jax.Array, *, network: DeepWiener | None = None) -> Params:
    """Random parameters of all scales.

    Args:
      key: JAX random key.
      network: The network; the default one if not given.

    Returns:
      A nested dictionary of float32 arrays.

    Raises:
      ValueError: If `key` is not one JAX key, or `network` not a `DeepWiener`.
    """
    checks.key("key", key)
    network = _network(network)
    merged: Params = {}
    for scale in SCALES:
        size = MAX_KERNEL // scale + 1
        number = jnp.float32(0)
        params = network.init(
            key,
            jnp.zeros((size, size, 3)),
            jnp.zeros((9, 9)),
            number,
            number,
            number,
            scale=scale,
        )
        merged = {**params["params"], **merged}
    return merged


def apply(
    params: Params,
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    scale: int,
    noise_std: ArrayLike = 0.0,
    kernel_std: ArrayLike = 0.0,
    jpeg: ArrayLike = 0.0,
    wraps: bool = False,
    network: DeepWiener | None = None,
) -> jax.Array:
    """Enlarges an image with a kernel.

    Pure and differentiable; may be jitted and vmapped (one compilation for each shape
    of image and kernel). Of its arguments `scale`, `wraps` and `network` are static:
    `jax.jit(apply, static_argnames=("scale", "wraps", "network"))`.

    Args:
      params: As `init` gives them, or a file of weights.
      image: `H x W x C`, C 1 or 3, floating point in [0, 1].
      kernel: `h x w` correlation kernel, aligned for `scale`, sum 1; at most
        `MAX_KERNEL` at each side and no larger than the HR image.
      scale: In `SCALES`; 1 is deblurring.
      noise_std: Standard deviation of the noise of each channel, as a fraction of the
        range.
      kernel_std: Relative standard deviation of the kernel's widths, as a posterior has
        it; 0 for a known kernel. The larger it is, the more cautious the result.
      jpeg: Strength of JPEG compression, `(100 - quality) / 100`; 0 if there is none,
        at most 1.
      wraps: Whether the image continues at its other side, as textures do; both sides
        are then multiples of `FACTORS[scale] / scale`.
      network: The network that `params` belong to; the default one if not given.

    Returns:
      `scale*H x scale*W x C`, not clipped, of the image's dtype; computed in float32.

    Raises:
      ValueError: If an argument is out of range.
    """
    image = checks.jax_array("image", image)
    kernel = checks.jax_array("kernel", kernel)
    if checks.scale(scale) not in SCALES:
        legal = ", ".join(map(str, SCALES))
        raise ValueError(f"scale is {scale!r}; it must be one of: {legal}")
    wiener.check(image, kernel, scale, noise_std=noise_std, kernel_std=kernel_std)
    checks.number("jpeg", jpeg, maximum=1)
    if max(kernel.shape) > MAX_KERNEL:
        raise ValueError(
            f"kernel is {kernel.shape}; it must be at most {MAX_KERNEL} at each side"
        )
    wiener.check_kernel(image, kernel, scale)
    unit = FACTORS[scale] // scale
    if wraps and any(side % unit for side in image.shape[:2]):
        raise ValueError(
            f"image is {image.shape[:2]}; its sides must be multiples of {unit} if it "
            "wraps"
        )
    pixels = jnp.broadcast_to(image.astype(jnp.float32), (*image.shape[:2], 3))
    try:
        result: jax.Array = _network(network).apply(  # type: ignore[assignment]
            {"params": params},
            pixels,
            kernel.astype(jnp.float32),
            *(jnp.asarray(x, jnp.float32) for x in (noise_std, kernel_std, jpeg)),
            scale=scale,
            wraps=wraps,
        )
    except FlaxError as error:
        raise ValueError(
            "params are those of another network; pass it as network="
        ) from error
    mean = result.mean(-1, keepdims=True)
    if image.shape[2] == 1:
        return mean.astype(image.dtype)
    gray = (pixels == pixels[..., :1]).all()
    return jnp.where(gray, mean, result).astype(image.dtype)


def _network(network: DeepWiener | None) -> DeepWiener:
    """The network that is given, checked, or the default one."""
    if network is None:
        return DeepWiener()
    if not isinstance(network, DeepWiener):
        raise ValueError(f"network is {network!r}; it must be a DeepWiener")
    return network
