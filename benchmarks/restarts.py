"""What would KernelGAN gain from restarts? Its seeds' kernels, combined.

python benchmarks/restarts.py --data=SET --results=OUT [--scale=2]

OUT is what `kernelgan-benchmark evaluate --data=SET --output_dir=OUT` wrote. Of each
image's kernels, one a seed: the single ones; their mean; of those that converged the
one of which the spectrum expects most, and the mean, weighted by the spectrum's trust
(the inverse of the squared error that it expects). Prints kernel PSNR, mean and worst.
"""

import json
from pathlib import Path

import numpy as np
from absl import app, flags

from kernelgan_jax.benchmark import testset
from kernelgan_jax import kernels
from kernelgan_jax import metrics

_DATA = flags.DEFINE_string("data", None, "test set", required=True)
_RESULTS = flags.DEFINE_string("results", None, "folder of results", required=True)
_SCALE = flags.DEFINE_integer("scale", 2, "of the images")


def combined(found, expected):
    """Ways to one kernel: `N x n x n` kernels, and their expected PSNR, dB."""
    trust = 10.0 ** (expected / 10)
    trust /= trust.sum()
    return {
        "their mean": found.mean(0),
        "the one that the spectrum trusts most": found[trust.argmax()],
        "their mean, weighted by trust": np.tensordot(trust, found, 1),
    }


def main(_):
    folder, scale = Path(_RESULTS.value), _SCALE.value
    rows = [json.loads(line) for line in (folder / "runs.jsonl").open()]
    latest = {
        (row["image"], row["seed"]): row
        for row in rows
        if (row["kind"], row["system"], row["scale"]) == ("kernel", "kernelgan", scale)
    }
    psnr: dict[str, list[float]] = {}
    for case in testset.read(Path(_DATA.value), scale).cases:
        mine = {seed: row for (name, seed), row in latest.items() if name == case.name}
        kept = folder / f"x{scale}/kernels/kernelgan"
        files = [kept / f"seed{seed}/{case.name}_x{scale}.npy" for seed in mine]
        found = kernels.stack([np.load(file) for file in files])
        expected = np.array([r["confidence"]["kernel_psnr"] for r in mine.values()])
        failed = np.array([r["reason"] != "" for r in mine.values()])
        if not failed.all():  # as `config.restarts` does
            expected[failed] = -np.inf
        answers = [("single seeds", kernel) for kernel in found]
        for name, kernel in answers + list(combined(found, expected).items()):
            error = metrics.kernel_psnr(kernel, case.kernel(), scale=scale)
            psnr.setdefault(name, []).append(error)
    print(f"| {_DATA.value}, x{scale} | mean, dB | worst, dB |")
    print("| --- | --- | --- |")
    for name, values in psnr.items():
        print(f"| {name} | {np.mean(values):.2f} | {min(values):.2f} |")


if __name__ == "__main__":
    app.run(main)
