"""Trains the network on a folder of photographs.

    python -m kernelgan_jax.app.deep_wiener.train \
        --photos=photos --output=run

`--output` receives `checkpoint.msgpack` (all that training needs: the same command goes
on from there, with more `--steps` if wanted), `weights.npz` (the moving average,
float16) and `log.jsonl` (loss, and PSNR on held-out photographs). Each step depends on
the seed and its number alone, so that a run that was interrupted ends as one that was
not.
"""

import functools
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from kernelgan_jax.app.deep_wiener import photographs
from kernelgan_jax.pixels import LUMA
from kernelgan_jax.super_resolution.deep_wiener import (
    degradation,
    optimizer,
    weights,
)
from kernelgan_jax.super_resolution.deep_wiener.config import SCALES
from kernelgan_jax.super_resolution.deep_wiener.network import DeepWiener

VALIDATION_PATCHES = 48
"""Of each scale."""


WRAPPING = 0.7
"""Part of the steps whose patches wrap around: there the inverse of the blur is exact,
as it is in the middle of a large image. The others teach what to do at its edges."""


class Settings(NamedTuple):
    """Of a run."""

    steps: int = 20000
    batch: int = 8
    learning_rate: float = 1e-3
    decay: float = 0.3
    muon: bool = True
    shares: Mapping[int, float] = {2: 1.0}
    """How often each scale is trained, relative."""
    held_out: int = 6
    """Photographs for validation, every so many in the order of their names."""
    seed: int = 0
    save_every: int = 500
    """Steps."""
    bicubic: bool = False
    """Whether all kernels are the bicubic one, without noise: for comparison."""
    network: DeepWiener = DeepWiener()

    @property
    def make_pair(self) -> Callable[..., degradation.Pair]:
        """How training pairs are made."""
        return degradation.degrade_bicubic if self.bicubic else degradation.degrade


def check(settings: Settings, photos: int) -> None:
    """Checks settings.

    Args:
      settings: Of the run.
      photos: Number of photographs at hand.

    Raises:
      ValueError: If one of them is out of range.
    """
    for name in ("steps", "batch", "save_every"):
        value = getattr(settings, name)
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    if not 0 < settings.learning_rate <= 0.1:
        raise ValueError(
            f"learning_rate is {settings.learning_rate}; it must be above 0 and at "
            "most 0.1"
        )
    if not 0 <= settings.decay <= 1:
        raise ValueError(f"decay is {settings.decay}; it must be from 0 to 1")
    if not 1 <= settings.held_out < photos:
        raise ValueError(
            f"held_out is {settings.held_out}; it must be from 1 to {photos - 1}, as "
            f"there are {photos} photographs"
        )
    if not settings.shares or any(
        scale not in SCALES or not share > 0 for scale, share in settings.shares.items()
    ):
        raise ValueError(
            f"shares is {dict(settings.shares)}; it must give scales of "
            f"{', '.join(map(str, SCALES))} positive numbers"
        )


def train(
    photos: Sequence[Path],
    output: Path,
    *,
    settings: Settings,
    stop: float = float("inf"),
) -> optimizer.State:
    """Trains, or goes on with, a network.

    Args:
      photos: Files of photographs.
      output: Folder for the results; it is made.
      settings: Of the run.
      stop: Time (of `time.time`) at which it ends before its last step.

    Returns:
      The state at the end.

    Raises:
      ValueError: If a setting is out of range, or the checkpoint in `output` is of
        another network.
      OSError: If a file cannot be read or written.
    """
    check(settings, len(photos))
    output.mkdir(parents=True, exist_ok=True)
    scales = sorted(settings.shares)
    least = max(degradation.patch_size(scale) for scale in SCALES)
    every = len(photos) // settings.held_out
    held = list(photos)[every - 1 :: every][: settings.held_out]
    data = photographs.load([p for p in photos if p not in held], least=least)
    validation = _validation(photographs.load(held, least=least), settings)
    init, step, measure = _compiled(settings.network, settings.muon, settings.make_pair)
    state = init(jax.random.key(settings.seed))
    file = output / "checkpoint.msgpack"
    if file.exists():
        state = restore(file, state)
    start, key, losses = time.time(), jax.random.key(settings.seed), []
    for number, scale, wraps, patches in _batches(data, int(state.step), settings):
        step_key = jax.random.fold_in(key, number)
        rate = optimizer.learning_rate(
            number,
            steps=settings.steps,
            largest=settings.learning_rate,
            decay=settings.decay,
        )
        state, info = step(step_key, state, patches, rate, scale=scale, wraps=wraps)
        losses.append((scale, float(info.loss), float(info.psnr)))
        ended = number + 1 == settings.steps or time.time() > stop
        if (number + 1) % settings.save_every == 0 or ended:
            save(file, state)
            ema = optimizer.merge(state.ema)
            about = {"steps": number + 1, "scales": scales}
            weights.save(
                output / "weights.npz", weights.Weights(settings.network, ema, about)
            )
            record: dict[str, Any] = {"step": number + 1}
            record["seconds"] = round(time.time() - start, 1)
            for s in scales:
                found = [loss for scale, *loss in losses if scale == s]
                if found:
                    loss, psnr = np.mean(found, 0)
                    record[f"loss_x{s}"] = round(float(loss), 5)
                    record[f"psnr_x{s}"] = round(float(psnr), 3)
                value = measure(ema, validation[s], scale=s)
                record[f"validation_x{s}"] = round(float(value), 3)
            with open(output / "log.jsonl", "a") as log:
                log.write(json.dumps(record) + "\n")
            print(json.dumps(record), flush=True)
            losses = []
        if ended:
            break
    return state


def save(file: Path, state: optimizer.State) -> None:
    """Writes a checkpoint in one step: an interrupted write leaves the former one."""
    part = file.with_name(file.name + ".part")
    with open(part, "wb") as out:
        out.write(flax.serialization.to_bytes(jax.device_get(state)))
        out.flush()
        os.fsync(out.fileno())
    os.replace(part, file)


def restore(file: Path, like: optimizer.State) -> optimizer.State:
    """Reads a checkpoint.

    Args:
      file: As `save` wrote it.
      like: A state of the same network.

    Raises:
      ValueError: If it is of another network.
    """
    try:
        state = flax.serialization.from_bytes(like, file.read_bytes())
    except (ValueError, KeyError) as error:
        raise ValueError(f"{file}: is not a checkpoint of this network") from error
    shapes = [jax.tree.map(np.shape, jax.tree.leaves(x)) for x in (state, like)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{file}: is a checkpoint of a network of another shape")
    return jax.tree.map(jnp.asarray, state)


@functools.lru_cache(maxsize=4)
def _compiled(
    network: DeepWiener, muon: bool, make_pair: Callable[..., degradation.Pair]
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Compiled: start, step, measure."""
    functions = optimizer.training(network=network, muon=muon, make_pair=make_pair)
    return (
        jax.jit(functions.init),
        jax.jit(functions.step, static_argnames=("scale", "wraps"), donate_argnums=1),
        jax.jit(functools.partial(_psnr, network=network), static_argnames="scale"),
    )


def _batches(
    data: photographs.Photographs, first: int, settings: Settings
) -> Iterator[tuple[int, int, bool, np.ndarray]]:
    """Number, scale, whether they wrap, and patches of each step, prepared ahead by a
    thread."""
    ready: queue.Queue[Any] = queue.Queue(4)
    done = threading.Event()
    scales = sorted(settings.shares)
    chances = np.array([settings.shares[s] for s in scales], float)
    chances /= chances.sum()

    def put(item: Any) -> None:
        while not done.is_set():
            try:
                return ready.put(item, timeout=1)
            except queue.Full:
                continue

    def prepare() -> None:
        try:
            for number in range(first, settings.steps):
                rng = np.random.default_rng([settings.seed, number])
                scale = int(rng.choice(scales, p=chances))
                size = degradation.patch_size(scale)
                patches = photographs.draw(rng, data, size=size, count=settings.batch)
                put((number, scale, bool(rng.random() < WRAPPING), patches))
                if done.is_set():
                    return
            put(None)
        except BaseException as error:  # the consumer raises it
            put(error)

    threading.Thread(target=prepare, daemon=True).start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        done.set()


def _validation(
    data: photographs.Photographs, settings: Settings
) -> dict[int, degradation.Pair]:
    """The same pairs in all runs."""
    made = {}
    for scale in sorted(settings.shares):
        rng = np.random.default_rng(scale)
        size = degradation.patch_size(scale)
        patches = photographs.draw(rng, data, size=size, count=VALIDATION_PATCHES)
        keys = jax.random.split(jax.random.key(scale), VALIDATION_PATCHES)
        make = functools.partial(settings.make_pair, scale=scale, wraps=True)
        made[scale] = jax.jit(jax.vmap(make))(keys, patches)
    return made


def _psnr(
    params: Any, pairs: degradation.Pair, *, scale: int, network: DeepWiener
) -> jax.Array:
    """Mean PSNR of luma, clipped, without 4 LR pixels at each border."""

    def some(part: degradation.Pair) -> jax.Array:
        results = optimizer.enlarge(
            params, part, scale=scale, network=network, wraps=True
        )
        error = (jnp.clip(results, 0, 1) - part.hr) @ jnp.asarray(LUMA, results.dtype)
        edge = 4 * scale
        inner = error[:, edge:-edge, edge:-edge]
        return -10 * jnp.log10((inner**2).mean((1, 2)) + 1e-8)

    parts = jax.tree.map(lambda x: x.reshape(-1, 8, *x.shape[1:]), pairs)
    return jax.lax.map(some, parts).mean()


def _shares(text: str) -> dict[int, float]:
    try:
        pairs = [part.split(":") for part in text.split(",")]
        return {int(scale): float(share) for scale, share in pairs}
    except ValueError:
        raise ValueError(f"--scales is {text!r}; it must be like 2:0.7,4:0.3") from None


FLAGS = flags.FLAGS


def main(argv: Sequence[str]) -> None:
    del argv
    settings = Settings(
        steps=FLAGS.steps,
        batch=FLAGS.batch,
        learning_rate=FLAGS.learning_rate,
        decay=FLAGS.decay,
        muon=FLAGS.muon,
        shares=_shares(FLAGS.scales),
        seed=FLAGS.seed,
        save_every=FLAGS.save_every,
        bicubic=FLAGS.bicubic,
    )
    stop = time.time() + 60 * FLAGS.minutes if FLAGS.minutes else float("inf")
    paths = photographs.find(Path(FLAGS.photos))
    train(paths, Path(FLAGS.output), settings=settings, stop=stop)


if __name__ == "__main__":
    flags.DEFINE_string("photos", None, "Folder of photographs.", required=True)
    flags.DEFINE_string("output", None, "Folder for the results.", required=True)
    flags.DEFINE_integer("steps", 20000, "Steps in all.")
    flags.DEFINE_integer("batch", 8, "Patches in each step.")
    flags.DEFINE_float("learning_rate", 1e-3, "Largest learning rate.")
    flags.DEFINE_float("decay", 0.3, "Part of the steps in which it falls.")
    flags.DEFINE_bool("muon", True, "Muon for matrices, else Adam.")
    flags.DEFINE_string("scales", "2:1", "How often each scale is trained.")
    flags.DEFINE_integer("seed", 0, "Seed.")
    flags.DEFINE_integer("save_every", 500, "Steps between checkpoints.")
    flags.DEFINE_bool("bicubic", False, "The bicubic kernel alone, without noise.")
    flags.DEFINE_float("minutes", 0, "Ends after so many minutes; 0: never.")
    app.run(main)
