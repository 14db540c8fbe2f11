"""Meta-learns KernelGAN's start on a folder of photographs.

    python -m kernelgan_jax.app.kernelgan_start.train --photos=photos --output=run

`--output` receives `checkpoint.msgpack` (all that training needs: the same command goes
on from there, with more `--steps` if wanted), `start.npz` (the moving average, float16)
and `log.jsonl` (kernel PSNR on tasks of training and of held-out photographs). Each
step depends on the seed and its number alone, so that a run that was interrupted ends
as one that was not. KernelGAN's own settings are those of `configs/x2_meta.py`, in half
as many steps.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.app import photographs, terminal
from kernelgan_jax.app.kernelgan_start import tasks
from kernelgan_jax.app.training import check_ranges, log, restore, save
from kernelgan_jax.estimators.kernelgan import start
from kernelgan_jax.estimators.kernelgan.config import META, KernelGANConfig
from kernelgan_jax.estimators.kernelgan.meta_learning import (
    MetaInfo,
    MetaLearning,
    MetaState,
    meta_learning,
)

VARIANCE = 2.8
"""Variance of the round Gaussian that the generator starts from, pixels^2: the mean of
those that tasks are made with."""

VALIDATION = 2**40
"""Seed of the tasks of held-out photographs."""


class Settings(NamedTuple):
    """Settings of a run."""

    steps: int = 20
    tasks: int = 4
    """Images of each step."""
    decay: float = 0.0
    """Part of the steps in which the rates fall to 0."""
    held_out: int = 6
    """Photographs for validation, every so many in the order of their names."""
    validation_tasks: int = 8
    seed: int = 0
    save_every: int = 20
    """Steps."""
    kernelgan: KernelGANConfig = dataclasses.replace(
        META, iterations=100, decay_every=50
    )
    """Settings of the trainings, which are shorter than those that use the start."""


def check(settings: Settings, photos: int) -> None:
    """Checks the settings of a run on so many photographs.

    Raises:
      ValueError: If one of them is out of range.
    """
    counts = dict.fromkeys(
        ("steps", "tasks", "save_every", "validation_tasks"), (1, np.inf)
    )
    check_ranges(settings, **counts, decay=(0, 1), seed=(0, np.inf))
    photographs.check_held_out(settings.held_out, photos)


def train(photos: Sequence[Path], output: Path, *, settings: Settings) -> MetaState:
    """Meta-learns a start, or goes on with one.

    Args:
      photos: Files of photographs.
      output: Folder for the results; it is made.

    Returns:
      The state at the end.

    Raises:
      ValueError: If a setting is out of range, or the checkpoint in `output` is of
        other networks.
      OSError: If a file cannot be read or written.
    """
    check(settings, len(photos))
    parts = photographs.hold_out(photos, settings.held_out)
    output.mkdir(parents=True, exist_ok=True)
    config = settings.kernelgan
    begin = time.time()
    data, held_data = (
        photographs.load(part, least=tasks.SIDE, pages=0) for part in parts
    )
    init, step = _compiled(config)
    gaussian = blur_kernels.gaussian(
        config.kernel_size, variances=(VARIANCE, VARIANCE), scale=2
    )
    key = jax.random.key(settings.seed)
    state = init(key, jnp.asarray(gaussian, jnp.float32))
    file = output / "checkpoint.msgpack"
    if file.exists():
        state = restore(file, state)
    shown = []
    for done in range(int(state.step), settings.steps):
        drawn = tasks.draw(
            (settings.seed, done), data, count=settings.tasks, config=config
        )
        state, info = step(state, drawn, rate(done, settings))
        shown.append(info)
        if (done + 1) % settings.save_every and done + 1 < settings.steps:
            continue
        save(file, state)
        start.save(output / "start.npz", state.average)
        record: dict[str, Any] = {"step": done + 1}
        record["seconds"] = round(time.time() - begin, 1)
        record |= _summary(shown)
        record |= {
            f"validation_{name}": value
            for name, value in _summary(
                [
                    step(state._replace(start=state.average), part, 0.0)[1]
                    for part in _validation(held_data, settings)
                ]
            ).items()
        }
        log(output, record)
        shown = []
    return state


def rate(step: int, settings: Settings) -> float:
    """Factor of all meta-learning rates: 1, then falling to 0 in a straight line."""
    left = 1 - step / settings.steps
    return min(1.0, left / settings.decay) if settings.decay else 1.0


@functools.lru_cache(maxsize=1)
def _compiled(config: KernelGANConfig) -> MetaLearning:
    # On a CPU tasks one after the other are faster.
    on_cpu = jax.default_backend() == "cpu"
    init, step = meta_learning(config, each=_one_by_one if on_cpu else jax.vmap)
    return MetaLearning(jax.jit(init), jax.jit(step))


def _one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: jax.lax.map(lambda each: function(*each), arguments)


def _validation(
    photos: photographs.Photographs, settings: Settings
) -> list[tasks.Tasks]:
    """Tasks of held-out photographs: the same in all runs of one number of tasks."""
    return [
        tasks.draw(
            (VALIDATION, first), photos, count=settings.tasks, config=settings.kernelgan
        )
        for first in range(0, settings.validation_tasks, settings.tasks)
    ]


def _summary(infos: Sequence[MetaInfo]) -> dict[str, list[float]]:
    """Means over steps, one value for each part of the tasks."""
    info = MetaInfo(*(np.mean(x, 0) for x in zip(*jax.device_get(infos), strict=True)))
    frame = kernels.frame_size(2) ** 2
    psnr = 10 * np.log10(frame) - 10 * info.log_error / np.log(10)
    found = {"kernel_psnr": psnr, **info._asdict()}
    del found["log_error"]
    return {n: [round(float(v), 3) for v in values] for n, values in found.items()}


FLAGS = flags.FLAGS


def main(argv: Sequence[str]) -> int:
    """Runs the program; returns its exit status."""
    del argv
    return terminal.exit_status(_run)


def _run() -> None:
    names = ("steps", "tasks", "decay", "seed", "save_every")
    settings = Settings(**{name: getattr(FLAGS, name) for name in names})
    paths = photographs.find(Path(FLAGS.photos))
    train(paths, Path(FLAGS.output), settings=settings)


if __name__ == "__main__":
    default = Settings()
    flags.DEFINE_string("photos", None, "Folder of photographs.", required=True)
    flags.DEFINE_string("output", None, "Folder for the results.", required=True)
    flags.DEFINE_integer("steps", default.steps, "Steps in all.")
    flags.DEFINE_integer("tasks", default.tasks, "Images of each step.")
    flags.DEFINE_float("decay", default.decay, "Part of the steps that slow down.")
    flags.DEFINE_integer("seed", default.seed, "Seed.")
    flags.DEFINE_integer("save_every", default.save_every, "Steps to a checkpoint.")
    app.run(main)
