"""Times an estimator or a super-resolution method against what the machine could do.

    python benchmarks/speed.py --image=examples/images/coffee.png
    python benchmarks/speed.py --image=examples/images/coffee.png --estimator=spectral
    python benchmarks/speed.py --image=examples/images/coffee.png --sr=zssr_fast

For an estimator: seconds to compile, seconds of a whole estimation, and peak memory;
for KernelGAN also the share that training reaches of the machine's rate for matrix
products, measured in the same run. For super-resolution by 2 with a fixed Gaussian:
seconds of the whole, and the rate of its training steps alone, for one image and for a
batch of `--batch` by `vmap`.
"""

import functools
import resource
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from machine import matmul_rate, step_operations

from kernelgan_jax import blur_kernels, estimate_kernel, super_resolve
from kernelgan_jax.app.images import image_files
from kernelgan_jax.app.resources import machine
from kernelgan_jax.estimators import ESTIMATORS
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.pixels import unit_image
from kernelgan_jax.super_resolution import ZSSRConfig
from kernelgan_jax.super_resolution.zssr.algorithm import State, Training, zero_shot
from kernelgan_jax.super_resolution.zssr.linear_filter import fit_linear
from kernelgan_jax.super_resolution.zssr.network import Architecture
from kernelgan_jax.super_resolution.zssr.pairs import Pair, blur, make_pair

_IMAGE = flags.DEFINE_string("image", None, "Image to time.", required=True)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Whole runs.", 1)
_ESTIMATOR = flags.DEFINE_enum(
    "estimator", "kernelgan", [n for n in ESTIMATORS if n != "given"], "Estimator."
)
_ITERATIONS = flags.DEFINE_integer("iterations", None, "Training steps.")
_SR = flags.DEFINE_enum("sr", None, ["zssr", "zssr_fast"], "Time this instead.")
_BATCH = flags.DEFINE_integer("batch", 8, "Images in a batch of the super-resolution.")


def time_runs(run: Callable[[int], object]) -> tuple[float, list[float]]:
    """Seconds of a first run, which compiles, and of `--repeats` others."""
    times = []
    for seed in range(1 + _REPEATS.value):
        started = time.perf_counter()
        run(seed)
        times.append(time.perf_counter() - started)
    return times[0], times[1:]


def time_estimator(image: np.ndarray) -> None:
    """Prints the times of an estimator."""
    entry = ESTIMATORS[_ESTIMATOR.value]
    config = entry.default_config()
    if _ITERATIONS.value is not None:
        if not hasattr(config, "iterations"):
            raise app.UsageError(f"{entry.name} has no iterations")
        config = entry.config(iterations=_ITERATIONS.value)

    def run(seed: int) -> None:
        key = jax.random.key(seed)
        estimate_kernel(key, image, estimator=entry.name, config=config)

    first, times = time_runs(run)
    best, median = min(times), float(np.median(times))
    print(f"compile: {first - median:.1f} s (first run less the median of the others)")
    print(f"one estimation: best {best:.2f} s, median {median:.2f} s")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, else KiB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(f"peak memory: {peak / 2**20:.0f} MiB")
    if not isinstance(config, KernelGANConfig):
        return
    print(f"steps/s: {config.iterations / best:.0f}")
    operations, rate = step_operations(config), matmul_rate()
    reached = operations * config.iterations / best
    print(f"operations: {operations / 1e6:.0f} M a step")
    print(
        f"rate: {reached / 1e9:.1f} of {rate / 1e9:.1f} GFLOP/s ({reached / rate:.0%})"
    )


def time_super_resolution(image: np.ndarray) -> None:
    """Prints the times of a super-resolution method."""
    kernel = blur_kernels.gaussian(11, variances=(3.0, 1.5), angle=0.5, scale=2)
    config = ZSSRConfig(iterations=_ITERATIONS.value or 0)

    def run(seed: int) -> None:
        key = jax.random.key(seed)
        super_resolve(key, image, kernel, scale=2, method=_SR.value, config=config)

    first, times = time_runs(run)
    print(
        f"{_SR.value}, x2, {image.shape[1]}x{image.shape[0]}: best {min(times):.2f} s, "
        f"median {np.median(times):.2f} s, first run {first:.2f} s"
    )
    rate, unit = matmul_rate(), unit_image(image)
    for batch in dict.fromkeys((1, _BATCH.value)):
        seconds, operations = sr_step_cost(unit, kernel, batch)
        reached = operations / seconds
        print(
            f"batch {batch}: {1000 * seconds / batch:.2f} ms and "
            f"{operations / batch / 1e6:.0f} M operations a step and image, "
            f"{reached / 1e9:.1f} of {rate / 1e9:.1f} GFLOP/s ({reached / rate:.0%})"
        )


def sr_step_cost(
    image: np.ndarray, kernel: np.ndarray, batch: int
) -> tuple[float, float]:
    """Seconds and operations of a training step for a batch of one image's copies."""
    fast = _SR.value == "zssr_fast"
    layers, channels = (6, 32) if fast else (8, 64)
    config = ZSSRConfig()
    crop = min(config.crop, *image.shape[:2]) // 2 * 2
    network = Architecture(fast, 2, layers, channels, image.shape[-1])
    algorithm = zero_shot(
        network,
        Training(3000, "cosine", config.learning_rate, config.min_learning_rate, crop),
        as_product=jax.default_backend() == "cpu",
    )
    blurred = blur(np.random.default_rng(0), image, kernel, 0.0)
    linear = fit_linear([(image, blurred)], 2, config.rounding_std) if fast else None
    pair = make_pair(image, blurred, linear, 2)
    pairs = jax.tree.map(lambda x: jnp.stack([x] * batch), pair)
    keys = jax.random.split(jax.random.key(0), batch)
    states = jax.vmap(lambda key: algorithm.init(network.init(key)))(keys)
    steps = 40 if fast else 10

    def step(key: jax.Array, state: State, pair: Pair) -> State:
        return algorithm.step(jax.random.fold_in(key, state.step), state, (pair,))

    def run(states: State) -> State:
        def body(states: State, _: None) -> tuple[State, None]:
            return jax.vmap(step)(keys, states, pairs), None

        return jax.lax.scan(body, states, length=steps)[0]

    compiled = functools.partial(jax.jit(run), states)
    _, times = time_runs(lambda _: jax.block_until_ready(compiled()))
    operations = jax.jit(jax.vmap(step)).lower(keys, states, pairs).cost_analysis()
    return min(times) / steps, operations["flops"]


def main(_: list[str]) -> None:
    print(machine())
    image = image_files.read(_IMAGE.value).pixels
    if _SR.value:
        time_super_resolution(image)
    else:
        time_estimator(image)


if __name__ == "__main__":
    app.run(main)
