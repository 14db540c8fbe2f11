"""KernelGAN's training, compiled: crops on the host, chunks of steps on the device.

`jit` over a `scan` of a chunk of steps is the only compiled program. The chunk's crops
are cut on the host (6 MB per 100 steps and image), so that images of all sizes share
one program and one batch, and a photo of any size takes little memory.

On a GPU or TPU many images are one program: `vmap`, with the batch axis sharded over
the devices. On a CPU each core trains on an image at a time (`parallel.py`).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import programs
from kernelgan_jax.estimators.kernelgan.algorithm import generator_kernel, kernelgan
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.kernelgan.crops import Training
from kernelgan_jax.estimators.kernelgan.state import Batch, State

CHUNK = 100
"""Steps that run on the device between two looks at the losses."""


class Result(NamedTuple):
    """What a training leaves."""

    raw_kernel: np.ndarray
    """`n x n` kernel of the generator; the last finite one if training diverged."""
    losses: dict[str, np.ndarray]
    """One value for each step that was taken, by the names of `Info`."""


def train(
    trainings: Sequence[Training],
    config: KernelGANConfig,
    vectorised: bool,
    report: Callable[[int, int, dict[str, float]], None],
) -> list[Result]:
    """Runs one training, or if `vectorised` any number as one program.

    Args:
      report: Called after each chunk, for each training that is still finite, with its
        index, the steps done and the latest losses.
    """
    count, rows, place = len(trainings), list(trainings), jnp.asarray
    if vectorised:
        devices = jax.local_devices()
        # The batch must divide among the devices: the last image fills it up.
        rows += [rows[-1]] * (-count % len(devices))
        mesh = jax.sharding.Mesh(np.array(devices), ("image",))
        sharding = jax.sharding.NamedSharding(mesh, jax.P("image"))
        place = functools.partial(jax.device_put, device=sharding)

    def batch(start: int) -> list[jax.Array]:
        cut = [row.crops(start, start + CHUNK, config) for row in rows]
        return [place(np.stack(x)) for x in zip(*cut, strict=True)]

    init, steps = compiled(config, vectorised)
    keys = place(jnp.stack([row.train_key for row in rows]))
    raw = np.zeros((count, config.kernel_size, config.kernel_size), np.float32)
    history: list[dict[str, np.ndarray]] = []
    alive = np.ones(count, bool)
    ended = np.full(count, min(CHUNK, config.iterations))  # the steps of each training
    following = batch(0)
    state = init(place(jnp.stack([row.init_key for row in rows])))
    for start in range(0, config.iterations, CHUNK):
        state, kernel, losses = steps(keys, state, following)
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
            report(row, done, {n: float(v[row, -1]) for n, v in history[-1].items()})

    joined = {n: np.concatenate([h[n] for h in history], 1) for n in history[0]}
    return [
        Result(raw[i], {n: v[i, : ended[i]] for n, v in joined.items()})
        for i in range(count)
    ]


def preload(config: KernelGANConfig) -> None:
    """Loads the programs of one training, if an earlier run has kept them."""
    init, steps = compiled(config, False)
    keys = jax.ShapeDtypeStruct((1,), jax.random.key(0).dtype)
    state = init.preload(keys)  # type: ignore[attr-defined]
    if state is not None:
        steps.preload(keys, state, _crops(1, config))  # type: ignore[attr-defined]


def _crops(count: int, config: KernelGANConfig) -> list[jax.ShapeDtypeStruct]:
    """Shapes of the crops of a chunk of steps."""
    sides = (config.generator_crop, config.discriminator_crop)
    steps = (count, min(CHUNK, config.iterations), config.crops)
    return [jax.ShapeDtypeStruct((*steps, n, n, 3), jnp.float32) for n in sides]


@functools.lru_cache(maxsize=8)
def compiled(
    config: KernelGANConfig, vectorised: bool
) -> tuple[Callable[..., list[jax.Array]], Callable[..., Any]]:
    """`init` and a chunk of steps, compiled, with a leading axis of images.

    The state is a list of its arrays and a batch one of its crops, so that traces can
    be kept. If not `vectorised`, the axis has length 1 and is taken off: XLA's program
    for a batch of one is slower than the one without.
    """
    init, step = kernelgan(config)

    def start(key: jax.Array) -> list[jax.Array]:
        return jax.tree.leaves(init(key))

    def train(key: jax.Array, arrays: list[jax.Array], crops: list[jax.Array]) -> Any:
        structure = jax.tree.structure(jax.eval_shape(init, key))
        state, batches = jax.tree.unflatten(structure, arrays), Batch(*crops)

        def body(state: State, batch: Batch) -> Any:
            state, info = step(jax.random.fold_in(key, state.step), state, batch)
            losses = info._asdict()
            del losses["kernel"]
            return state, losses

        state, losses = jax.lax.scan(body, state, batches)
        return jax.tree.leaves(state), generator_kernel(state, config=config), losses

    if vectorised:
        return jax.jit(jax.vmap(start)), jax.jit(jax.vmap(train), donate_argnums=1)
    return (
        programs.jit(_of_one(start), name=f"start of {config}"),
        programs.jit(_of_one(train), name=f"steps of {config}"),
    )


def _of_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a function a leading axis of length 1 on all that it takes and returns."""

    def with_axis(*arguments: Any) -> Any:
        inner = jax.tree.map(lambda x: x[0], arguments)
        return jax.tree.map(lambda x: x[None], function(*inner))

    return with_axis


def device_bytes(config: KernelGANConfig) -> int:
    """Device memory that each image of a large batch takes, by the compiler's count."""
    init, steps_of_chunk = compiled(config, True)
    count = 8
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), count))
    state = jax.eval_shape(init, keys)
    crops = _crops(count, config)
    program = steps_of_chunk.lower(keys, state, crops).compile()  # type: ignore[attr-defined]
    memory = program.memory_analysis()
    inputs = memory.argument_size_in_bytes
    # Twice the inputs: the next chunk's crops are there already.
    total = 2 * inputs + memory.temp_size_in_bytes + memory.output_size_in_bytes
    return total // count
