"""Trains the second look at kernels on a folder of photographs.

    python -m kernelgan_jax.app.second_look.train --photos=photos --output=run

`--output` receives `examples/` (one file for each example: a run that was interrupted
goes on from there, and more `--examples` are added to those that are there, of the
same photographs and the same `--seed`),
`second_look.npz` (the network, float16) and `log.json`: what is gained on photographs
that the network was not trained with (cross-validation).
"""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from kernelgan_jax.app import files, photographs, terminal
from kernelgan_jax.app.second_look import examples
from kernelgan_jax.app.second_look.examples import Example
from kernelgan_jax.app.training import check_ranges
from kernelgan_jax.estimators.spectral.kernel_scores import Network
from kernelgan_jax.estimators.spectral.second_look import MARGIN, SCALES
from kernelgan_jax.parallel import map_images

NETWORKS = 5
"""Networks whose scores are averaged."""

HIDDEN = 64
"""Hidden units of each."""

STEPS = 3200
BATCH = 128
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.03

DROPPED = 0.2
"""Share of the inputs that are left out in a step."""

MOST = 6.0
"""Largest difference of PSNR that is learnt, dB."""

PARTS = 4
"""Most parts of an image."""

FOLDS = 5
"""Parts of the photographs of which one is held out in turn."""


class Settings(NamedTuple):
    """Settings of a run."""

    examples: int = 2000
    seed: int = 0


class Batch(NamedTuple):
    """Examples as arrays, filled up to one number of kernels."""

    inputs: Any
    """`E x P x K x INPUTS`; fewer parts are repeated."""
    gains: Any
    """`E x K`: PSNR relative to the likeliest kernel's, dB."""
    exists: Any
    """`E x K` bool: whether there is such a kernel."""


def train(photos: Sequence[Path], output: Path, *, settings: Settings) -> Network:
    """Draws examples and trains the networks on them, or goes on with them.

    Args:
      photos: Files of photographs.
      output: Folder for the results; it is made.

    Returns:
      The network.

    Raises:
      ValueError: If a setting is out of range, the photographs are of no use, or the
        examples in `output` are damaged, or of other photographs or another seed.
      OSError: If a file cannot be read or written.
    """
    check_ranges(settings, examples=(1, np.inf), seed=(0, np.inf))
    folder = output / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    _check_origin(folder / "origin.json", photos, seed=settings.seed)

    def one(_: int, number: int, __: Any) -> Example | None:
        return _example(folder / f"{number:06d}.npz", (settings.seed, number), photos)

    made = map_images(one, range(settings.examples))
    drawn = [each for each in made if each is not None]
    if not drawn:
        raise ValueError("photos are too small or flat; others are needed")
    batch = stacked(drawn)
    log = cross_validate(drawn, batch, seed=settings.seed)
    files.write_whole(output / "log.json", (json.dumps(log, indent=1) + "\n").encode())
    network = fit(batch, seed=settings.seed)
    half = {name: part.astype(np.float16) for name, part in network._asdict().items()}
    _save(output / "second_look.npz", half)
    return network


def _check_origin(file: Path, photos: Sequence[Path], *, seed: int) -> None:
    """Checks what kept examples were drawn from, which a file says: mixed ones would
    show a network the photographs that it is measured with."""
    names = [path.name for path in photos]
    origin = json.dumps({"seed": seed, "photos": names}).encode()
    if not file.exists():
        files.write_whole(file, origin)
    elif file.read_bytes() != origin:
        raise ValueError(
            f"{file.parent}: holds examples of other photographs or another seed; pass "
            "these, or another --output"
        )


def _save(file: Path, arrays: dict[str, Any]) -> None:
    """Writes arrays in one step: a run may be killed at any time."""
    archive = io.BytesIO()
    np.savez(archive, **arrays)
    files.write_whole(file, archive.getvalue())


def _example(
    file: Path, seed: tuple[int, ...], photos: Sequence[Path]
) -> Example | None:
    """An example that was kept, or a new one, which is kept."""
    if not file.exists():
        drawn = examples.draw(seed, photos)
        _save(file, {} if drawn is None else drawn._asdict())
    try:
        with np.load(io.BytesIO(file.read_bytes())) as kept:
            if not kept.files:
                return None
            photo, scale = (int(kept[name]) for name in ("photo", "scale"))
            return Example(photo, scale, kept["inputs"], kept["gains"])
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{file}: is damaged; remove it, and the same command draws it again"
        ) from error


def stacked(drawn: Sequence[Example]) -> Batch:
    """Examples as arrays."""
    most = max(len(each.gains) for each in drawn)

    def filled(array: np.ndarray, axis: int) -> np.ndarray:
        margins = [(0, 0)] * array.ndim
        margins[axis] = (0, most - array.shape[axis])
        return np.pad(array, margins)

    def parts(inputs: np.ndarray) -> np.ndarray:
        return inputs[np.arange(PARTS) * len(inputs) // PARTS]

    return Batch(
        np.stack([filled(parts(each.inputs), 1) for each in drawn]),
        np.stack([filled(each.gains - each.gains[0], 0) for each in drawn]),
        np.stack([np.arange(most) < len(each.gains) for each in drawn]),
    )


def fit(batch: Batch, *, seed: int) -> Network:
    """Trains the networks on examples.

    Differences of scores are to be differences of PSNR, by least squares.
    """
    real = np.moveaxis(batch.inputs, 1, 2)[batch.exists].reshape(
        -1, batch.inputs.shape[-1]
    )
    mean, deviation = real.mean(0), real.std(0) + 1e-3
    inputs = np.clip((batch.inputs - mean) / deviation, -5, 5)
    gains = np.clip(batch.gains, -MOST, MOST)
    keys = jax.random.split(jax.random.key(seed), NETWORKS)
    weights = _fit(keys, Batch(inputs, gains, batch.exists))
    return Network(mean, deviation, *map(np.asarray, weights))


@jax.jit
def _fit(keys: jax.Array, batch: Batch) -> Any:
    """Hidden weights, offsets and output weights, with an axis of networks."""
    optimizer = optax.adamw(
        optax.cosine_decay_schedule(LEARNING_RATE, STEPS), weight_decay=WEIGHT_DECAY
    )

    def one(key: jax.Array) -> Any:
        first, second, rest = jax.random.split(key, 3)
        count = batch.inputs.shape[-1]
        weights = (
            jax.random.normal(first, (count, HIDDEN)) / np.sqrt(count),
            jnp.zeros(HIDDEN),
            0.1 * jax.random.normal(second, (HIDDEN,)),
        )

        def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
            weights, state = carry
            gradient = jax.grad(loss)(weights, key)
            updates, state = optimizer.update(gradient, state, weights)
            return (optax.apply_updates(weights, updates), state), None

        def loss(weights: Any, key: jax.Array) -> jax.Array:
            which, dropped = jax.random.split(key)
            chosen = jax.random.randint(which, (BATCH,), 0, len(batch.inputs))
            inputs, gains, exists = (part[chosen] for part in batch)
            kept = jax.random.bernoulli(dropped, 1 - DROPPED, (inputs.shape[-1],))
            hidden, offset, output = weights
            inputs = inputs * kept[None, None, None] / (1 - DROPPED)
            units = jnp.tanh(inputs @ hidden + offset[None, None, None])
            scores = (units @ output).mean(1)
            errors = scores - scores[:, :1] - gains
            return jnp.where(exists, errors**2, 0).sum(-1).mean()

        start = weights, optimizer.init(weights)
        (weights, _), _ = jax.lax.scan(step, start, jax.random.split(rest, STEPS))
        return weights

    return jax.lax.map(one, keys)


def cross_validate(
    drawn: Sequence[Example], batch: Batch, *, seed: int
) -> dict[str, dict[str, float]]:
    """What networks gain on photographs that they were not trained with.

    Returns:
      By scale, and for all of them, dB over bicubic enlargement: means of the likeliest
      kernel, of the one that is chosen, and of the best one; the worst of the first
      two, and the worst change; and by how much the best one is better on average where
      another kernel than the likeliest is chosen (0 where none is).
    """
    part = np.array([each.photo for each in drawn]) % FOLDS
    scales = np.array([each.scale for each in drawn])
    places = np.zeros(len(drawn), int)
    for held in set(part.tolist()):
        if (part == held).all():
            continue
        network = fit(Batch(*(each[part != held] for each in batch)), seed=seed)
        for index in np.flatnonzero(part == held).tolist():
            scores = network.scores(drawn[index].inputs)
            scores[0] += MARGIN
            places[index] = scores.argmax()
    likeliest = np.array([each.gains[0] for each in drawn])
    chosen = np.array([e.gains[at] for e, at in zip(drawn, places, strict=True)])
    best = np.array([each.gains.max() for each in drawn])

    def summary(some: np.ndarray) -> dict[str, float]:
        missed = (best - chosen)[some & (places > 0)]
        found = {
            "likeliest": likeliest[some].mean(),
            "chosen": chosen[some].mean(),
            "best": best[some].mean(),
            "worst_likeliest": likeliest[some].min(),
            "worst_chosen": chosen[some].min(),
            "worst_change": (chosen - likeliest)[some].min(),
            "share_changed": (places[some] > 0).mean(),
            "missed_where_changed": missed.mean() if missed.size else 0.0,
            "examples": some.sum(),
        }
        return {name: round(float(value), 3) for name, value in found.items()}

    by_scale = {f"x{n}": summary(scales == n) for n in SCALES if (scales == n).any()}
    return by_scale | {"all": summary(scales > 0)}


FLAGS = flags.FLAGS


def main(argv: Sequence[str]) -> int:
    """Runs the program; returns its exit status."""
    del argv
    return terminal.exit_status(_run)


def _run() -> None:
    settings = Settings(examples=FLAGS.examples, seed=FLAGS.seed)
    paths = photographs.find(Path(FLAGS.photos))
    train(paths, Path(FLAGS.output), settings=settings)
    print((Path(FLAGS.output) / "log.json").read_text(), end="")


if __name__ == "__main__":
    default = Settings()
    flags.DEFINE_string("photos", None, "Folder of photographs.", required=True)
    flags.DEFINE_string("output", None, "Folder for the results.", required=True)
    flags.DEFINE_integer("examples", default.examples, "Examples in all.")
    flags.DEFINE_integer("seed", default.seed, "Seed.")
    app.run(main)
