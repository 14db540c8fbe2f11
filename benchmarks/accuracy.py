"""Kernel accuracy on a test set: images x seeds -> PSNR, covariance error, spread.

    python benchmarks/accuracy.py --data=PATH/kodakrk

The folder holds `lr_x2/NAME.png` and `gt_k_x2/NAME.mat` (variable `Kernel`). One line
of JSON an estimate goes to `--runs` as it is done, so that an interrupted run goes on
where it stopped; the table goes to standard output (the last one is kept in
`benchmarks/README.md`).
"""

import json
import multiprocessing
import os
import pathlib
import time

import numpy as np
import scipy.io
from absl import app, flags
from ml_collections import config_flags

_DATA = flags.DEFINE_string("data", None, "Folder of the test set.", required=True)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Estimates an image, seeds 0, 1, ...", 1)
_IMAGES = flags.DEFINE_list("images", [], "Names without suffix; all if empty.")
_RUNS = flags.DEFINE_string("runs", None, "File of finished estimates (JSON lines).")
_WORKERS = flags.DEFINE_integer("workers", os.cpu_count(), "Processes, a core each.", 1)
_CONFIG = config_flags.DEFINE_config_file("config", "configs/x2.py")

CONSTANT_VARIANCE = 2.8  # the isotropic Gaussian that every estimator must beat


def _start_worker(cores) -> None:
    # One core a process is faster for many images than many cores an image.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cores.get()})


def _estimate(job) -> dict:
    import jax
    from PIL import Image

    from kernelgan_jax import estimate_kernel
    from kernelgan_jax.config import Config

    data, name, seed, settings = job
    image = np.asarray(Image.open(data / "lr_x2" / f"{name}.png").convert("RGB"))
    started = time.perf_counter()
    result = estimate_kernel(jax.random.key(seed), image, config=Config(**settings))
    weight = result.history["bicubic_weight"]
    return {
        "image": name,
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 2),
        "converged": result.converged,
        "reason": result.reason,
        "raw_sum": float(result.raw_kernel.sum()),
        "warm_start_end": int(np.argmax(weight < weight[0])),
        **_score(result.kernel, data, name),
        "raw_kernel": result.raw_kernel.astype(float).round(8).tolist(),
    }


def _score(kernel, data, name) -> dict:
    from kernelgan_jax import metrics

    truth = scipy.io.loadmat(data / "gt_k_x2" / f"{name}.mat")["Kernel"]
    return {
        "psnr": metrics.kernel_psnr(kernel, truth),
        "covariance_error": metrics.covariance_error(kernel, truth),
    }


def _table(runs: list[dict], data, names) -> str:
    from kernelgan_jax import kernels

    constant = kernels.gaussian(25, variances=(CONSTANT_VARIANCE,) * 2, scale=2)
    lines = [
        "| image | kernel PSNR, dB, by seed | mean | spread | covariance error, % "
        "| not converged | constant: PSNR | constant: covariance error, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows = []
    for name in names:
        mine = sorted((r for r in runs if r["image"] == name), key=lambda r: r["seed"])
        psnr = np.array([r["psnr"] for r in mine])
        error = 100 * np.mean([r["covariance_error"] for r in mine])
        fixed = _score(constant, data, name)
        rows.append(
            (psnr.mean(), error, fixed["psnr"], 100 * fixed["covariance_error"])
        )
        failed = sum(not r["converged"] for r in mine)
        lines.append(
            f"| {name} | {', '.join(f'{p:.1f}' for p in psnr)} | {psnr.mean():.1f} "
            f"| {np.ptp(psnr):.1f} | {error:.0f} | {failed or ''} "
            f"| {rows[-1][2]:.1f} | {rows[-1][3]:.0f} |"
        )
    psnr = np.array([r["psnr"] for r in runs])
    error = 100 * np.array([r["covariance_error"] for r in runs])
    columns = np.array(rows)
    spread = np.mean(
        [np.ptp([r["psnr"] for r in runs if r["image"] == name]) for name in names]
    )
    failed = sum(not r["converged"] for r in runs)
    lines += ["", "| all estimates | kernel PSNR, dB: mean, median, worst "
        "| spread between seeds, mean | covariance error, %: mean, median, worst "
        "| not converged |", "|---|---|---|---|---|",
        f"| KernelGAN | {psnr.mean():.2f}, {np.median(psnr):.2f}, {psnr.min():.2f} "
        f"| {spread:.2f} | {error.mean():.0f}, {np.median(error):.0f}, "
        f"{error.max():.0f} | {failed} of {len(runs)} |",
        f"| constant Gaussian, variance {CONSTANT_VARIANCE} "
        f"| {columns[:, 2].mean():.2f}, "
        f"{np.median(columns[:, 2]):.2f}, {columns[:, 2].min():.2f} | 0 "
        f"| {columns[:, 3].mean():.0f}, {np.median(columns[:, 3]):.0f}, "
        f"{columns[:, 3].max():.0f} | |",
    ]  # fmt: skip
    return "\n".join(lines)


def main(_) -> None:
    data = pathlib.Path(_DATA.value)
    names = _IMAGES.value or sorted(p.stem for p in (data / "lr_x2").glob("*.png"))
    settings = _CONFIG.value.to_dict()
    store = pathlib.Path(_RUNS.value) if _RUNS.value else None
    runs = []
    if store and store.exists():
        runs = [json.loads(line) for line in store.read_text().splitlines()]
    done = {(run["image"], run["seed"]) for run in runs}
    jobs = [
        (data, name, seed, settings)
        for seed in range(_SEEDS.value)
        for name in names
        if (name, seed) not in done
    ]
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for i in range(_WORKERS.value):
        cores.put(i % (os.cpu_count() or 1))
    with context.Pool(_WORKERS.value, _start_worker, (cores,)) as pool:
        for run in pool.imap_unordered(_estimate, jobs):
            runs.append(run)
            if store:
                with store.open("a") as file:
                    file.write(json.dumps(run) + "\n")
            shown = {k: v for k, v in run.items() if k != "raw_kernel"}
            print(json.dumps(shown), flush=True)
    wanted = [r for r in runs if r["image"] in names and r["seed"] < _SEEDS.value]
    print(_table(wanted, data, names))


if __name__ == "__main__":
    app.run(main)
