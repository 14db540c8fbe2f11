"""Times kernel estimation of many images at once, by batch size.

    python benchmarks/batch.py --images=examples/images

Each batch size runs in a process of its own, so that its peak memory is its own: first
a short run that compiles, then the whole estimation. On a CPU the images take a core
each; `--vectorised` runs them as one `vmap`ped program, as other devices do by default.
Beside it, in the same process, runs a large matrix product, for the share of its rate
that training reaches.
"""

import contextlib
import json
import pathlib
import resource
import subprocess
import sys
import time

import jax
from absl import app, flags
from machine import matmul_rate, step_operations

from kernelgan_jax.app.compilation_cache import keep_compilations
from kernelgan_jax.parallel import Progress
from kernelgan_jax.app import image_files
from kernelgan_jax import Config
from kernelgan_jax import estimate_kernels

_IMAGES = flags.DEFINE_string("images", "examples/images", "Folder of images.")
_SIZES = flags.DEFINE_list("sizes", ["1", "2", "4", "8", "16"], "Batch sizes.")
_ITERATIONS = flags.DEFINE_integer("iterations", 3000, "Steps of an estimation.")
_VECTORISED = flags.DEFINE_boolean("vectorised", None, "One program for all images.")
_ONE = flags.DEFINE_boolean("one", False, "This process measures one batch size.")


class _Compiled(Exception):
    """Ends the first run after its first steps."""


def measure(size: int) -> dict:
    found = image_files.find([_IMAGES.value]).paths
    pixels = [image_files.read(path).pixels for path in found]
    batch = [pixels[i % len(pixels)] for i in range(size)]
    keys = jax.random.split(jax.random.key(0), size)
    config = Config(iterations=_ITERATIONS.value)

    def run(progress: Progress | None = None) -> float:
        started = time.perf_counter()
        estimate_kernels(
            keys,
            batch,
            config=config,
            vectorised=_VECTORISED.value,
            progress=progress,
        )
        return time.perf_counter() - started

    def enough(image: int, step: int, losses: dict) -> None:
        raise _Compiled

    with contextlib.suppress(_Compiled):
        run(enough)
    seconds = run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    stats = jax.local_devices()[0].memory_stats() or {}
    rate = size * config.iterations * step_operations(config) / seconds
    return {
        "batch": size,
        "seconds": round(seconds, 1),
        "images_per_s": round(size / seconds, 4),
        "host_MiB": round(peak),
        "device_MiB": round(stats.get("peak_bytes_in_use", 0) / 2**20),
        "GFLOP_per_s": round(rate / 1e9, 1),
        "share": round(rate / matmul_rate(), 3),
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
