"""Times one whole kernel estimation and compares it with what the machine could do.

    python benchmarks/speed.py --image=examples/images/coffee.png

Prints compile time, seconds of a whole estimation (all iterations, crops and clean-up
included), steps/s, peak memory, and the share of the machine's matrix product rate,
measured in the same run, that training reaches.
"""

import resource
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from ml_collections import config_flags

from kernelgan_jax import Batch, Config, estimate_kernel, images, kernelgan

_IMAGE = flags.DEFINE_string("image", None, "Image to time.", required=True)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Whole estimations.", 1)
_CONFIG = config_flags.DEFINE_config_file("config", "configs/x2.py")


def matmul_rate(size: int = 2048) -> float:
    """Floating-point operations a second of a large float32 matrix product."""
    x = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda x: jnp.dot(x, x, precision="default"))
    product(x).block_until_ready()
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        product(x).block_until_ready()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def step_operations(config: Config) -> float:
    """Floating-point operations of one training step, as XLA counts them."""
    init, step = kernelgan(config)
    key = jax.eval_shape(lambda: jax.random.key(0))
    sides = (config.generator_crop, config.discriminator_crop)
    batch = Batch(*(jax.ShapeDtypeStruct((s, s, 3), np.float32) for s in sides))
    lowered = jax.jit(step).lower(key, jax.eval_shape(init, key), batch)
    return lowered.cost_analysis()["flops"]


def main(_: list[str]) -> None:
    config = Config(**_CONFIG.value.to_dict())
    image = images.read(_IMAGE.value).pixels
    device = jax.devices()[0]
    print(f"device: {device.device_kind} ({device.platform}), jax {jax.__version__}")

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
