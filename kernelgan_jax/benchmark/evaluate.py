"""Runs systems on a test set and measures what they give.

What is measured is kept in `OUTPUT/runs.jsonl`, one line a kernel and one line a
super-resolved image, as they are done; kernels and images lie beside. A run that was
ended goes on where it stopped, and what was measured on other files or with other
settings is measured again.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kernelgan_jax import images, kernel_files, metrics
from kernelgan_jax.benchmark import testset
from kernelgan_jax.benchmark.systems import (
    SYSTEMS,
    Answer,
    Estimator,
    Request,
    System,
)
from kernelgan_jax.benchmark.testset import Case
from kernelgan_jax.config import SRConfig
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import super_resolve
from kernelgan_jax.version import __version__

Row = dict[str, Any]
"""What was measured: a line of `runs.jsonl`."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured."""

    rows: list[Row]
    """Of the systems, images and seeds asked for; `kind` is `kernel` or `sr`."""
    problems: list[str]
    """One line on each image that could not be used and each run that failed."""
    cases: list[Case]
    """The images that were used."""


def evaluate(
    data: Path,
    output: Path,
    *,
    scale: int,
    systems: Sequence[System] = tuple(SYSTEMS.values()),
    seeds: int = 3,
    sr_seeds: int = 1,
    method: str = "zssr_fast",
    names: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Measures systems on the images of a test set.

    Args:
      data: Folder of the test set; see `testset`.
      output: Folder of what is measured; see the top of this module.
      scale: Which of the test set's scales.
      systems: What to compare. Those that do not know the scale are left out.
      seeds: Kernels are estimated with seeds 0, 1, ... below this number.
      sr_seeds: Images are super-resolved with as many of them, at most `seeds`.
      method: The SR method of systems that have none of their own: a name in
        `super_resolution.METHODS`, or `none`: kernels alone.
      names: Of the images; all if empty.
      say: Called with a line on each thing done.

    Returns:
      The measured rows. A row has `kind`, `scale`, `system`, `image`, `seed`,
      `seconds` (the first ones include compilation), and `memory`, the peak of the
      process in MiB or None; of kind `kernel` also `kernel_psnr` (dB),
      `covariance_error`, both None without a kernel and the first for the true one,
      and `reason`; of kind `sr` also `psnr_y`, `ssim_y`,
      `lr_psnr_y` (dB) and `shift` (pixels). Kernels of one estimator are measured
      once: their `system` is the estimator's name.

    Raises:
      ValueError: If an argument is out of range.
      OSError: If the output cannot be written.
    """
    if not 1 <= sr_seeds <= seeds:
        raise ValueError(f"sr_seeds is {sr_seeds}; it must be from 1 to {seeds}, seeds")
    found = testset.read(data, scale, names)
    problems = list(found.problems)
    for problem in problems:
        say(f"x{scale} {problem}")
    known = [s for s in systems if s.estimator is None or s.estimator.scales(scale)]
    store = Store(output, scale)
    run = _Run(store, found.cases, method, say, problems)
    estimators = {s.estimator.name: s.estimator for s in known if s.estimator}
    rows: list[Row] = []
    for estimator in estimators.values():
        rows += run.estimate(estimator, seeds if estimator.seeded else 1, sr_seeds)
    for system in known:
        seeded = system.estimator is not None
        rows += run.super_resolve(system, sr_seeds if seeded else 1)
    return Evaluation(rows, problems, found.cases)


class Store:
    """What is kept on disk for one scale."""

    def __init__(self, output: Path, scale: int):
        self.folder = output / f"x{scale}"
        self.scale = scale
        self._file = output / "runs.jsonl"
        output.mkdir(parents=True, exist_ok=True)
        self._rows: dict[tuple[Any, ...], Row] = {}
        text = self._file.read_text() if self._file.exists() else ""
        for line in text.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a line cut off
                row = json.loads(line)
                self._rows[_key(row)] = row
        if text and not text.endswith("\n"):
            with self._file.open("a") as file:
                file.write("\n")

    def get(
        self, kind: str, system: str, case: Case, seed: int, mark: str
    ) -> Row | None:
        """The row, if there is one of the same fingerprint."""
        row = self._rows.get((kind, self.scale, system, case.name, seed))
        return row if row is not None and row["fingerprint"] == mark else None

    def add(self, row: Row) -> None:
        self._rows[_key(row)] = row
        with self._file.open("a") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")

    def kernel_file(self, estimator: str, case: Case, seed: int, scale: int) -> Path:
        """Where a kernel is kept, without suffix."""
        folder = self.folder / "kernels" / estimator / f"seed{seed}"
        return folder / f"{case.name}_x{scale}"

    def image_file(self, system: str, case: Case, seed: int) -> Path:
        """Where a super-resolved image is kept."""
        return self.folder / "sr" / system / f"seed{seed}" / f"{case.name}.png"


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("kind", "scale", "system", "image", "seed"))


class _Run:
    """The two passes over the images of one scale: kernels, then super-resolution."""

    def __init__(
        self,
        store: Store,
        cases: list[Case],
        method: str,
        say: Callable[[str], None],
        problems: list[str],
    ):
        self.store, self.cases, self.method = store, cases, method
        self.say, self.problems = say, problems
        self.digests = {case.name: _digest(case) for case in cases}

    def estimate(self, estimator: Estimator, seeds: int, sr_seeds: int) -> list[Row]:
        """The rows of an estimator's kernels, those not yet there measured."""
        rows: list[Row] = []
        for seed in range(seeds):
            missing = []
            for case in self.cases:
                mark = self._mark(case, estimator.version)
                row = self.store.get("kernel", estimator.name, case, seed, mark)
                if row is not None:
                    rows.append(row)
                elif seed < sr_seeds or self._has_kernel(estimator, case):
                    missing.append((case, seed))
            size = estimator.batch()
            for start in range(0, len(missing), size):
                rows += self._estimate(estimator, missing[start : start + size])
        return rows

    def _has_kernel(self, estimator: Estimator, case: Case) -> bool:
        """Whether it finds kernels: what only makes images needs no more seeds."""
        mark = self._mark(case, estimator.version)
        row = self.store.get("kernel", estimator.name, case, 0, mark)
        return row is None or row["covariance_error"] is not None

    def _estimate(
        self, estimator: Estimator, jobs: Sequence[tuple[Case, int]]
    ) -> list[Row]:
        requests = [
            Request(case.name, case.lr(), case.scale, seed, case.kernel())
            for case, seed in jobs
        ]
        started = time.perf_counter()
        try:
            with _peak_memory() as memory:
                answers = estimator.run(requests)
        except Exception as error:  # Whatever it is, the other images go on.
            if len(jobs) > 1:
                return [row for job in jobs for row in self._estimate(estimator, [job])]
            self._fail(estimator.name, *jobs[0], error)
            return []
        seconds = (time.perf_counter() - started) / len(jobs)
        rows = []
        for (case, seed), answer in zip(jobs, answers, strict=True):
            row = self._row("kernel", estimator.name, case, seed, estimator.version)
            row |= {"seconds": round(seconds, 3), "memory": memory()}
            row |= {"reason": answer.reason} | _kernel_measures(answer, case)
            self._keep(estimator, case, seed, answer)
            self.store.add(row)
            rows.append(row)
            psnr = row["kernel_psnr"]
            self._said(row, "done" if psnr is None else f"{psnr:.2f} dB")
        return rows

    def _keep(
        self, estimator: Estimator, case: Case, seed: int, answer: Answer
    ) -> None:
        for scale, kernel in ((case.scale, answer.kernel), (2, answer.kernel_x2)):
            if kernel is not None:
                file = self.store.kernel_file(estimator.name, case, seed, scale)
                file.parent.mkdir(parents=True, exist_ok=True)
                np.save(f"{file}.npy", kernel)
        if answer.sr is not None:
            file = self.store.image_file(estimator.name, case, seed)
            _write_image(file, answer.sr, case)

    def super_resolve(self, system: System, seeds: int) -> list[Row]:
        """The rows of a system's images, those not yet there measured."""
        if self.method == "none" and system.method == "zssr":
            return []
        rows = []
        for seed in range(seeds):
            for case in self.cases:
                version = f"{system.method if isinstance(system.method, str) else ''} "
                version += f"{self.method} {system.version} "
                if system.estimator is not None:
                    version += system.estimator.version
                mark = self._mark(case, version)
                row = self.store.get("sr", system.name, case, seed, mark)
                if row is None:
                    try:
                        row = self._super_resolve(system, case, seed, version)
                    except Exception as error:
                        self._fail(system.name, case, seed, error)
                if row is not None:
                    rows.append(row)
        return rows

    def _super_resolve(
        self, system: System, case: Case, seed: int, version: str
    ) -> Row | None:
        answer = None
        if system.estimator is not None:
            answer = self._kept(system.estimator, case, seed)
            if answer is None:
                return None  # It failed, which has been said, or was not asked for.
        lr = case.lr()
        file = self.store.image_file(system.name, case, seed)
        started = time.perf_counter()
        with _peak_memory() as memory:
            if answer is not None and answer.sr is not None:
                sr, started = images.to_unit(answer.sr), time.perf_counter()
            elif answer is None or system.estimator is None:
                sr = np.clip(bicubic_resize(images.to_unit(lr), case.scale), 0, 1)
            elif callable(system.method):
                jumps = system.estimator.jumps(case.scale, answer)
                given = system.method(lr, jumps[-1].kernel, scale=case.scale, seed=seed)
                sr = images.to_unit(images.from_array(given))
            else:
                sr = super_resolve(
                    jax.random.key(seed),
                    lr,
                    system.estimator.jumps(case.scale, answer),
                    config=SRConfig(method=self.method),
                )
        row = self._row("sr", system.name, case, seed, version)
        row |= {"seconds": round(time.perf_counter() - started, 3), "memory": memory()}
        row |= _image_measures(sr, case)
        _write_image(file, sr, case)
        self.store.add(row)
        self._said(row, f"{row['psnr_y']:.2f} dB")
        return row

    def _kept(self, estimator: Estimator, case: Case, seed: int) -> Answer | None:
        """An answer as `_keep` has left it, if it is of these settings."""
        seed = seed if estimator.seeded else 0
        mark = self._mark(case, estimator.version)
        row = self.store.get("kernel", estimator.name, case, seed, mark)
        if row is None:
            return None

        def read(scale: int) -> np.ndarray | None:
            file = self.store.kernel_file(estimator.name, case, seed, scale)
            path = Path(f"{file}.npy")
            return kernel_files.read(path) if path.exists() else None

        file = self.store.image_file(estimator.name, case, seed)
        sr = images.read(file).pixels if row["sr"] else None
        x2 = read(2) if case.scale != 2 else None
        return Answer(read(case.scale), x2, row["reason"], sr)

    def _mark(self, case: Case, version: str) -> str:
        """A fingerprint of all that a row depends on."""
        text = f"{__version__} {self.digests[case.name]} {version}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _row(self, kind: str, system: str, case: Case, seed: int, version: str) -> Row:
        return {
            "kind": kind,
            "scale": case.scale,
            "system": system,
            "image": case.name,
            "seed": seed,
            "fingerprint": self._mark(case, version),
        }

    def _said(self, row: Row, what: str) -> None:
        done = f"x{row['scale']} {row['system']}, {row['image']}, seed {row['seed']}"
        failed = f", NOT CONVERGED ({row['reason']})" if row.get("reason") else ""
        self.say(f"{done}: {row['kind']} {what}, {row['seconds']:.1f} s{failed}")

    def _fail(self, system: str, case: Case, seed: int, error: Exception) -> None:
        text = str(error) if isinstance(error, ValueError) else ""
        text = " ".join((text or f"{type(error).__name__}: {error}").split())
        problem = f"{system}, {case.name}, seed {seed}: {text}"
        self.problems.append(problem)
        self.say(f"x{case.scale} {problem}")


def _kernel_measures(answer: Answer, case: Case) -> Row:
    psnr = error = None
    if answer.kernel is not None:
        truth = case.kernel()
        psnr = metrics.kernel_psnr(answer.kernel, truth, scale=case.scale)
        psnr = psnr if math.isfinite(psnr) else None  # JSON knows no infinity.
        error = metrics.covariance_error(answer.kernel, truth)
    return {
        "kernel_psnr": psnr,
        "covariance_error": error,
        "sr": answer.sr is not None,
    }


def _image_measures(sr: np.ndarray, case: Case) -> Row:
    hr, lr = images.to_unit(case.hr()), images.to_unit(case.lr())
    wanted = tuple(case.scale * side for side in lr.shape[:2])
    if any(abs(a - b) >= case.scale for a, b in zip(sr.shape[:2], wanted, strict=True)):
        height, width = sr.shape[:2]
        raise ValueError(
            f"the result is {width}x{height}; it must be {wanted[1]}x{wanted[0]}"
        )
    if sr.shape[2] != hr.shape[2]:
        sr, hr = (np.broadcast_to(x, (*x.shape[:2], 3)) for x in (sr, hr))
        lr = np.broadcast_to(lr, (*lr.shape[:2], 3))
    height, width = (side // case.scale for side in sr.shape[:2])
    rows, columns = np.s_[: height * case.scale], np.s_[: width * case.scale]
    consistency = metrics.lr_psnr_y(
        sr[rows, columns], lr[:height, :width], case.kernel(), scale=case.scale
    )
    sr, hr = testset.common(sr, hr)
    return {
        "psnr_y": metrics.psnr_y(sr, hr, scale=case.scale),
        "ssim_y": metrics.ssim_y(sr, hr, scale=case.scale),
        "lr_psnr_y": consistency,
        "shift": [round(x, 4) for x in metrics.shift(sr, hr)],
    }


def _write_image(path: Path, pixels: np.ndarray, case: Case) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = images.from_unit(pixels, case.lr().dtype)
    images.write_png(path, images.Image(pixels, None, None, None, ""))


def _digest(case: Case) -> str:
    """Of the files of a case."""
    digest = hashlib.sha256()
    for path in (case.lr_path, case.hr_path, case.kernel_path):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@contextlib.contextmanager
def _peak_memory() -> Iterator[Callable[[], int | None]]:
    """Gives the process's peak memory, MiB, since it was entered; None but on Linux."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def peak() -> int | None:
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            return int(lines["VmHWM"].split()[0]) // 1024
        except (OSError, KeyError, ValueError):
            return None

    with contextlib.suppress(OSError):
        reset.write_text("5")  # The kernel's word for: forget the peak.
    yield peak
