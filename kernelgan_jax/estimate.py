"""From an image to its kernel: runs KernelGAN, compiled, and cleans its kernel.

The algorithm is compiled once, here: `jit` over a `scan` of a chunk of steps. The
chunk's crops are cut on the host (5 MB per 100 steps), so that images of all sizes
share one compiled program and a photo of any size takes little memory.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import crops, images, kernels
from kernelgan_jax.config import Config
from kernelgan_jax.kernelgan import Batch, State, generator_kernel, kernelgan

CHUNK = 100
"""Steps that run on the device between two looks at the losses."""

SUM_TOLERANCE = 0.1
"""Largest distance from 1 of a good generator's sum; failed ones are far off."""

DEFAULT = Config()


class KernelEstimate(NamedTuple):
    """The estimated kernel of one image.

    All arrays are NumPy's; kernels are as `kernelgan_jax.kernels` states.
    """

    kernel: np.ndarray
    """The x2 kernel: cleaned, centred, non-negative up to interpolation, sum 1."""
    kernel_x4: np.ndarray | None
    """The x4 kernel, if `config.scale` is 4."""
    raw_kernel: np.ndarray
    """`n x n` kernel of the generator, as trained."""
    history: dict[str, np.ndarray]
    """Losses (see `kernelgan.Info`), a value a step."""
    converged: bool
    """Whether training ended as it should; if not, do not trust the kernel."""
    reason: str
    """Why it did not converge, in a few words; empty if it did."""


def estimate_kernel(
    key: jax.Array,
    image: Any,
    *,
    config: Config = DEFAULT,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> KernelEstimate:
    """Finds the kernel that an image was downscaled with (KernelGAN).

    The same key, image and config give the same kernel bit for bit on the same machine
    and versions.

    Args:
      key: JAX random key.
      image: `H x W`, `H x W x 1` or `H x W x 3`: uint8, uint16, or floating point in
        [0, 1]. Both sides at least `config.minimum_side` pixels.
      config: Settings.
      progress: Called every 100 steps with the number of steps done and the last
        losses.

    Returns:
      The estimate. Training that fails is no error: `converged` is then False, and the
      kernel what the last finite kernel of training gives.

    Raises:
      ValueError: If the image is of a wrong shape or type, has values out of range, is
        smaller than `config.minimum_side` at one side, or has no structure at all.
    """
    image = training_image(image, config)
    init_key, crop_key, train_key = jax.random.split(key, 3)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(crop_key)))
    sides = (config.generator_crop, config.discriminator_crop)
    maps = crops.probability_maps(image, *sides)
    corners = [
        crops.sample_corners(rng, probability, side, config.iterations)
        for probability, side in zip(maps, sides, strict=True)
    ]

    # Settings of the super-resolution are no reason to compile again.
    init, train = _compiled(dataclasses.replace(config, sr=DEFAULT.sr))
    state, history = init(init_key), []
    raw_kernel = np.zeros((config.kernel_size,) * 2, np.float32)
    for start in range(0, config.iterations, CHUNK):
        generator_crops, discriminator_crops = (
            crops.cut(image, c[start : start + CHUNK], side)
            for c, side in zip(corners, sides, strict=True)
        )
        batch = Batch(jnp.asarray(generator_crops), jnp.asarray(discriminator_crops))
        state, kernel, losses = train(train_key, state, batch)
        history.append(jax.device_get(losses))
        if not np.isfinite(kernel).all():
            break
        raw_kernel = np.asarray(kernel)
        if progress is not None:
            last = {name: float(values[-1]) for name, values in history[-1].items()}
            progress(start + len(batch.generator), last)

    joined = {name: np.concatenate([h[name] for h in history]) for name in history[0]}
    return _finish(config, raw_kernel, joined)


def training_image(image: Any, config: Config) -> np.ndarray:
    """Checks an image and takes the part that is trained on.

    Returns:
      `H x W x 3` float32 in [0, 1], with even sides.

    Raises:
      ValueError: As `estimate_kernel`.
    """
    pixels = images.from_array(image)
    height, width = pixels.shape[:2]
    if min(height, width) < config.minimum_side:
        raise ValueError(
            f"image is {width}x{height} pixels; the smallest usable side is "
            f"{config.minimum_side} (a training crop of {config.generator_crop} and a "
            f"border of {config.border} at each side)"
        )
    place = crops.training_window(
        pixels, config.border, config.max_pixels, config.generator_crop
    )
    window = images.to_unit(pixels[place])
    if np.ptp(crops.gray(window)) < 1e-6:
        raise ValueError("image is constant: there is nothing to see a kernel by")
    return np.broadcast_to(window, (*window.shape[:2], 3))


@functools.lru_cache(maxsize=8)
def _compiled(config: Config) -> tuple[Callable[..., State], Callable[..., Any]]:
    """`init` and a chunk of steps, jitted; one compilation for all images."""
    init, step = kernelgan(config)

    def train(key: jax.Array, state: State, batches: Batch) -> Any:
        def body(state: State, batch: Batch) -> Any:
            state, info = step(jax.random.fold_in(key, state.step), state, batch)
            losses = info._asdict()
            del losses["kernel"]
            return state, losses

        state, losses = jax.lax.scan(body, state, batches)
        return state, generator_kernel(state), losses

    return jax.jit(init), jax.jit(train, donate_argnames="state")


def _finish(
    config: Config, raw_kernel: np.ndarray, history: dict[str, np.ndarray]
) -> KernelEstimate:
    """Cleans and centres the kernel, and judges how training ended."""
    raw = raw_kernel.astype(np.float64)
    steps = len(history["generator_loss"])
    reason = ""
    if steps < config.iterations or not np.isfinite(history["generator_loss"]).all():
        reason = f"training diverged within {steps} steps"
    elif history["bicubic_weight"][-1] >= config.constraints_below:
        reason = f"the warm start did not end within {steps} steps"
        if config.warm_start == "summed":  # it cannot, where colours are strong
            reason += "; try --config.warm_start=per_channel"
    elif abs(raw.sum() - 1) > SUM_TOLERANCE:
        reason = f"the generator's kernel sums to {raw.sum():.2f}, not 1"
    try:
        kernel = kernels.remove_floor(raw, config.floor, config.floor_rank)
    except ValueError:  # nothing positive is left
        kernel, reason = (
            np.full_like(raw, 1 / raw.size),
            reason or "no kernel was found",
        )
    kernel = kernels.normalise(kernels.centre(kernel, 2))
    x4 = kernels.kernel_x4(kernel) if config.scale == 4 else None
    return KernelEstimate(kernel, x4, raw_kernel, history, not reason, reason)
