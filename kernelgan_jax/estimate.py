"""From images to their kernels, by the estimator that the settings name.

`spectral.py` is such an estimator by itself. KernelGAN is run here, compiled, and its
kernels are cleaned; the spectrum then says how far to trust them (`confidence.py`).

KernelGAN for one image is compiled and batched here and nowhere else: `jit` over a
`scan` of a chunk of steps. The chunk's crops are cut on the host (6 MB per 100 steps
and image), so that images of all sizes share one compiled program, and one batch, and a
photo of any size takes little memory.

Many images run in one of two ways. On a GPU or TPU they are one program: `vmap`, with
the batch axis sharded over the devices. On a CPU each core takes an image at a time
with the program of a single image: `vmap` has nothing to win there (README of
`benchmarks/`), and so a kernel does not depend, in any bit, on the images beside it.
"""

import contextlib
import dataclasses
import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import crops, images, kernels, spectral
from kernelgan_jax.confidence import channel_noise, judge
from kernelgan_jax.config import DEFAULT, Config
from kernelgan_jax.kernel_estimate import Confidence, KernelEstimate
from kernelgan_jax.kernelgan import Batch, State, generator_kernel, kernelgan
from kernelgan_jax.whittle import check

CHUNK = 100
"""Steps that run on the device between two looks at the losses."""

SUM_TOLERANCE = 0.1
"""Largest distance from 1 of a good generator's sum; failed ones are far off."""

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with the index of an image, the steps done, and the last losses."""


class KernelEstimates(NamedTuple):
    """The estimated kernels of N images: `KernelEstimate` with a leading axis."""

    kernel: np.ndarray
    """`N x k x k`, the smaller ones with zeros around, aligned all the same."""
    kernel_x4: np.ndarray | None
    """`N x l x l`, alike, if `config.scale` is 4."""
    raw_kernel: np.ndarray
    """`N x n x n`."""
    history: dict[str, np.ndarray]
    """`N x iterations` each; NaN after a training that diverged. Empty without."""
    converged: np.ndarray
    """`N`, bool."""
    reason: tuple[str, ...]
    """N, each as in `KernelEstimate`, as all below."""
    confidence: tuple[Confidence | None, ...]
    noise: np.ndarray
    sure: np.ndarray


def estimate_kernel(
    key: jax.Array,
    image: Any,
    *,
    config: Config = DEFAULT,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> KernelEstimate:
    """Finds the kernel that an image was downscaled with.

    The same key, image and config give the same kernel bit for bit on the same machine
    and versions.

    Args:
      key: JAX random key.
      image: `H x W`, `H x W x 1` or `H x W x 3`: uint8, uint16, or floating point in
        [0, 1]. Both sides at least `config.minimum_side` pixels; for the estimator
        `spectral`, which heeds no key either, `whittle.WINDOW`.
      config: Settings; by default KernelGAN as published.
      progress: Called every 100 steps of KernelGAN with the number of steps done and
        the last losses; with restarts every 100 of each, with their mean.

    Returns:
      The estimate. Training that fails is no error: `converged` is then False, and the
      kernel what the last finite kernel of training gives.

    Raises:
      ValueError: If the image is of a wrong shape or type, has values out of range, is
        too small, or has no structure at all, or no spectrum fits it.
    """

    def tell(_: int, step: int, losses: dict[str, float]) -> None:
        if progress is not None:
            progress(step, losses)

    return find([prepare(key, image, config)], config, progress=tell)[0]


def estimate_kernels(
    key: jax.Array,
    images: Sequence[Any],
    *,
    config: Config = DEFAULT,
    vectorised: bool | None = None,
    progress: Progress | None = None,
) -> KernelEstimates:
    """Finds the kernels of many images, of any sizes, at once.

    On a CPU each result is that of `estimate_kernel` with the same key, bit for bit; on
    a GPU or TPU up to rounding (which training, being chaotic, magnifies).

    Args:
      key: One JAX random key, from which every image starts anew; or N keys, one an
        image. All of N restarts, where `config.restarts` gives the best one:
        `estimate_kernels(jax.random.split(key, N), [image] * N)`.
      images: N images, each as `estimate_kernel` takes.
      config: Settings, for all images.
      vectorised: Whether all images are one program, `vmap`ped and sharded over the
        devices of this host. By default so on a GPU or TPU; otherwise each core (or
        device, if there are several) takes an image at a time.
      progress: Called every 100 steps of each image with its index, the number of steps
        done and the last losses; from several threads. What it raises ends all.

    Returns:
      The estimates, in the order of the images. A training that fails leaves the
      others as they are.

    Raises:
      ValueError: As `estimate_kernel`, with the index of the image; before any starts.
    """
    if not len(images):
        raise ValueError("images is empty; there must be at least one")
    typed = jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    single = key.ndim == (0 if typed else 1)
    if not single and len(key) != len(images):
        raise ValueError(
            f"key has {len(key)} keys for {len(images)} images; give one, or one each"
        )
    prepared = []
    for i, image in enumerate(images):
        try:
            prepared.append(prepare(key if single else key[i], image, config))
        except ValueError as error:
            raise ValueError(f"images[{i}]: {error}") from error
    found = find(prepared, config, vectorised=vectorised, progress=progress)
    x4 = [e.kernel_x4 for e in found if e.kernel_x4 is not None]

    def padded(values: np.ndarray) -> np.ndarray:
        missing = config.iterations - len(values)
        return np.pad(values, (0, missing), constant_values=np.nan)

    return KernelEstimates(
        kernels.stack([e.kernel for e in found]),
        kernels.stack(x4) if x4 else None,
        np.stack([e.raw_kernel for e in found]),
        {
            name: np.stack([padded(e.history[name]) for e in found])
            for name in found[0].history
        },
        np.array([e.converged for e in found]),
        tuple(e.reason for e in found),
        tuple(e.confidence for e in found),
        np.array([e.noise for e in found]),
        np.array([e.sure for e in found]),
    )


def lanes() -> int:
    """How many images a CPU takes at a time: one a core that this process may use.

    `OMP_NUM_THREADS`, which clusters set to the cores of a job, is heeded.
    """
    if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdecimal():
        return max(1, int(threads))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# --- An estimator by its name ---


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


def prepare(key: jax.Array, image: Any, config: Config) -> Prepared:
    """Checks an image and chooses its crops; arguments as of `estimate_kernel`."""
    if config.estimator == "spectral":
        unit = images.to_unit(images.from_array(image))
        check(unit)
        return Prepared(unit, (), key, key)
    image = training_image(image, config)
    sides = (config.generator_crop, config.discriminator_crop)
    maps = crops.probability_maps(image, *sides)

    def training(key: jax.Array) -> Prepared:
        init_key, crop_key, train_key = jax.random.split(key, 3)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(crop_key)))
        count = config.iterations * config.crops
        generator, discriminator = (
            crops.sample_corners(rng, probability, side, count)
            for probability, side in zip(maps, sides, strict=True)
        )
        return Prepared(image, (generator, discriminator), init_key, train_key)

    # Far from 0, 1 and 2, which give the same keys as split(key, 3).
    others = (jax.random.fold_in(key, 1000 + i) for i in range(1, config.restarts))
    return training(key)._replace(restarts=tuple(training(k) for k in others))


def find(
    prepared: Sequence[Prepared],
    config: Config,
    *,
    vectorised: bool | None = None,
    progress: Progress | None = None,
) -> list[KernelEstimate]:
    """The kernels of prepared images; see `estimate_kernels`."""
    tell: Progress = progress or (lambda *_: None)
    if config.estimator == "spectral":
        return _each(
            lambda row, _: spectral.estimate_spectral(
                prepared[row].image, scale=config.scale
            ),
            len(prepared),
            tell,
        )
    rows = [row for first in prepared for row in (first, *first.restarts)]
    each = len(rows) // len(prepared)
    done = [0] * len(rows)
    telling = threading.Lock()  # One after the other, or steps would seem to go back.

    def tell_of_image(row: int, step: int, losses: dict[str, float]) -> None:
        image = row // each
        with telling:
            done[row] = step
            tell(image, sum(done[image * each : (image + 1) * each]) // each, losses)

    def one(row: int, tell: Progress) -> KernelEstimate:
        def of_row(_: int, step: int, losses: dict[str, float]) -> None:
            tell(row, step, losses)

        return _train([rows[row]], config, False, of_row)[0]

    if vectorised is None:
        vectorised = jax.default_backend() != "cpu" and len(rows) > 1
    if vectorised:
        found = _train(rows, config, True, tell_of_image)
    else:
        found = _each(one, len(rows), tell_of_image)

    def best(image: int, _: Progress) -> KernelEstimate:
        restarts = found[image * each : (image + 1) * each]
        return _most_trusted(prepared[image], restarts, config)

    return _each(best, len(prepared), tell)


def _each(
    one: Callable[[int, Progress], KernelEstimate], count: int, tell: Progress
) -> list[KernelEstimate]:
    """Images one by one; several at a time, each on a core."""
    if count == 1:
        return [one(0, tell)]
    stop = threading.Event()

    def tell_or_stop(row: int, step: int, losses: dict[str, float]) -> None:
        if stop.is_set():
            raise InterruptedError
        tell(row, step, losses)

    with ThreadPoolExecutor(lanes()) as pool:
        try:
            return list(pool.map(lambda row: one(row, tell_or_stop), range(count)))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _most_trusted(
    prepared: Prepared, restarts: Sequence[KernelEstimate], config: Config
) -> KernelEstimate:
    """Of KernelGAN's estimates one, with what the spectrum says of it.

    It is one that converged, if any did, and of these the one of the least expected
    error.
    """
    gray = 255 * crops.gray(prepared.image).astype(np.float64)
    try:
        evidence = spectral.analyse(gray, scale=config.scale).evidence
    except ValueError:  # The spectrum has nothing to say.
        return max(restarts, key=lambda found: found.converged)
    noise = channel_noise(evidence, prepared.image)

    def judged(found: KernelEstimate) -> KernelEstimate:
        confidence = judge(found.wanted, evidence, scale=config.scale)
        if not found.converged:
            confidence = confidence._replace(level="low", reason=found.reason)
        return found._replace(confidence=confidence, noise=noise)

    def trust(found: KernelEstimate) -> tuple[bool, float]:
        assert found.confidence is not None
        return found.converged, found.confidence.kernel_psnr

    return max((judged(found) for found in restarts), key=trust)


# --- KernelGAN ---


def _train(
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
        _finish(config, raw[i], {n: v[i, : ended[i]] for n, v in joined.items()})
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
    crops.check_structure(crops.gray(window))
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
