"""Super-resolution with a known kernel: every method behind one registry.

A method is a function in a file of its own, listed in `METHODS`. It makes one jump of
one scale; `super_resolve` checks the input and strings the jumps together.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.app.resources import available_memory
from kernelgan_jax.config import NOISE_UNIT, SRConfig
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.pixels import from_array, to_unit
from kernelgan_jax.super_resolution import bicubic
from kernelgan_jax.super_resolution.zssr.method import zssr, zssr_fast

Progress = Callable[[int, int, float], None]
"""Called with the steps done, the steps at most, and the last loss."""


class Method(Protocol):
    """Enlarges one image by one jump."""

    def __call__(
        self,
        key: jax.Array,
        image: np.ndarray,
        kernels: tuple[np.ndarray, ...],
        *,
        scale: int,
        fathers: tuple[np.ndarray, ...],
        config: SRConfig,
        progress: Progress | None,
    ) -> np.ndarray:
        """Enlarges `image` (`H x W x C` float32 in [0, 1]) by `scale`.

        `kernels` are aligned for `scale` and equally likely; one if it is known for
        sure. `fathers` are the images to learn from: `image` itself and its
        enlargements of earlier jumps. Returns `sH x sW x C`, alike.
        """


METHODS: dict[str, Method] = {
    "bicubic": bicubic.bicubic,
    "zssr": zssr,
    "zssr_fast": zssr_fast,
}


class Jump(NamedTuple):
    """One enlargement of the LR image: always from LR, by `scale`, with `kernel`."""

    scale: int
    kernel: np.ndarray
    """`h x w` correlation kernel; it is normalised and aligned before its use."""
    widths: tuple[float, ...] = (1.0,)
    """Factors on the kernel's width that are equally likely; see `UNCERTAIN`."""


UNCERTAIN = (0.65, 1.0, 1.35)
"""`Jump.widths` of an estimated kernel that is not sure.

Estimates err in width by about this much, and one that is too wide ruins the image: it
is learned from with all three, which costs little where the estimate is good and leaves
no image of the benchmark below bicubic (README of `benchmarks/`). Not from the paper.
"""


DEFAULT = SRConfig()


def super_resolve(
    key: jax.Array,
    image: Any,
    jumps: tuple[Jump, ...],
    *,
    config: SRConfig = DEFAULT,
    progress: Progress | None = None,
) -> np.ndarray:
    """Enlarges an image that was downscaled with a known kernel.

    Args:
      key: JAX random key.
      image: `H x W`, `H x W x 1` or `H x W x 3`: uint8, uint16, or floating point in
        [0, 1].
      jumps: The last one makes the result. Results of earlier ones, of smaller scales,
        join the images that it learns from (ZSSR, section 3.2, gradual SR).
      config: Settings; `config.method` is a name in `METHODS`.
      progress: Called now and then in each jump.

    Returns:
      `sH x sW x C` float32 in [0, 1], C = 1 or 3, s the scale of the last jump, aligned
      with the bicubic enlargement of the image.

    Raises:
      ValueError: If the image, a kernel or the method cannot be used, or the result
        would not fit in memory.
    """
    if config.method not in METHODS:
        raise ValueError(
            f"config.sr.method is {config.method!r}; it must be {' or '.join(METHODS)}"
        )
    method = METHODS[config.method]
    pixels = from_array(image)
    height, width = pixels.shape[:2]
    check_size((height, width), jumps[-1].scale, config)
    if config.method != "bicubic":
        for jump in jumps:
            kernels.check(jump.kernel, scale=jump.scale, image_shape=(height, width))
    unit = to_unit(pixels)
    fathers: tuple[np.ndarray, ...] = (unit,)
    for i, jump in enumerate(jumps):
        result = method(
            jax.random.fold_in(key, i),
            unit,
            tuple(
                kernels.centre(kernels.scale_width(jump.kernel, width), jump.scale)
                for width in jump.widths
            ),
            scale=jump.scale,
            fathers=fathers,
            config=config,
            progress=progress,
        )
        fathers = (*fathers, result)
    return result


def plan(
    scale: int, estimate: KernelEstimate | None, kernel: np.ndarray | None = None
) -> tuple[Jump, ...]:
    """The jumps to a scale: one with a kernel that is known or sure, else gradual.

    An estimate that did not converge can be far off and ruin the image: the bicubic
    kernel takes its place.

    Args:
      scale: Positive integer.
      estimate: The estimate, if the kernel is not known, of this scale.
      kernel: The known kernel of this scale, or None.

    Raises:
      ValueError: If there is no kernel for the scale.
    """
    if kernel is not None:
        return (Jump(scale, kernel),)
    if estimate is None:
        raise ValueError("there is neither an estimate nor a known kernel")
    if not estimate.converged:
        return (Jump(scale, blur_kernels.bicubic(scale)),)
    if scale == 4 and estimate.kernel_x4 is None:
        raise ValueError("the estimate has no x4 kernel; estimate it with scale=4")
    if scale != 4 and scale != estimate.scale:
        raise ValueError(f"the estimate is of scale {estimate.scale}, not {scale}")
    kernel = estimate.kernel if scale != 4 else estimate.wanted
    if estimate.sure:
        return (Jump(scale, kernel),)
    return uncertain(scale, kernel, estimate.kernel if scale == 4 else None)


def uncertain(
    scale: int, kernel: np.ndarray, kernel_x2: np.ndarray | None = None
) -> tuple[Jump, ...]:
    """The jumps with an estimated kernel; gradual if the x2 kernel is known, too."""
    last = Jump(scale, kernel, UNCERTAIN)
    return (last,) if kernel_x2 is None else (Jump(2, kernel_x2, UNCERTAIN), last)


NOISE = 1.0 / 255
"""Least noise, as a fraction of the range, that is heeded: rounding alone makes 0.3."""


def adapt_to_noise(config: SRConfig, noise: float) -> SRConfig:
    """The settings for an image with white noise, unless they tell of noise already.

    Sons then get as much of it as the image has, as the learned network would amplify
    it otherwise, and the result is not made to agree with the noisy image.

    Args:
      config: Settings.
      noise: Standard deviation in each channel, as a fraction of the range.
    """
    if noise < NOISE or config.noise_scale > 0:
        return config
    return dataclasses.replace(
        config, noise_scale=min(noise / NOISE_UNIT, 9), back_projections=0
    )


def note(shape: tuple[int, int], config: SRConfig) -> str:
    """How an image of this shape is super-resolved, if otherwise than expected."""
    if config.method == "bicubic" or min(shape) >= config.crop:
        return ""
    return f"from crops smaller than {config.crop}, as the image is"


def check_size(shape: tuple[int, int], scale: int, config: SRConfig) -> None:
    """Checks that the enlarged image is of a size that can be held.

    Raises:
      ValueError: If it is not, or the image is too small to learn from.
    """
    height, width = shape
    # Three channels, float32, and the copies that the writer and the tiles need.
    need = 40 * height * width * scale**2
    available = available_memory()
    if need > available:
        raise ValueError(
            f"image is {width}x{height} pixels; enlarged by {scale} it needs about "
            f"{need / 2**30:.1f} GiB and {available / 2**30:.1f} GiB are free; crop "
            "it, or pass --sr=none for its kernel alone"
        )
    if config.method != "bicubic" and min(height, width) < 8 * scale:
        raise ValueError(
            f"image is {width}x{height} pixels; to learn an enlargement by {scale} it "
            f"needs {8 * scale} at each side; --sr=bicubic needs none"
        )
