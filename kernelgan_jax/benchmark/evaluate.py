"""Runs systems on a test set and measures their kernels and images.

Measurements are kept as they are made (`store`). A run that was ended goes on where it
stopped; what was measured on other files, with other settings or by other code is
measured again.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.benchmark.estimation import (
    Cost,
    Job,
    Spectra,
    images_at_a_time,
    measured_cost,
    run_system,
)
from kernelgan_jax.benchmark.fingerprints import file_digest, fingerprint
from kernelgan_jax.benchmark.measure import image_measures, kernel_measures
from kernelgan_jax.benchmark.rows import (
    KERNEL,
    SR,
    ImageRow,
    KernelRow,
    Key,
    Row,
    kernel_file,
)
from kernelgan_jax.benchmark.store import IMAGE, Store
from kernelgan_jax.benchmark.systems import (
    NO_METHOD,
    SYSTEMS,
    Output,
    System,
    UserMethod,
    method_identity,
    method_settings,
)
from kernelgan_jax.benchmark.testset import Case, read_test_set
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.pixels import from_array, to_unit
from kernelgan_jax.super_resolution import METHODS, plan, super_resolve


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `run_benchmark` measured."""

    rows: list[Row]
    """The rows of the systems, images and seeds that were asked for."""
    problems: list[str]
    """One line for each image that could not be used and each run that failed."""
    cases: list[Case]
    """The images that were used."""
    store: Store
    """Where kernels and images lie."""


def run_benchmark(
    data: Path,
    output: Path,
    *,
    scale: int,
    systems: Sequence[System] = tuple(SYSTEMS.values()),
    seeds: int = 3,
    sr_seeds: int = 1,
    method: str = "zssr_fast",
    names: Sequence[str] = (),
    report: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Measures systems on the images of a test set.

    Args:
      data: Folder of the test set; see `testset`.
      output: Folder of the measurements; see `store`.
      scale: One of the test set's scales.
      systems: What to compare. Systems that do not know the scale are left out.
      seeds: Kernels are estimated with the seeds 0, 1, ... below this number.
      sr_seeds: Images are super-resolved for the first ones of these seeds; this many.
      method: The super-resolution method of systems that have none of their own: a name
        in `METHODS`, or `none` for kernels alone.
      names: Names of the images to use; all if empty.
      report: Called with a line about each measurement and each problem.

    Returns:
      The rows. Seconds of the first image of each size include compilation. Kernels
      that several systems share are measured once.

    Raises:
      ValueError: If an argument is out of range, or the test set does not have this
        scale.
      OSError: If the output cannot be written.

    Example:
      >>> from pathlib import Path
      >>> from kernelgan_jax.benchmark import run_benchmark
      >>> run_benchmark(Path("set"), Path("out"), scale=2, seeds=0)
      Traceback (most recent call last):
      ValueError: seeds is 0; it must be at least 1
    """
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; it must be at least 1")
    if not 1 <= sr_seeds <= seeds:
        raise ValueError(f"sr_seeds is {sr_seeds}; it must be from 1 to seeds, {seeds}")
    if method not in (NO_METHOD, *METHODS):
        legal = ", ".join((NO_METHOD, *METHODS))
        raise ValueError(f"method is {method!r}; it must be one of: {legal}")
    found = read_test_set(data, scale, names=names)
    for problem in found.problems:
        report(f"x{scale} {problem}")
    usable = [system for system in systems if system.knows_scale(scale)]
    for system in systems:
        if system not in usable:
            report(f"x{scale} {system.name}: does not know this scale; left out")
    store = Store(output, scale)
    run = _Run(store, found.cases, method, report)
    sources = {s.kernel_name: s for s in usable if s.estimator is not None}
    rows: list[Row] = []
    for system in sources.values():
        rows += run.measure_kernels(system, seeds if system.seeded else 1, sr_seeds)
    for system in usable:
        has_kernels = system.estimator is not None
        rows += run.measure_images(system, sr_seeds if has_kernels else 1)
    return Evaluation(rows, [*found.problems, *run.problems], found.cases, store)


class _Run:
    """The two passes over the images of one scale: kernels, then super-resolution."""

    def __init__(
        self,
        store: Store,
        cases: Sequence[Case],
        method: str,
        report: Callable[[str], None],
    ):
        self.store = store
        self.cases = cases
        self.method = method
        self.report = report
        self.problems: list[str] = []
        self.spectra = Spectra()
        self.digests = {
            case.name: [
                file_digest(path)
                for path in (case.lr_path, case.hr_path, case.kernel_path)
            ]
            for case in cases
        }

    # --- Kernels ---

    def measure_kernels(
        self, system: System, seeds: int, sr_seeds: int
    ) -> list[KernelRow]:
        """The rows of a system's kernels; those that are missing are measured."""
        rows: list[KernelRow] = []
        for seed in range(seeds):
            missing: list[Job] = []
            for case in self.cases:
                row = self._kernel_row(system, case, seed)
                if row is not None:
                    rows.append(row)
                elif seed < sr_seeds or self._has_kernel(system, case):
                    missing.append((case, seed))
            size = images_at_a_time(system, self.store.scale)
            for start in range(0, len(missing), size):
                rows += self._estimate(system, missing[start : start + size])
        return rows

    def _kernel_row(self, system: System, case: Case, seed: int) -> KernelRow | None:
        """The row of a kernel, if it has been measured."""
        key = self._kernel_key(system, case, seed)
        row = self.store.get(key, self._kernel_fingerprint(system, case))
        return row if isinstance(row, KernelRow) else None

    def _kernel_key(self, system: System, case: Case, seed: int) -> Key:
        seed = seed if system.seeded else 0
        return Key(KERNEL, case.scale, system.kernel_name, case.name, seed)

    def _kernel_fingerprint(self, system: System, case: Case) -> str:
        return fingerprint(
            files=self.digests[case.name], estimator=system.estimator_identity(case)
        )

    def _has_kernel(self, system: System, case: Case) -> bool:
        """Whether a system estimates kernels: what only makes images needs no more
        seeds than those of images."""
        row = self._kernel_row(system, case, 0)
        return row is not None and kernel_file(case.scale) in row.files

    def _estimate(self, system: System, jobs: Sequence[Job]) -> list[KernelRow]:
        """Measures kernels as one batch; if it fails, one by one."""
        rows: list[KernelRow] = []
        try:
            outputs, cost = run_system(system, jobs, self.spectra)
            for (case, seed), output in zip(jobs, outputs, strict=True):
                rows.append(self._keep_kernel(system, case, seed, output, cost))
        except Exception as error:  # Whatever it is, the other images go on.
            if len(jobs) == 1:
                self._fail(system.kernel_name, *jobs[0], error)
            else:
                for job in jobs[len(rows) :]:
                    rows += self._estimate(system, [job])
        return rows

    def _keep_kernel(
        self, system: System, case: Case, seed: int, output: Output, cost: Cost
    ) -> KernelRow:
        """Writes an output's kernel and image, and measures the kernel."""
        key = self._kernel_key(system, case, seed)
        files: dict[str, str] = {}
        values: dict[str, Any] = {}
        if output.image is not None:
            dtype = case.lr().dtype
            files |= self.store.write_image(key, output.image, dtype=dtype)
        if (estimate := output.estimate) is not None:
            stages = (*estimate.intermediate, (case.scale, estimate.kernel))
            files |= self.store.write_kernels(key, stages)
            values = kernel_measures(estimate.kernel, case) | {
                "failure": estimate.failure,
                "trusted": estimate.trusted,
                "noise_std": estimate.noise_std,
            }
            if estimate.confidence is not None:
                values["confidence"] = estimate.confidence.to_dict()
        row = KernelRow(
            scale=case.scale,
            system=key.system,
            image=key.image,
            seed=key.seed,
            fingerprint=self._kernel_fingerprint(system, case),
            files=files,
            seconds=cost.seconds,
            memory=cost.memory,
            **values,
        )
        self.store.add(row)
        psnr = row.kernel_psnr
        self._report_row(row, "done" if psnr is None else f"{psnr:.2f} dB", row.failure)
        return row

    # --- Super-resolution ---

    def measure_images(self, system: System, seeds: int) -> list[ImageRow]:
        """The rows of a system's images; those that are missing are measured."""
        rows = []
        for seed in range(seeds):
            for case in self.cases:
                try:
                    row = self._image(system, case, seed)
                except Exception as error:  # Whatever it is, the other images go on.
                    self._fail(system.name, case, seed, error)
                else:
                    rows += [] if row is None else [row]
        return rows

    def _image(self, system: System, case: Case, seed: int) -> ImageRow | None:
        """The row of an image; None if the system has none for this seed."""
        kernel_row = None
        method: str | UserMethod | None = system.method or self.method
        if system.estimator is not None:
            kernel_row = self._kernel_row(system, case, seed)
            if kernel_row is None:
                return None  # It failed, which has been reported.
            if IMAGE in kernel_row.files:
                if seed > 0 and not system.seeded:
                    return None  # It would be the same image again.
                method = None
            elif method == NO_METHOD:
                return None
        key = Key(SR, case.scale, system.name, case.name, seed)
        mark = fingerprint(
            files=self.digests[case.name],
            kernel=None if kernel_row is None else _inputs(kernel_row),
            method=method and method_identity(method, method_settings(system, method)),
        )
        row = self.store.get(key, mark)
        if isinstance(row, ImageRow):
            return row
        with measured_cost() as total:
            sr = self._super_resolve(system, case, seed, kernel_row, method)
            cost = total()
        if kernel_row is not None and method is None:  # The time of making it.
            cost = Cost(kernel_row.seconds, kernel_row.memory)
        row = ImageRow(
            scale=case.scale,
            system=system.name,
            image=case.name,
            seed=seed,
            fingerprint=mark,
            seconds=None if cost.seconds is None else round(cost.seconds, 3),
            memory=cost.memory,
            **image_measures(sr, case),
            files=self.store.write_image(key, sr, dtype=case.lr().dtype),
        )
        self.store.add(row)
        psnr = row.psnr_y
        self._report_row(row, "no difference" if psnr is None else f"{psnr:.2f} dB")
        return row

    def _super_resolve(
        self,
        system: System,
        case: Case,
        seed: int,
        kernel_row: KernelRow | None,
        method: str | UserMethod | None,
    ) -> np.ndarray:
        """The super-resolved image, `H x W x C` float32 in [0, 1]."""
        if method is None:
            assert kernel_row is not None
            return to_unit(self.store.read_image(kernel_row))
        estimate = None if kernel_row is None else self._read_estimate(kernel_row)
        if isinstance(method, UserMethod):
            assert estimate is not None
            kernel = _kernel_of_plan(estimate)
            found = method.function(case.lr(), kernel, case.scale, seed)
            return to_unit(from_array(found))
        return super_resolve(
            jax.random.key(seed),
            case.lr(),
            estimate,
            scale=case.scale,
            method=method,
            config=method_settings(system, method),
        )

    def _read_estimate(self, row: KernelRow) -> KernelEstimate:
        """The estimate of a row, as super-resolution needs it."""
        scales = sorted(
            scale
            for scale in range(1, row.scale + 1)
            if kernel_file(scale) in row.files
        )
        steps = [(scale, self.store.read_kernel(row, scale)) for scale in scales]
        return KernelEstimate(
            steps[-1][1],
            row.scale,
            tuple(steps[:-1]),
            failure=row.failure,
            trusted=row.trusted,
            noise_std=row.noise_std,
        )

    # --- Reports ---

    def _report_row(self, row: Row, result: str, failure: str = "") -> None:
        done = f"x{row.scale} {row.system}, {row.image}, seed {row.seed}"
        took = "" if row.seconds is None else f", {row.seconds:.1f} s"
        failed = f", NOT CONVERGED ({failure})" if failure else ""
        self.report(f"{done}: {row.kind} {result}{took}{failed}")

    def _fail(self, system: str, case: Case, seed: int, error: Exception) -> None:
        text = str(error) if isinstance(error, ValueError) else ""
        text = " ".join((text or f"{type(error).__name__}: {error}").split())
        problem = f"{system}, {case.name}, seed {seed}: {text}"
        self.problems.append(problem)
        self.report(f"x{case.scale} {problem}")


def _inputs(row: KernelRow) -> list[Any]:
    """What super-resolution reads of an estimate, as JSON."""
    return [dict(row.files), row.failure, row.trusted, row.noise_std]


def _kernel_of_plan(estimate: KernelEstimate) -> np.ndarray:
    """The kernel that a method of the user's gets: the estimate's, or, if it failed,
    the bicubic kernel, aligned."""
    planned = plan(estimate)
    assert planned.kernel is not None
    if planned.source == "bicubic":
        return kernels.centre(planned.kernel, planned.scale)
    return planned.kernel
