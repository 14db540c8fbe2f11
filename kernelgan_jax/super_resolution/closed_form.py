"""The method `wiener`: super-resolution in closed form, without any training.

`wiener.py` has the filter of one image. Here it is compiled, once for each shape, and
applied to large images tile by tile.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import kernels, programs
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import Progress, ProgressCallback, Spectrum
from kernelgan_jax.exact_products import matmul
from kernelgan_jax.pixels import LUMA, LUMA_NORM
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.super_resolution.tiles import apply_tiled
from kernelgan_jax.super_resolution.wiener import wiener_filter

TILE = 512
"""Side of a tile with its margins, LR pixels."""

MARGIN = 48
"""Margin of a tile, LR pixels. The filter reaches further, but with values so small
that tiles agree with the whole image to one gray level (tested)."""


def enlarge(
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
            restore(
                image,
                stage.aligned_kernel(image_shape=image.shape),
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


def restore(
    image: np.ndarray,
    kernel: np.ndarray,
    *,
    scale: int,
    noise_std: float = 0.0,
    kernel_std: float = 0.0,
    spectrum: Spectrum | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:
    """Enlarges an image of any size as `wiener_filter` does, which has its arguments.

    Args:
      bounds: The range of the result.

    Returns:
      `scale*H x scale*W x C` float32 within the bounds.
    """
    known = Known(noise_std, kernel_std, spectrum)
    enlarged = _tiled(image, kernel, known, scale=scale, continues=False)
    return np.clip(enlarged, *bounds)


def continued(
    image: np.ndarray,
    kernel: np.ndarray,
    unknown: np.ndarray,
    *,
    scale: int,
    noise_std: float = 0.0,
    spectrum: Spectrum | None = None,
) -> np.ndarray:
    """Continues an image where it is unknown, as its kernel would have blurred it.

    The image is enlarged, where it is known by the Wiener filter and elsewhere
    bicubically, and downscaled again.

    Args:
      image: `H x W x C` float32 in [0, 1], roughly filled where it is unknown.
      kernel: As `restore` takes it, as the rest.
      unknown: `H x W` bool.

    Returns:
      `H x W x C` float32: the image, with other values where it is unknown.
    """
    known = Known(noise_std, 0.0, spectrum)
    mask = unknown[..., None]
    both = np.concatenate([image, mask.astype(np.float32)], -1)
    blurred = _tiled(both, kernel, known, scale=scale, continues=True)
    return np.where(mask, blurred[..., :-1], image)


class Known(NamedTuple):
    """Inputs of the filter beside the image and the kernel."""

    noise_std: Any
    kernel_std: Any
    spectrum: Spectrum | None


def _tiled(
    image: np.ndarray, kernel: np.ndarray, known: Known, *, scale: int, continues: bool
) -> np.ndarray:
    """The compiled filter, or what `continued` does, on an image's tiles."""
    # Kernels of one size, where the image has room for it, share a program.
    room = min(kernels.frame_size(scale), scale * min(image.shape[:2]))
    framed = padded(kernel, room)
    program = compiled(scale, continues)
    inputs = known._replace(
        noise_std=np.float32(known.noise_std), kernel_std=np.float32(known.kernel_std)
    )

    def run(tile: np.ndarray) -> Any:
        if continues and not np.ptp(tile[..., -1]):
            return tile  # All is known, or nothing.
        return program(tile, framed, inputs)

    return apply_tiled(
        run, image, scale=1 if continues else scale, margin=MARGIN, tile=TILE
    )


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
def compiled(scale: int, continues: bool) -> Callable[..., jax.Array]:
    """The compiled filter of a scale, or what `continued` does.

    The latter takes the mask as the last channel of the image.
    """

    def enlarged(image: jax.Array, kernel: jax.Array, known: Known) -> jax.Array:
        filtered = functools.partial(
            wiener_filter,
            kernel=kernel,
            scale=scale,
            kernel_std=known.kernel_std,
            spectrum=known.spectrum,
        )
        if image.shape[-1] == 1:
            return filtered(image, noise_std=known.noise_std)
        # Luma has less noise than each channel, and can be restored further than the
        # colour differences.
        gray = matmul(image, jnp.asarray(LUMA, image.dtype))[..., None]
        gray_noise_std = known.noise_std * np.float32(LUMA_NORM)
        restored = filtered(gray, noise_std=gray_noise_std)
        return restored + filtered(image - gray, noise_std=known.noise_std)

    def downscaled(both: jax.Array, kernel: jax.Array, known: Known) -> jax.Array:
        image, mask = both[..., :-1], both[..., -1:]
        unknown = mask.repeat(scale, 0).repeat(scale, 1) > 0
        bicubic = bicubic_resize(image, scale)
        whole = jnp.where(unknown, bicubic, enlarged(image, kernel, known))
        return jnp.concatenate([downscale(whole, kernel, scale), mask], -1)

    return jax.jit(
        downscaled if continues else enlarged,
        compiler_options=programs.compiler_options(),
    )
