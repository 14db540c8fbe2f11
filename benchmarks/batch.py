"""Times kernel estimation of many images at once, by batch size.

    python benchmarks/batch.py --images=examples/images

Each batch size runs in a process of its own, that its peak memory is its own: first a
short run that compiles, then the whole estimation. On a CPU the images take a core
each; `--vectorised` runs them as one `vmap`ped program, as other devices do by default.
Beside it, in the same process, runs a large matrix product, for the share of its rate
that training reaches.
"""

import dataclasses
import json
import pathlib
import resource
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
from absl import app, flags

from kernelgan_jax import Config, estimate_kernels, images
from kernelgan_jax.compilation_cache import keep_compilations

_IMAGES = flags.DEFINE_string("images", "examples/images", "Folder of images.")
_SIZES = flags.DEFINE_list("sizes", ["1", "2", "4", "8", "16"], "Batch sizes.")
_ITERATIONS = flags.DEFINE_integer("iterations", 3000, "Steps of an estimation.")
_VECTORISED = flags.DEFINE_boolean("vectorised", None, "One program for all images.")
_ONE = flags.DEFINE_boolean("one", False, "This process measures one batch size.")


def product_rate(side: int = 4096) -> float:
    """Operations/s of a square float32 matrix product, the best of 5."""
    a = jnp.ones((side, side))
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        product(a).block_until_ready()
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)


def step_operations(config: Config) -> float:
    """Operations of one training step of one image, by the compiler's count."""
    from kernelgan_jax import Batch, kernelgan

    init, step = kernelgan(config)
    state = jax.eval_shape(init, jax.random.key(0))
    sides = (config.generator_crop, config.discriminator_crop)
    batch = Batch(*(jax.ShapeDtypeStruct((n, n, 3), jnp.float32) for n in sides))
    compiled = jax.jit(step).lower(jax.random.key(0), state, batch).compile()
    return compiled.cost_analysis()["flops"]


def measure(size: int) -> dict:
    found = images.find([_IMAGES.value]).paths
    pixels = [images.read(path).pixels for path in found]
    batch = [pixels[i % len(pixels)] for i in range(size)]
    keys = jax.random.split(jax.random.key(0), size)
    config = Config(iterations=_ITERATIONS.value)

    def run(config: Config) -> float:
        started = time.perf_counter()
        estimate_kernels(keys, batch, config=config, vectorised=_VECTORISED.value)
        return time.perf_counter() - started

    # All steps of one chunk, the program that the whole run is made of.
    compiling = run(dataclasses.replace(config, iterations=100))
    run(dataclasses.replace(config, iterations=200))
    seconds = run(config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    stats = jax.local_devices()[0].memory_stats() or {}
    rate = size * config.iterations * step_operations(config) / seconds
    return {
        "batch": size,
        "seconds": round(seconds, 1),
        "images_per_s": round(size / seconds, 4),
        "first": round(compiling, 1),
        "host_MiB": round(peak),
        "device_MiB": round(stats.get("peak_bytes_in_use", 0) / 2**20),
        "GFLOP_per_s": round(rate / 1e9, 1),
        "share": round(rate / product_rate(), 3),
        "device": jax.local_devices()[0].device_kind,
    }


def main(_) -> None:
    if _ONE.value:
        keep_compilations()
        print(json.dumps(measure(int(_SIZES.value[0]))))
        return
    print(
        "| batch | images/s | against 1 | s an image | host MiB | device MiB | rate |"
    )
    print("|---|---|---|---|---|---|---|")
    first = None
    for size in _SIZES.value:
        command = [sys.executable, pathlib.Path(__file__), *sys.argv[1:], "--one"]
        done = subprocess.run(
            [*command, f"--sizes={size}"], check=True, stdout=subprocess.PIPE
        )
        row = json.loads(done.stdout.splitlines()[-1])
        first = first or row["images_per_s"]
        print(
            f"| {size} | {row['images_per_s']:.3g} | {row['images_per_s'] / first:.2f} "
            f"| {row['seconds'] / row['batch']:.2f} | {row['host_MiB']} "
            f"| {row['device_MiB']} | {row['GFLOP_per_s']} GFLOP/s, "
            f"{row['share']:.0%} of a matrix product |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
