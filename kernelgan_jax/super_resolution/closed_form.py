"""The method `wiener`: super-resolution in closed form, without any training.

`wiener.py` has the filter of one image. Here it is compiled, once for each shape, and
applied to large images tile by tile.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.estimate import Progress, ProgressCallback, Spectrum
from kernelgan_jax.pixels import LUMA
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.super_resolution.tiles import apply_tiled
from kernelgan_jax.super_resolution.wiener import wiener_filter

TILE = 512
"""Side of a tile with its margins, LR pixels."""

MARGIN = 48
"""Margin of a tile, LR pixels. The filter reaches further, but with values so small
that tiles agree with the whole image to one gray level (tested)."""


def wiener(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    plans: Sequence[Plan],
    *,
    progress: ProgressCallback | None = None,
) -> list[np.ndarray]:
    """Enlarges images with the Wiener filters of their kernels; see `Enlarge`.

    The signal is the power spectrum that was fitted to the image, the noise that of the
    plan; luma is filtered apart from the colour differences. A plan with several widths
    is carried out with one filter that allows for them: it trusts high frequencies
    less.
    """
    del keys
    results = []
    for index, (image, planned) in enumerate(zip(images, plans, strict=True)):
        stage, evidence = planned.stages[-1], planned.evidence
        results.append(
            enlarge(
                image,
                kernels.centre(kernels.normalise(stage.kernel), planned.scale),
                scale=planned.scale,
                noise_std=planned.noise_std,
                kernel_std=float(np.std(stage.widths)),
                spectrum=None if evidence is None else evidence.spectrum,
                bounds=planned.bounds,
            )
        )
        if progress is not None:
            progress(Progress(index, "wiener", 1, 1))
    return results


def enlarge(
    image: np.ndarray,
    kernel: np.ndarray,
    *,
    scale: int,
    noise_std: float = 0.0,
    kernel_std: float = 0.0,
    spectrum: Spectrum | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:
    """Enlarges an image of any size with the Wiener filter of its kernel.

    Args:
      image: `H x W x C` float32 in [0, 1].
      kernel: `h x w` correlation kernel, aligned for `scale`, sum 1.
      scale: Positive integer; 1 is deblurring.
      noise_std: Standard deviation of the noise of each channel, as a fraction of the
        range.
      kernel_std: Relative standard deviation of the kernel's width.
      spectrum: What was fitted to the image; None for that of photographs in general.
      bounds: The range of the result.

    Returns:
      `scale*H x scale*W x C` float32 within the bounds.
    """
    # Kernels of one size, where the image has room for it, share a program.
    room = min(kernels.frame_size(scale), scale * min(image.shape[:2]))
    framed = padded(kernel, room)
    program = _compiled(scale)

    def restore(tile: np.ndarray) -> jax.Array:
        return program(
            tile,
            framed,
            noise_std=np.float32(noise_std),
            kernel_std=np.float32(kernel_std),
            spectrum=spectrum,
        )

    enlarged = apply_tiled(restore, image, scale=scale, margin=MARGIN, tile=TILE)
    return np.clip(enlarged, *bounds)


def padded(kernel: np.ndarray, size: int) -> np.ndarray:
    """A kernel with zeros around it, still aligned.

    Args:
      kernel: `h x w`.
      size: Least side of the result.

    Returns:
      float32, `size x size` unless the kernel is larger.
    """
    before = [max(size // 2 - side // 2, 0) for side in kernel.shape]
    widths = [
        (first, max(size - side - first, 0))
        for first, side in zip(before, kernel.shape, strict=True)
    ]
    return np.pad(kernel, widths).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _compiled(scale: int) -> Callable[..., jax.Array]:
    """The compiled filter of a scale."""

    @jax.jit
    def program(
        image: jax.Array,
        kernel: jax.Array,
        *,
        noise_std: jax.Array,
        kernel_std: jax.Array,
        spectrum: Spectrum | None,
    ) -> jax.Array:
        restore = functools.partial(
            wiener_filter,
            kernel=kernel,
            scale=scale,
            kernel_std=kernel_std,
            spectrum=spectrum,
        )
        if image.shape[-1] == 1:
            return restore(image, noise_std=noise_std)
        # Luma has less noise than each channel, and can be restored further than the
        # colour differences.
        gray = (image @ jnp.asarray(LUMA, image.dtype))[..., None]
        gray_noise_std = noise_std * np.float32(np.linalg.norm(LUMA))
        restored = restore(gray, noise_std=gray_noise_std)
        return restored + restore(image - gray, noise_std=noise_std)

    return program
