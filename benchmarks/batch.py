"""Times KernelGAN on many images at once, by batch size.

    python benchmarks/batch.py --images=examples/images

Each batch size runs in a process of its own, so that its peak memory is its own: first
a short run that compiles, then the whole estimation. On a CPU one image per core is
processed at a time; with `--vectorised` all images are one `vmap`ped program, as on
GPUs and TPUs. A large matrix product in the same process gives the share of the
machine's rate that training reaches.
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

from kernelgan_jax.app import image_files
from kernelgan_jax.app.compilation_cache import keep_compilations
from kernelgan_jax.app.resources import machine
from kernelgan_jax.estimate import Progress, ProgressCallback
from kernelgan_jax.estimators.kernelgan import estimator
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.pixels import unit_image

_IMAGES = flags.DEFINE_string("images", "examples/images", "Folder of images.")
_SIZES = flags.DEFINE_list("sizes", ["1", "2", "4", "8", "16"], "Batch sizes.")
_ITERATIONS = flags.DEFINE_integer("iterations", 3000, "Steps of an estimation.")
_VECTORISED = flags.DEFINE_boolean("vectorised", None, "One program for all images.")
_ONE = flags.DEFINE_boolean("one", False, "This process measures one batch size.")


class _Compiled(Exception):
    """Ends the first run after its first steps."""


def measure(size: int) -> dict:
    """Speed and memory of a batch of so many images."""
    found = image_files.find([_IMAGES.value]).paths
    images = [unit_image(image_files.read(path).pixels) for path in found]
    batch = [images[i % len(images)] for i in range(size)]
    keys = list(jax.random.split(jax.random.key(0), size))
    config = KernelGANConfig(iterations=_ITERATIONS.value)

    def run(progress: ProgressCallback | None = None) -> float:
        started = time.perf_counter()
        estimator.estimate(
            keys,
            batch,
            scale=2,
            config=config,
            evidence=[None] * size,
            vectorised=_VECTORISED.value,
            progress=progress,
        )
        return time.perf_counter() - started

    def stop(_: Progress) -> None:
        raise _Compiled

    with contextlib.suppress(_Compiled):
        run(stop)
    seconds = run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    stats = jax.local_devices()[0].memory_stats() or {}
    rate = size * config.iterations * step_operations(config) / seconds
    return {
        "seconds": round(seconds, 1),
        "images_per_s": round(size / seconds, 4),
        "host_MiB": round(peak),
        "device_MiB": round(stats.get("peak_bytes_in_use", 0) / 2**20),
        "GFLOP_per_s": round(rate / 1e9, 1),
        "share": round(rate / matmul_rate(), 3),
        "machine": machine(),
    }


def main(_: list[str]) -> None:
    if _ONE.value:
        keep_compilations()
        print(json.dumps(measure(int(_SIZES.value[0]))))
        return
    print(
        "| batch | images/s | against 1 | s an image | host MiB | device MiB | rate |"
    )
    print("|---|---|---|---|---|---|---|")
    first, row = None, {}
    for size in _SIZES.value:
        command = [sys.executable, pathlib.Path(__file__), *sys.argv[1:], "--one"]
        done = subprocess.run(
            [*command, f"--sizes={size}"], check=True, stdout=subprocess.PIPE
        )
        row = json.loads(done.stdout.splitlines()[-1])
        first = first or row["images_per_s"]
        print(
            f"| {size} | {row['images_per_s']:.3g} | {row['images_per_s'] / first:.2f} "
            f"| {row['seconds'] / int(size):.2f} | {row['host_MiB']} "
            f"| {row['device_MiB']} | {row['GFLOP_per_s']} GFLOP/s, "
            f"{row['share']:.0%} of a matrix product |",
            flush=True,
        )
    print(f"\n{row.get('machine', '')}")


if __name__ == "__main__":
    app.run(main)
