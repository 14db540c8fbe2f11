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
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from kernelgan_jax import programs
from kernelgan_jax.app import photographs, terminal
from kernelgan_jax.app.training import check_ranges, log, restore, save
from kernelgan_jax.pixels import LUMA
from kernelgan_jax.super_resolution.deep_wiener import degradation, optimizer, weights
from kernelgan_jax.super_resolution.deep_wiener.config import SCALES
from kernelgan_jax.super_resolution.deep_wiener.model import init
from kernelgan_jax.super_resolution.deep_wiener.network import FAST, DeepWiener

VALIDATION_PATCHES = 48
"""Number of patches for validation at each scale."""

WRAPPING = 0.7
"""Part of the steps whose patches wrap around: there the inverse of the blur is exact,
as it is in the middle of a large image. The others teach what to do at its edges."""

SIZES = (1.0, 0.7, 0.5, 0.35)
"""Sizes of the photographs that are trained on, relative to the files'."""

AHEAD = 2
"""Chunks of steps that the device may still be at work on when the next is sent."""


class Kind(NamedTuple):
    """The kind of a step; each has its own program."""

    scale: int
    wraps: bool


Form = tuple[DeepWiener, bool, Callable[..., degradation.Pair]]
"""What a program depends on beside its kind."""


class Settings(NamedTuple):
    """Settings of a run."""

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
    chunk: int = 1
    """Steps of one kind that the device does at a time; on a GPU 10 pay."""
    minutes: float = 0.0
    """The learning rate is 0 after so many minutes, those of compilation among them, if
    not after `steps`; 0: never."""
    start: weights.Weights | None = None
    """What training begins with where there is no checkpoint; None: random weights."""
    bicubic: bool = False
    """Whether all kernels are the bicubic one, without noise: for comparison."""
    network: DeepWiener = DeepWiener()

    @property
    def form(self) -> Form:
        """The network, whether it is trained by Muon, and how pairs are made."""
        make = degradation.degrade_bicubic if self.bicubic else degradation.degrade
        return self.network, self.muon, make


def check(settings: Settings, photos: int) -> None:
    """Checks the settings of a run on so many photographs.

    Raises:
      ValueError: If one of them is out of range.
    """
    counts = dict.fromkeys(("steps", "batch", "save_every", "chunk"), (1, np.inf))
    check_ranges(
        settings, **counts, minutes=(0, np.inf), decay=(0, 1), seed=(0, np.inf)
    )
    for name in ("steps", "save_every"):
        value = getattr(settings, name)
        if value % settings.chunk:
            raise ValueError(
                f"{name} is {value}; it must be a multiple of chunk, {settings.chunk}"
            )
    if not 0 < settings.learning_rate <= 0.1:
        raise ValueError(
            f"learning_rate is {settings.learning_rate}; it must be above 0 and at "
            "most 0.1"
        )
    photographs.check_held_out(settings.held_out, photos)
    if not settings.shares or any(
        scale not in SCALES or not 0 < share < np.inf
        for scale, share in settings.shares.items()
    ):
        raise ValueError(
            f"shares is {dict(settings.shares)}; it must give scales of "
            f"{', '.join(map(str, SCALES))} positive numbers"
        )


def train(
    photos: Sequence[Path], output: Path, *, settings: Settings
) -> optimizer.State:
    """Trains, or goes on with, a network.

    Args:
      photos: Files of photographs.
      output: Folder for the results; it is made.

    Returns:
      The state at the end.

    Raises:
      ValueError: If a setting is out of range, or the checkpoint in `output` is of
        another network.
      OSError: If a file cannot be read or written.
    """
    check(settings, len(photos))
    parts = photographs.hold_out(photos, settings.held_out)
    output.mkdir(parents=True, exist_ok=True)
    scales, form = sorted(settings.shares), settings.form
    file = output / "checkpoint.msgpack"
    state = _first_state(settings, file)  # Before minutes go into what it needs.
    least = max(degradation.patch_size(scale) for scale in SCALES)
    begin = time.time()
    data = photographs.load(parts[0], least=least, sizes=SIZES)
    held_data = photographs.load(parts[1], least=least)
    data, held_data = jax.device_put((data, held_data))
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), data)
    sizes = (settings.batch, settings.chunk)
    # Compilation takes minutes on a GPU: side by side.
    pool = ThreadPoolExecutor(os.cpu_count())
    compiling = {
        kind: pool.submit(_chunk_program, kind, like, *sizes, *form)
        for kind in _kinds(settings)
    }
    validation = {
        scale: pool.submit(_validation, held_data, scale, *form) for scale in scales
    }
    pool.shutdown(wait=False)
    key, losses = jax.random.key(settings.seed), []
    done, progress = int(state.step), 0.0
    ready = {kind: program.result() for kind, program in compiling.items()}
    first, last = time.time(), begin + 60 * settings.minutes
    while done < settings.steps and progress < 1:
        kind = _kind(done, settings)
        if settings.minutes:
            progress = (time.time() - first) / max(last - first, 1)
        rates = [
            optimizer.learning_rate(
                number,
                progress=max(number / settings.steps, progress),
                largest=settings.learning_rate,
                decay=settings.decay,
            )
            for number in range(done, done + settings.chunk)
        ]
        state, info = ready[kind](key, state, data, np.array(rates, np.float32))
        done += settings.chunk
        losses.append((kind.scale, info))
        if len(losses) > AHEAD:
            losses[-AHEAD][1].loss.block_until_ready()
        if done % settings.save_every and done < settings.steps and progress < 1:
            continue
        save(file, state)
        ema = optimizer.merge(state.ema)
        begun = settings.start.about.get("scales", []) if settings.start else []
        about = {"steps": done, "scales": sorted({*begun, *scales})}
        trained = weights.Weights(settings.network, ema, about)
        weights.save(output / "weights.npz", trained)
        record: dict[str, Any] = {"step": done}
        record["seconds"] = round(time.time() - begin, 1)
        for s in scales:
            found = [(i.loss, i.psnr) for scale, i in losses if scale == s]
            if found:
                loss, psnr = np.mean(jax.device_get(found), (0, 2))
                record[f"loss_x{s}"] = round(float(loss), 5)
                record[f"psnr_x{s}"] = round(float(psnr), 3)
            measure, pairs = validation[s].result()
            record[f"validation_x{s}"] = round(float(measure(ema, pairs)), 3)
        log(output, record)
        losses = []
    return state


def _first_state(settings: Settings, file: Path) -> optimizer.State:
    """The state that a run begins with: that of the checkpoint if there is one."""
    init = _training(*settings.form).init
    state = jax.jit(init)(jax.random.key(settings.seed))
    if settings.start:
        # Copies: a step overwrites its arrays.
        groups, ema = (
            jax.tree.map(jnp.copy, optimizer.split(settings.start.params))
            for _ in range(2)
        )
        state = state._replace(groups=groups, ema=ema)
    return restore(file, state) if file.exists() else state


def _training(
    network: DeepWiener, muon: bool, make_pair: Callable[..., degradation.Pair]
) -> optimizer.Training:
    return optimizer.training(network=network, muon=muon, make_pair=make_pair)


def _kinds(settings: Settings) -> list[Kind]:
    """The kinds of steps that a run has."""
    chances = {True: WRAPPING, False: 1 - WRAPPING}
    return [
        Kind(scale, wraps)
        for scale in sorted(settings.shares)
        for wraps, chance in chances.items()
        if chance
    ]


def _kind(step: int, settings: Settings) -> Kind:
    """The kind of the chunk that begins with a step."""
    rng = np.random.default_rng([settings.seed, step])
    scales = sorted(settings.shares)
    chances = np.array([settings.shares[s] for s in scales], float)
    scale = int(rng.choice(scales, p=chances / chances.sum()))
    return Kind(scale, bool(rng.random() < WRAPPING))


@functools.lru_cache
def _chunk_program(
    kind: Kind, like: photographs.Photographs, batch: int, chunk: int, *form: Any
) -> Callable[..., tuple[optimizer.State, optimizer.Info]]:
    """Compiles steps of a kind, one after the other: `(key, state, photographs,
    learning rates)`."""
    functions = _training(*form)

    def steps(
        key: jax.Array,
        state: optimizer.State,
        data: photographs.Photographs,
        rates: jax.Array,
    ) -> tuple[optimizer.State, optimizer.Info]:
        def one(state: optimizer.State, rate: jax.Array) -> Any:
            drawing, step_key = jax.random.split(jax.random.fold_in(key, state.step))
            side = degradation.patch_size(kind.scale)
            patches = photographs.draw(drawing, data, size=side, count=batch)
            return functions.step(step_key, state, patches, rate, **kind._asdict())

        if chunk > 1:
            return jax.lax.scan(one, state, rates)
        # In a loop, XLA's convolutions for CPUs are twenty times slower.
        state, info = one(state, rates[0])
        return state, jax.tree.map(lambda x: x[None], info)

    key = jax.random.key(0)
    state = jax.eval_shape(functions.init, key)
    rates = jax.ShapeDtypeStruct((chunk,), np.float32)
    program = jax.jit(steps, donate_argnums=1)
    lowered = program.lower(key, state, like, rates)
    return lowered.compile(compiler_options=programs.compiler_options())


def _validation(
    data: photographs.Photographs,
    scale: int,
    network: DeepWiener,
    muon: bool,
    make_pair: Callable[..., degradation.Pair],
) -> tuple[Callable[..., jax.Array], degradation.Pair]:
    """A compiled measurement of a scale, and its pairs: the same in all runs."""
    del muon
    size = degradation.patch_size(scale)

    def make(key: jax.Array, data: photographs.Photographs) -> degradation.Pair:
        patches = photographs.draw(key, data, size=size, count=VALIDATION_PATCHES)
        keys = jax.random.split(key, VALIDATION_PATCHES)
        return jax.vmap(functools.partial(make_pair, scale=scale, wraps=True))(
            keys, patches
        )

    key = jax.random.key(scale)
    pairs = jax.jit(make)(key, data)
    measure = jax.jit(functools.partial(_psnr, scale=scale, network=network))
    params = jax.eval_shape(functools.partial(init, network=network), key)
    return measure.lower(params, pairs).compile(), pairs


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
    message = f"--scales is {text!r}; it must be like 2:0.7,4:0.3, each scale once"
    try:
        pairs = [part.split(":") for part in text.split(",")]
        shares = {int(scale): float(share) for scale, share in pairs}
    except ValueError:
        raise ValueError(message) from None
    if len(shares) < len(pairs):
        raise ValueError(message)
    return shares


FLAGS = flags.FLAGS


def main(argv: Sequence[str]) -> int:
    """Runs the program; returns its exit status."""
    del argv
    return terminal.exit_status(_run)


def _run() -> None:
    start = weights.load(Path(FLAGS.weights)) if FLAGS.weights else None
    names = "steps batch learning_rate decay muon seed save_every chunk minutes bicubic"
    settings = Settings(
        **{name: getattr(FLAGS, name) for name in names.split()},
        start=start,
        network=start.network if start else FAST if FLAGS.fast else DeepWiener(),
        shares=_shares(FLAGS.scales),
    )
    paths = photographs.find(Path(FLAGS.photos))
    train(paths, Path(FLAGS.output), settings=settings)


if __name__ == "__main__":
    default = Settings()
    flags.DEFINE_string("photos", None, "Folder of photographs.", required=True)
    flags.DEFINE_string("output", None, "Folder for the results.", required=True)
    flags.DEFINE_string("weights", None, "File of weights to begin with.")
    flags.DEFINE_bool("fast", False, "The smaller network, where no --weights say.")
    flags.DEFINE_integer("steps", default.steps, "Steps in all.")
    flags.DEFINE_integer("batch", default.batch, "Patches in each step.")
    flags.DEFINE_float("learning_rate", default.learning_rate, "Largest learning rate.")
    flags.DEFINE_float("decay", default.decay, "Part of the steps in which it falls.")
    flags.DEFINE_bool("muon", default.muon, "Muon for matrices, else Adam.")
    flags.DEFINE_string("scales", "2:1", "How often each scale is trained.")
    flags.DEFINE_integer("seed", default.seed, "Seed.")
    flags.DEFINE_integer("save_every", default.save_every, "Steps between checkpoints.")
    flags.DEFINE_bool(
        "bicubic", default.bicubic, "The bicubic kernel alone, without noise."
    )
    flags.DEFINE_integer("chunk", default.chunk, "Steps at a time; 10 on a GPU.")
    flags.DEFINE_float(
        "minutes",
        default.minutes,
        "The learning rate falls to 0 in so many minutes; 0: by --steps.",
    )
    app.run(main)
