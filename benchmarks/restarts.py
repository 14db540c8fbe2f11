"""What would KernelGAN gain from restarts? Combines the kernels of its seeds.

python benchmarks/restarts.py --data=SET --results=OUT [--scale=2]

OUT is what `kernelgan-benchmark evaluate --data=SET --output_dir=OUT` wrote. For each
image there is a kernel for each seed. Compared are: single kernels; their mean; of
those that converged the kernel with the highest expected PSNR; and the mean of these,
weighted by the inverse of the expected squared error. Prints kernel PSNR, mean and
worst.
"""

from pathlib import Path

import numpy as np
from absl import app, flags

from kernelgan_jax import kernels, metrics
from kernelgan_jax.benchmark.rows import KernelRow, kernel_rows
from kernelgan_jax.benchmark.store import Store, read_rows
from kernelgan_jax.benchmark.testset import read_test_set

_DATA = flags.DEFINE_string("data", None, "Test set.", required=True)
_RESULTS = flags.DEFINE_string("results", None, "Folder of results.", required=True)
_SCALE = flags.DEFINE_integer("scale", 2, "Scale of the images.")
_SYSTEM = flags.DEFINE_string("system", "kernelgan", "System whose seeds are combined.")


def combined(found: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
    """Ways to make one kernel of `N x n x n` kernels and their expected PSNR, dB."""
    weights = 10.0 ** (expected / 10)
    weights /= weights.sum()
    return {
        "their mean": found.mean(0),
        "the one with the highest expected PSNR": found[weights.argmax()],
        "their mean, weighted": np.tensordot(weights, found, 1),
    }


def _expected_psnr(row: KernelRow) -> float:
    confidence = row.confidence or {}
    value: float = confidence["expected_kernel_psnr"]
    return value


def main(_: list[str]) -> None:
    folder, scale = Path(_RESULTS.value), _SCALE.value
    store = Store(folder, scale)
    rows = kernel_rows(read_rows(folder / "runs.jsonl"), system=_SYSTEM.value)
    psnr: dict[str, list[float]] = {}
    for case in read_test_set(Path(_DATA.value), scale).cases:
        own = [row for row in rows if (row.image, row.scale) == (case.name, scale)]
        if not own:
            continue
        found = kernels.stack([store.read_kernel(row, scale) for row in own])
        expected = np.array([_expected_psnr(row) for row in own])
        failed = np.array([row.failure != "" for row in own])
        if not failed.all():  # as the setting kernelgan.restarts does
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
