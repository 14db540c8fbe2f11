"""KernelGAN from a meta-learned start, in few steps, beside KernelGAN as published.

python benchmarks/meta_start.py --data=PATH/kodakrk [--steps=50,100,200] [--paper=2]

For each number of steps and each seed the kernels of all images are estimated with
`configs/x2_meta.py`, and with `configs/x2_paper.py` those of the first `--paper`
images, for the ratio of times. Prints a table.
"""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from absl import app, flags

from kernelgan_jax import estimate_kernel, metrics
from kernelgan_jax.benchmark.testset import Case, read_test_set
from kernelgan_jax.estimators.kernelgan import (
    META,
    KernelGANConfig,
    generator_kernel,
    kernelgan,
)

_DATA = flags.DEFINE_string("data", None, "Test set.", required=True)
_SCALE = flags.DEFINE_integer("scale", 2, "Scale: 2 or 4.")
_STEPS = flags.DEFINE_list("steps", ["50", "100", "200"], "Numbers of steps.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Seeds.")
_PAPER = flags.DEFINE_integer("paper", 2, "Images for KernelGAN as published.")


def measure(
    name: str, cases: Sequence[Case], config: KernelGANConfig, seeds: int
) -> None:
    """Estimates all kernels, and prints a row of the table."""
    scale = _SCALE.value
    psnr, errors, failed = [], [], 0
    seconds, processor = [], []
    for index, case in enumerate(cases):
        truth, lr = case.kernel(), case.lr()
        for seed in range(seeds):
            key = jax.random.key(seed)
            if index == seed == 0:  # compiles
                estimate_kernel(
                    key, lr, scale=scale, estimator="kernelgan", config=config
                )
            begun, used = time.perf_counter(), time.process_time()
            found = estimate_kernel(
                key, lr, scale=scale, estimator="kernelgan", config=config
            )
            seconds.append(time.perf_counter() - begun)
            processor.append(time.process_time() - used)
            psnr.append(metrics.kernel_psnr(found.kernel, truth, scale=scale))
            errors.append(100 * metrics.covariance_error(found.kernel, truth))
            failed += bool(found.failure)
    by_image = np.reshape(psnr, (len(cases), seeds))
    print(
        f"| {name} | {np.mean(psnr):.2f}, {np.median(psnr):.2f}, {np.min(psnr):.2f} "
        f"| {np.ptp(by_image, axis=1).mean():.2f} "
        f"| {np.mean(errors):.0f}, {np.median(errors):.0f} "
        f"| {failed} of {len(psnr)} "
        f"| {np.min(seconds):.2f}, {np.median(seconds):.2f} "
        f"| {np.median(processor):.2f} |",
        flush=True,
    )


def main(_: list[str]) -> None:
    cases = read_test_set(Path(_DATA.value), _SCALE.value).cases
    print(
        f"| x{_SCALE.value}, {len(cases)} images, {_SEEDS.value} seeds | kernel PSNR, "
        "dB: mean, median, worst | between seeds, dB | covariance error, %: mean, "
        "median | not converged | s: best, median | processor s, median |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    if _SCALE.value == 2:
        kernel = np.asarray(generator_kernel(kernelgan(META).init(jax.random.key(0))))
        found = [metrics.kernel_psnr(kernel / kernel.sum(), c.kernel()) for c in cases]
        worst = f"{np.mean(found):.2f}, {np.median(found):.2f}, {np.min(found):.2f}"
        print(f"| the start alone | {worst} | | | | | |")
    for steps in map(int, _STEPS.value):
        config = dataclasses.replace(
            META, iterations=steps, decay_every=max(steps // 2, 1)
        )
        measure(f"meta-learned start, {steps} steps", cases, config, _SEEDS.value)
    if _PAPER.value:
        name = f"as published, 3000 steps, {_PAPER.value} images"
        measure(name, cases[: _PAPER.value], KernelGANConfig(), 1)


if __name__ == "__main__":
    app.run(main)
