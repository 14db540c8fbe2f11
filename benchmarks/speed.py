"""Times kernel estimation or super-resolution against what the machine could do.

    python benchmarks/speed.py --image=examples/images/coffee.png
    python benchmarks/speed.py --image=examples/images/coffee.png --sr=zssr_fast

For the kernel, prints compile time, seconds of a whole estimation (all iterations,
crops and clean-up included), steps/s, peak memory, and the share of the machine's
matrix product rate, measured in the same run, that training reaches. For
super-resolution by 2 with a fixed Gaussian: seconds of the whole, and the rate of its
training steps alone, for one image and for a batch of `--batch` by `vmap`.
"""

import resource
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from machine import matmul_rate, step_operations
from ml_collections import config_flags

from kernelgan_jax.config import SRConfig
from kernelgan_jax.pixels import to_unit
from kernelgan_jax.super_resolution import Jump, super_resolve
from kernelgan_jax.super_resolution.zssr.algorithm import State, zero_shot
from kernelgan_jax.super_resolution.zssr.linear_filter import fit_linear
from kernelgan_jax.super_resolution.zssr.network import Architecture
from kernelgan_jax.super_resolution.zssr.pairs import Father, blur, make_father
from kernelgan_jax.app import image_files
from kernelgan_jax import blur_kernels
from kernelgan_jax import Config
from kernelgan_jax import estimate_kernel

_IMAGE = flags.DEFINE_string("image", None, "Image to time.", required=True)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Whole estimations.", 1)
_SR = flags.DEFINE_enum("sr", None, ["zssr", "zssr_fast"], "Time this instead.")
_BATCH = flags.DEFINE_integer("batch", 8, "Images in a batch of the super-resolution.")
_CONFIG = config_flags.DEFINE_config_file("config", "configs/x2_paper.py")


def sr_step_rate(image: np.ndarray, kernel: np.ndarray, batch: int) -> tuple:
    """Seconds and operations of a training step for a batch of one image's copies."""
    fast = _SR.value == "zssr_fast"
    layers, channels = (6, 32) if fast else (8, 64)
    config = SRConfig().complete(
        layers=layers, channels=channels, iterations=3000, schedule="cosine"
    )
    network = Architecture(fast, 2, layers, channels, image.shape[-1])
    on_cpu = jax.default_backend() == "cpu"
    algorithm = zero_shot(network, config, crop=config.crop, as_product=on_cpu)
    blurred = blur(np.random.default_rng(0), image, kernel, 0.0)
    linear = fit_linear([(image, blurred)], 2, 0.5 / 255) if fast else None
    father = make_father(image, blurred, linear, 2)
    fathers = jax.tree.map(lambda x: jnp.stack([x] * batch), father)
    keys = jax.random.split(jax.random.key(0), batch)
    states = jax.vmap(algorithm.init)(keys)

    def step(key: jax.Array, state: State, father: Father) -> State:
        return algorithm.step(jax.random.fold_in(key, state.step), state, (father,))

    def run(states: State) -> State:
        def body(states: State, _: None) -> tuple:
            return jax.vmap(step)(keys, states, fathers), None

        return jax.lax.scan(body, states, length=steps)[0]

    steps = 40 if fast else 10
    compiled = jax.jit(run)
    jax.block_until_ready(compiled(states))
    best = float("inf")
    for _ in range(_REPEATS.value):
        started = time.perf_counter()
        jax.block_until_ready(compiled(states))
        best = min(best, time.perf_counter() - started)
    operations = jax.jit(jax.vmap(step)).lower(keys, states, fathers).cost_analysis()
    return best / steps, operations["flops"]


def time_super_resolution(image: np.ndarray) -> None:
    kernel = blur_kernels.gaussian(11, variances=(3.0, 1.5), angle=0.5, scale=2)
    config = SRConfig(method=_SR.value)

    def run() -> float:
        started = time.perf_counter()
        super_resolve(jax.random.key(0), image, (Jump(2, kernel),), config=config)
        return time.perf_counter() - started

    first = run()
    times = [run() for _ in range(_REPEATS.value)]
    print(
        f"{_SR.value}, x2, {image.shape[1]}x{image.shape[0]}: best {min(times):.2f} s, "
        f"median {np.median(times):.2f} s, first run {first:.2f} s"
    )
    rate, unit = matmul_rate(), to_unit(image)
    for batch in dict.fromkeys((1, _BATCH.value)):
        seconds, operations = sr_step_rate(unit, kernel, batch)
        reached = operations / seconds
        print(
            f"batch {batch}: {1000 * seconds / batch:.2f} ms and "
            f"{operations / batch / 1e6:.0f} M operations a step and image, "
            f"{reached / 1e9:.1f} of {rate / 1e9:.1f} GFLOP/s ({reached / rate:.0%})"
        )


def main(_: list[str]) -> None:
    config = Config(**_CONFIG.value.to_dict())
    image = image_files.read(_IMAGE.value).pixels
    device = jax.devices()[0]
    print(f"device: {device.device_kind} ({device.platform}), jax {jax.__version__}")
    if _SR.value:
        time_super_resolution(image)
        return

    def run(seed: int) -> float:
        started = time.perf_counter()
        estimate_kernel(jax.random.key(seed), image, config=config)
        return time.perf_counter() - started

    first = run(0)
    times = [run(seed) for seed in range(1, 1 + _REPEATS.value)]
    best, median = min(times), float(np.median(times))
    print(f"compile: {first - median:.1f} s (first run less the median of the others)")
    print(f"one estimation: best {best:.2f} s, median {median:.2f} s")
    print(f"steps/s: {config.iterations / best:.0f}")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, else KiB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(f"peak memory: {peak / 2**20:.0f} MiB")
    operations, rate = step_operations(config), matmul_rate()
    reached = operations * config.iterations / best
    print(f"operations: {operations / 1e6:.0f} M a step")
    print(
        f"rate: {reached / 1e9:.1f} of {rate / 1e9:.1f} GFLOP/s ({reached / rate:.0%})"
    )


if __name__ == "__main__":
    app.run(main)
