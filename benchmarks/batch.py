"""Times estimators and the trained network on many images at once, by batch size.

    python benchmarks/batch.py --images=examples/images
    python benchmarks/batch.py --work=spectral --sizes=1,8,64,256,1024
    python benchmarks/batch.py --work=deep_wiener --sizes=1,8,64

Each batch size runs in a process of its own, so that its peak memory is its own: first
a short run that compiles, then the whole estimation. On a CPU one image per core is
processed at a time; with `--vectorised` all images are one `vmap`ped program, as on
GPUs and TPUs. A large matrix product in the same process gives the share of the
machine's rate that KernelGAN's training reaches.
"""

import contextlib
import json
import pathlib
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import numpy as np
from absl import app, flags
from machine import matmul_rate, step_operations

from kernelgan_jax import blur_kernels
from kernelgan_jax.app.compilation_cache import keep_compilations
from kernelgan_jax.app.images import image_files
from kernelgan_jax.app.resources import machine
from kernelgan_jax.estimate import Progress, ProgressCallback
from kernelgan_jax.estimators.kernelgan import estimator
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.spectral import analyse_images
from kernelgan_jax.pixels import unit_image
from kernelgan_jax.super_resolution.deep_wiener.enlarge import Request, enlarge_images
from kernelgan_jax.super_resolution.deep_wiener.method import pretrained

_IMAGES = flags.DEFINE_string("images", "examples/images", "Folder of images.")
_SIZES = flags.DEFINE_list("sizes", ["1", "2", "4", "8", "16"], "Batch sizes.")
_WORK = flags.DEFINE_enum(
    "work", "kernelgan", ["kernelgan", "spectral", "deep_wiener"], "What is timed."
)
_ITERATIONS = flags.DEFINE_integer("iterations", 3000, "Steps of an estimation.")
_VECTORISED = flags.DEFINE_boolean("vectorised", None, "One program for all images.")
_ONE = flags.DEFINE_boolean("one", False, "This process measures one batch size.")


class _Compiled(Exception):
    """Ends the first run after its first steps."""


def kernelgan(batch: list[np.ndarray]) -> tuple[Callable[[], None], float]:
    """KernelGAN on a batch: the whole of it, compiled, and its operations."""
    keys = list(jax.random.split(jax.random.key(0), len(batch)))
    config = KernelGANConfig(iterations=_ITERATIONS.value)

    def run(progress: ProgressCallback | None = None) -> None:
        estimator.estimate(
            keys,
            batch,
            scale=2,
            config=config,
            evidence=[None] * len(batch),
            vectorised=_VECTORISED.value,
            progress=progress,
        )

    def stop(_: Progress) -> None:
        raise _Compiled

    with contextlib.suppress(_Compiled):
        run(stop)
    return run, len(batch) * config.iterations * step_operations(config)


def spectral(batch: list[np.ndarray]) -> tuple[Callable[[], None], float]:
    """The spectra of a batch; operations are not counted."""

    def run() -> None:
        analyse_images(batch, scale=2, vectorised=_VECTORISED.value)

    run()
    return run, 0.0


def deep_wiener(batch: list[np.ndarray]) -> tuple[Callable[[], None], float]:
    """Enlarging a batch by 2 with the trained network; operations are not counted."""
    kernel = blur_kernels.gaussian(11, variances=(3.0, 1.5), angle=0.5, scale=2)
    requests = [Request(image, kernel, 2) for image in batch]

    def run() -> None:
        enlarge_images(pretrained(), requests)

    run()
    return run, 0.0


WORK = {work.__name__: work for work in (kernelgan, spectral, deep_wiener)}


def measure(size: int) -> dict:
    """Speed and memory of a batch of so many images."""
    found = image_files.find([_IMAGES.value]).paths
    images = [unit_image(image_files.read(path).pixels) for path in found]
    batch = [images[i % len(images)] for i in range(size)]
    run, operations = WORK[_WORK.value](batch)
    started = time.perf_counter()
    run()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    stats = jax.local_devices()[0].memory_stats() or {}
    rate = operations / seconds
    return {
        "seconds": round(seconds, 3),
        "images_per_s": round(size / seconds, 4),
        "host_MiB": round(peak),
        "device_MiB": round(stats.get("peak_bytes_in_use", 0) / 2**20),
        "rate": f"{rate / 1e9:.1f} GFLOP/s, {rate / matmul_rate():.0%} of a matrix "
        "product"
        if operations
        else "",
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
            f"| {row['device_MiB']} | {row['rate']} |",
            flush=True,
        )
    print(f"\n{row.get('machine', '')}")


if __name__ == "__main__":
    app.run(main)
