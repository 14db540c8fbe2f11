"""TODO docstring."""

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.config import DEFAULT, Config
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.estimators.kernelgan import crops
from kernelgan_jax.estimators.kernelgan.algorithm import (
    Batch,
    State,
    generator_kernel,
    kernelgan,
)
from kernelgan_jax.parallel import Progress
from kernelgan_jax.pixels import (
    check_structure,
    from_array,
    luma,
    textured_window,
    to_unit,
)

CHUNK = 100
"""Steps that run on the device between two looks at the losses."""


SUM_TOLERANCE = 0.1
"""Largest distance from 1 of a good generator's sum; failed ones are far off."""


class Prepared(NamedTuple):
    """An image ready for its estimator, of whatever size."""

    image: np.ndarray
    """`H x W x C` float32 in [0, 1]: what the estimator sees of it."""
    corners: tuple[np.ndarray, ...]
    """Of all steps' crops: the generator's and the discriminator's; empty for an
    estimator that does not train."""
    init_key: jax.Array
    train_key: jax.Array
    restarts: tuple["Prepared", ...] = ()
    """The same image for the trainings after the first."""

    def crops(self, start: int, config: Config) -> tuple[np.ndarray, np.ndarray]:
        sides = (config.generator_crop, config.discriminator_crop)
        first, last = start * config.crops, (start + CHUNK) * config.crops
        generator, discriminator = (
            crops.cut(self.image, corners[first:last], side).reshape(
                -1, config.crops, side, side, 3
            )
            for corners, side in zip(self.corners, sides, strict=True)
        )
        return generator, discriminator


def train(
    prepared: Sequence[Prepared],
    config: Config,
    vectorised: bool,
    tell: Progress,
) -> list[KernelEstimate]:
    """Trains on images: one, or if `vectorised` any number.

    `tell` is called after each chunk for each image that still trains.
    """
    count, rows, place = len(prepared), list(prepared), jnp.asarray
    if vectorised:
        devices = jax.local_devices()
        # The batch must divide among the devices: the last image fills it up.
        rows += [rows[-1]] * (-count % len(devices))
        mesh = jax.sharding.Mesh(np.array(devices), ("image",))
        sharding = jax.sharding.NamedSharding(mesh, jax.P("image"))
        place = functools.partial(jax.device_put, device=sharding)

    def batch(start: int) -> Batch:
        cut = [row.crops(start, config) for row in rows]
        return Batch(*(place(np.stack(x)) for x in zip(*cut, strict=True)))

    # Settings of the super-resolution are no reason to compile again.
    init, train = _compiled(dataclasses.replace(config, sr=DEFAULT.sr), vectorised)
    keys = place(jnp.stack([row.train_key for row in rows]))
    raw = np.zeros((count, config.kernel_size, config.kernel_size), np.float32)
    history: list[dict[str, np.ndarray]] = []
    alive = np.ones(count, bool)
    ended = np.full(count, min(CHUNK, config.iterations))  # the steps of each image
    following = batch(0)
    state = None
    for start in range(0, config.iterations, CHUNK):
        # Of several threads one compiles, and the others wait for it.
        with _COMPILING if start == 0 else contextlib.nullcontext():
            if state is None:
                state = init(place(jnp.stack([row.init_key for row in rows])))
            state, kernel, losses = train(keys, state, following)
        done = min(start + CHUNK, config.iterations)
        if done < config.iterations:
            following = batch(done)  # while the device works
        history.append({n: v[:count] for n, v in jax.device_get(losses).items()})
        kernel = np.asarray(kernel)[:count]
        # Where training has diverged, the last finite kernel and its losses stay.
        alive &= np.isfinite(kernel).all((1, 2))
        ended[alive] = min(done + CHUNK, config.iterations)
        raw[alive] = kernel[alive]
        if not alive.any():
            break
        for row in np.flatnonzero(alive).tolist():
            tell(row, done, {n: float(v[row, -1]) for n, v in history[-1].items()})

    joined = {n: np.concatenate([h[n] for h in history], 1) for n in history[0]}
    return [
        finish(config, raw[i], {n: v[i, : ended[i]] for n, v in joined.items()})
        for i in range(count)
    ]


_COMPILING = threading.Lock()


def training_image(image: Any, config: Config) -> np.ndarray:
    """Checks an image and takes the part that is trained on.

    Returns:
      `H x W x 3` float32 in [0, 1], with even sides.

    Raises:
      ValueError: As `estimate_kernel`.
    """
    pixels = from_array(image)
    height, width = pixels.shape[:2]
    if min(height, width) < config.minimum_side:
        raise ValueError(
            f"image is {width}x{height} pixels; the smallest usable side is "
            f"{config.minimum_side} (a training crop of {config.generator_crop} and a "
            f"border of {config.border} at each side)"
        )
    place = textured_window(
        pixels, config.border, config.max_pixels, config.generator_crop
    )
    window = to_unit(pixels[place])
    check_structure(luma(window))
    return np.broadcast_to(window, (*window.shape[:2], 3))


def device_bytes(config: Config) -> int:
    """Device memory that each image of a large batch takes, by the compiler's count."""
    init, train = _compiled(dataclasses.replace(config, sr=DEFAULT.sr), True)
    count = 8
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), count))
    sides = (config.generator_crop, config.discriminator_crop)
    steps = (count, min(CHUNK, config.iterations), config.crops)
    shapes: list[Any] = [
        jax.ShapeDtypeStruct((*steps, n, n, 3), jnp.float32) for n in sides
    ]
    state = jax.eval_shape(init, keys)
    program = train.lower(keys, state, Batch(*shapes)).compile()  # type: ignore[attr-defined]
    memory = program.memory_analysis()
    inputs = memory.argument_size_in_bytes
    # Twice the inputs: the next chunk's crops are there already.
    total = 2 * inputs + memory.temp_size_in_bytes + memory.output_size_in_bytes
    return total // count


@functools.lru_cache(maxsize=8)
def _compiled(
    config: Config, vectorised: bool
) -> tuple[Callable[..., State], Callable[..., Any]]:
    """`init` and a chunk of steps, jitted, with a leading axis of images.

    Not `vectorised`, the axis has length 1 and is taken off: XLA's program for a batch
    of one is slower than the one without.
    """
    init, step = kernelgan(config)

    def train(key: jax.Array, state: State, batches: Batch) -> Any:
        def body(state: State, batch: Batch) -> Any:
            state, info = step(jax.random.fold_in(key, state.step), state, batch)
            losses = info._asdict()
            del losses["kernel"]
            return state, losses

        state, losses = jax.lax.scan(body, state, batches)
        return state, generator_kernel(state, config=config), losses

    batched = jax.vmap if vectorised else _of_one
    return jax.jit(batched(init)), jax.jit(batched(train), donate_argnums=1)


def _of_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a leading axis of length 1 on all that it takes and gives."""

    def with_axis(*arguments: Any) -> Any:
        inner = jax.tree.map(lambda x: x[0], arguments)
        return jax.tree.map(lambda x: x[None], function(*inner))

    return with_axis


def finish(
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
        kernel = kernels.remove_floor(
            raw, fraction=config.floor, count=config.floor_rank
        )
    except ValueError:  # nothing positive is left
        kernel, reason = (
            np.full_like(raw, 1 / raw.size),
            reason or "no kernel was found",
        )
    kernel = kernels.normalise(kernels.centre(kernel, 2))
    x4 = kernels.kernel_x4(kernel) if config.scale == 4 else None
    return KernelEstimate(kernel, x4, raw_kernel, history, not reason, reason)
