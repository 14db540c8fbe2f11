"""Super-resolution by kernel: bicubic, ZSSR with the bicubic, estimated, true kernel.

    python benchmarks/super_resolution.py --data=PATH/kodakrk --scale=2

The folder holds `hr/NAME.png`, `lr_xS/NAME.png` and `gt_k_xS/NAME.mat`. One line of
JSON a result goes to `--runs` as it is done, so that an interrupted run goes on where
it stopped; the table goes to standard output (kept in `benchmarks/README.md`).
"""

import dataclasses
import functools
import json
import pathlib
import time

import jax
import numpy as np
import scipy.io
from absl import app, flags
from ml_collections import config_flags
from scipy.ndimage import gaussian_filter

from kernelgan_jax import Config, estimate_kernel, images, kernels, metrics
from kernelgan_jax.config import SRConfig
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import Jump, plan, super_resolve

_DATA = flags.DEFINE_string("data", None, "Folder of the test set.", required=True)
_SCALE = flags.DEFINE_enum("scale", "2", ["2", "4"], "Scale.")
_IMAGES = flags.DEFINE_list("images", [], "Names without suffix; all if empty.")
_METHOD = flags.DEFINE_string("method", "zssr_fast", "Method of the kernel rows.")
_KERNELS = flags.DEFINE_list(
    "kernels", ["bicubic", "estimated", "true"], "Kernels to compare."
)
_CONFIG = config_flags.DEFINE_config_file(
    "config", "configs/x2.py", "Of the estimated kernels."
)
_RUNS = flags.DEFINE_string("runs", None, "File of finished results (JSON lines).")


def alignment(sr: np.ndarray, hr: np.ndarray) -> list[float]:
    """Shift of `sr` against `hr`, pixels, by one Gauss-Newton step on the gradients.

    Both are smoothed first: what `sr` lacks in detail would be taken for a shift.
    """
    a, b = (gaussian_filter(x.mean(-1), 4)[16:-16, 16:-16] for x in (sr, hr))
    gradients = np.stack([g.ravel() for g in np.gradient(a)])
    found = np.linalg.solve(gradients @ gradients.T, gradients @ (a - b).ravel())
    return [round(float(x), 4) for x in found]


def main(_) -> None:
    data, scale = pathlib.Path(_DATA.value), int(_SCALE.value)
    names = _IMAGES.value or sorted(p.stem for p in (data / "hr").glob("*.png"))
    store = pathlib.Path(_RUNS.value) if _RUNS.value else None
    config = dataclasses.replace(Config(**_CONFIG.value.to_dict()), scale=scale)
    rows = []
    if store and store.exists():
        rows = [json.loads(line) for line in store.read_text().splitlines()]
    done = {(row["image"], row["system"]) for row in rows}

    for name in names:
        lr = images.read(data / f"lr_x{scale}" / f"{name}.png").pixels
        hr = images.to_unit(images.read(data / "hr" / f"{name}.png").pixels)

        @functools.cache
        def estimate(lr=lr):
            return estimate_kernel(jax.random.key(0), lr, config=config)

        def jumps(kind, name=name, estimate=estimate):
            if kind == "true":
                file = data / f"gt_k_x{scale}" / f"{name}.mat"
                return (Jump(scale, scipy.io.loadmat(file)["Kernel"]),)
            if kind == "bicubic":
                steps = (2, 4) if scale == 4 else (2,)
                return tuple(Jump(s, kernels.bicubic(s)) for s in steps)
            return plan(scale, estimate(), None)

        systems = {"bicubic": None} | {
            f"{_METHOD.value}, {k}": k for k in _KERNELS.value
        }
        for system, kind in systems.items():
            if (name, system) in done:
                continue
            if kind == "estimated":
                estimate()  # not counted in the seconds
            started = time.perf_counter()
            if kind is None:
                sr = np.clip(bicubic_resize(images.to_unit(lr), scale), 0, 1)
            else:
                sr = super_resolve(
                    jax.random.key(0),
                    lr,
                    jumps(kind),
                    config=SRConfig(method=_METHOD.value),
                )
            seconds = time.perf_counter() - started
            sr = sr[: hr.shape[0], : hr.shape[1]]
            row = {
                "image": name,
                "system": system,
                "psnr_y": metrics.psnr_y(sr, hr, scale=scale),
                "ssim_y": metrics.ssim_y(sr, hr, scale=scale),
                "shift": alignment(sr, hr),
                "seconds": round(seconds, 2),
            }
            if kind == "estimated":
                row["converged"] = estimate().converged
            rows.append(row)
            print(json.dumps(row), flush=True)
            if store:
                with store.open("a") as file:
                    file.write(json.dumps(row) + "\n")

    print("| system | PSNR-Y, dB | SSIM-Y | largest shift, px | seconds, median |")
    print("|---|---|---|---|---|")
    for system in systems:
        mine = [r for r in rows if r["system"] == system and r["image"] in names]
        print(
            f"| {system} | {np.mean([r['psnr_y'] for r in mine]):.2f} "
            f"| {np.mean([r['ssim_y'] for r in mine]):.4f} "
            f"| {np.abs([r['shift'] for r in mine]).max():.3f} "
            f"| {np.median([r['seconds'] for r in mine]):.1f} |"
        )


if __name__ == "__main__":
    app.run(main)
