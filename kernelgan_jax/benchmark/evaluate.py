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

from kernelgan_jax import kernels, metrics
from kernelgan_jax.app import image_files
from kernelgan_jax.benchmark import testset
from kernelgan_jax.benchmark.systems import (
    SPECTRUM,
    SYSTEMS,
    Answer,
    Estimator,
    Request,
    System,
)
from kernelgan_jax.benchmark.testset import Case
from kernelgan_jax.config import SRConfig
from kernelgan_jax.estimators.spectral.estimator import noise
from kernelgan_jax.pixels import from_array, from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import METHODS, adapt_to_noise, super_resolve
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
    store: "Store"
    """Where kernels and images lie."""


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
      The measured rows. A row has `kind`, `scale`, `system`, `image`, `seed`, `seconds`
      (the first ones of each size of image include compilation) and `memory`, the peak
      of the process in MiB; of kind `kernel` also `kernel_psnr` (dB),
      `covariance_error` and `reason`; of kind `sr` also `psnr_y`, `ssim_y`,
      `lr_psnr_y` (dB) and `shift` (down and right, pixels). What is not known or
      infinite is None. Kernels of one estimator are measured once: their `system` is
      the estimator's name.

    Raises:
      ValueError: If an argument is out of range, or the test set has not this scale.
      OSError: If the output cannot be written.
    """
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; it must be at least 1")
    if not 1 <= sr_seeds <= seeds:
        raise ValueError(f"sr_seeds is {sr_seeds}; it must be from 1 to seeds, {seeds}")
    if method not in ("none", *METHODS):
        legal = ", ".join(("none", *METHODS))
        raise ValueError(f"method is {method!r}; it must be one of: {legal}")
    found = testset.read(data, scale, names)
    problems = list(found.problems)
    for problem in problems:
        say(f"x{scale} {problem}")
    known = []
    for system in systems:
        if system.estimator is None or system.estimator.scales(scale):
            known.append(system)
        else:
            say(f"x{scale} {system.name}: does not know this scale; left out")
    store = Store(output, scale)
    run = _Run(store, found, method, say, problems)
    estimators = {s.estimator.name: s.estimator for s in known if s.estimator}
    rows: list[Row] = []
    for estimator in estimators.values():
        rows += run.estimate(estimator, seeds if estimator.seeded else 1, sr_seeds)
    for system in known:
        rows += run.super_resolve(system, sr_seeds if system.estimator else 1)
    return Evaluation(rows, problems, found.cases, store)


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
        """The row, if there is one of this fingerprint, its files as it says."""
        row = self._rows.get((kind, self.scale, system, case.name, seed))
        if row is None or row["fingerprint"] != mark:
            return None
        whole = all(
            self.file(row, what).exists() and _hash(self.file(row, what)) == digest
            for what, digest in row["files"].items()
        )
        return row if whole else None

    def add(self, row: Row) -> None:
        """Keeps a row, and the fingerprints of its files."""
        for what in row["files"]:
            row["files"][what] = _hash(self.file(row, what))
        line = json.dumps(row, allow_nan=False)
        self._rows[_key(row)] = row
        with self._file.open("a") as file:
            file.write(line + "\n")

    def file(self, row: Row, what: str) -> Path:
        """Where a row's `kernel`, `kernel_x2` or `image` is."""
        system, seed, name = row["system"], f"seed{row['seed']}", row["image"]
        if what == "image":
            return self.folder / "sr" / system / seed / f"{name}.png"
        scale = 2 if what == "kernel_x2" else self.scale
        return self.folder / "kernels" / system / seed / f"{name}_x{scale}.npy"


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("kind", "scale", "system", "image", "seed"))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


_FORMAT = 3
"""Of rows: those of another are measured again."""


class _Run:
    """The two passes over the images of one scale: kernels, then super-resolution."""

    def __init__(
        self,
        store: Store,
        found: testset.Found,
        method: str,
        say: Callable[[str], None],
        problems: list[str],
    ):
        self.store, self.method, self.say = store, method, say
        self.cases, self.names, self.problems = found.cases, found.names, problems
        self.noise: dict[str, float] = {}
        self.digests = {
            case.name: [
                _hash(p) for p in (case.lr_path, case.hr_path, case.kernel_path)
            ]
            for case in found.cases
        }

    # --- Kernels ---

    def estimate(self, estimator: Estimator, seeds: int, sr_seeds: int) -> list[Row]:
        """The rows of an estimator's kernels, those not yet there measured."""
        rows: list[Row] = []
        for seed in range(seeds):
            missing = []
            for case in self.cases:
                row = self._estimated(estimator, case, seed)
                if row is not None:
                    rows.append(row)
                elif seed < sr_seeds or self._has_kernel(estimator, case):
                    missing.append((case, seed))
            size = estimator.batch()
            for start in range(0, len(missing), size):
                rows += self._estimate(estimator, missing[start : start + size])
        return rows

    def _estimated(self, estimator: Estimator, case: Case, seed: int) -> Row | None:
        seed = seed if estimator.seeded else 0
        mark = self._mark(case, self._version(estimator, case))
        return self.store.get("kernel", estimator.name, case, seed, mark)

    def _has_kernel(self, estimator: Estimator, case: Case) -> bool:
        """Whether it finds kernels: what only makes images needs no more seeds."""
        row = self._estimated(estimator, case, 0)
        return row is not None and "kernel" in row["files"]

    def _estimate(
        self, estimator: Estimator, jobs: Sequence[tuple[Case, int]]
    ) -> list[Row]:
        rows = []
        try:
            requests = [
                Request(
                    case.name, case.lr(), case.scale, seed, case.kernel(), self.names
                )
                for case, seed in jobs
            ]
            started = time.perf_counter()
            with _peak_memory() as memory:
                answers = estimator.run(requests)
            seconds = (time.perf_counter() - started) / len(jobs)
            cost = {"seconds": round(seconds, 3), "memory": memory()}
            if not estimator.timed:
                cost = {"seconds": None, "memory": None}
            for (case, seed), answer in zip(jobs, answers, strict=True):
                rows.append(self._keep_kernel(estimator, case, seed, answer, cost))
        except Exception as error:  # Whatever it is, the other images go on.
            if len(jobs) > 1:
                rest = jobs[len(rows) :]
                return rows + [
                    r for job in rest for r in self._estimate(estimator, [job])
                ]
            self._fail(estimator.name, *jobs[0], error)
        return rows

    def _keep_kernel(
        self, estimator: Estimator, case: Case, seed: int, answer: Answer, cost: Row
    ) -> Row:
        version = self._version(estimator, case)
        row = self._row("kernel", estimator.name, case, seed, version) | cost
        row |= {"reason": answer.reason, "kernel_psnr": None, "covariance_error": None}
        row |= {"sure": answer.sure, "confidence": None}
        row |= {"widths": None, "true_widths": None}
        if (said := answer.confidence) is not None:
            row["confidence"] = {
                "level": said.level,
                "reason": said.reason,
                "kernel_psnr": _finite(said.kernel_psnr),
                "covariance_error": _finite(said.covariance_error),
                "sr_loss": _finite(said.sr_loss),
                "longer": _finite(said.longer),
                "shorter": _finite(said.shorter),
                "angle": _finite(said.angle),
            }
        for what, array in (
            ("kernel", answer.kernel),
            ("kernel_x2", answer.kernel_x2),
            ("image", answer.sr),
        ):
            if array is not None:
                row["files"][what] = ""
                file = self.store.file(row, what)
                file.parent.mkdir(parents=True, exist_ok=True)
                if what == "image":
                    _write_image(file, array, case)
                else:
                    np.save(file, array)
        if answer.kernel is not None:
            truth = case.kernel()
            psnr = metrics.kernel_psnr(answer.kernel, truth, scale=case.scale)
            error = metrics.covariance_error(answer.kernel, truth)
            row |= {"kernel_psnr": _finite(psnr), "covariance_error": _finite(error)}
            row["widths"] = [_finite(x) for x in kernels.widths(answer.kernel)]
            row["true_widths"] = [_finite(x) for x in kernels.widths(truth)]
        self.store.add(row)
        psnr = row["kernel_psnr"]
        self._said(row, "done" if psnr is None else f"{psnr:.2f} dB")
        return row

    # --- Super-resolution ---

    def super_resolve(self, system: System, seeds: int) -> list[Row]:
        """The rows of a system's images, those not yet there measured."""
        rows = []
        for seed in range(seeds):
            for case in self.cases:
                try:
                    row = self._super_resolved(system, case, seed)
                except Exception as error:  # Whatever it is, the other images go on.
                    self._fail(system.name, case, seed, error)
                else:
                    rows += [] if row is None else [row]
        return rows

    def _super_resolved(self, system: System, case: Case, seed: int) -> Row | None:
        """The row of an image, measured if it is not there; None if there is none."""
        estimator, kept, version = system.estimator, None, "bicubic"
        if estimator is not None:
            kept = self._estimated(estimator, case, seed)
            if kept is None:
                return None  # It failed, which has been said.
            if "image" in kept["files"]:
                if seed > 0 and not estimator.seeded:
                    return None  # The same image again.
                how = "own"
            else:
                if system.enlarge is None and self.method == "none":
                    return None
                sure = estimator.sure or kept["sure"]
                ours = f"{self.method} {SPECTRUM}"  # noise is heeded
                how = f"{system.version or ours}, sure: {sure}"
            version = f"{how} {kept['files']} {self._version(estimator, case)}"
        mark = self._mark(case, version)
        row = self.store.get("sr", system.name, case, seed, mark)
        if row is not None:
            return row
        row = self._row("sr", system.name, case, seed, version)
        if estimator is not None:
            self._noise(case)  # That takes no time of the system's.
        answer = Answer() if kept is None else self._answer(kept)
        started = time.perf_counter()
        with _peak_memory() as memory:
            sr = self._enlarged(system, case, seed, answer)
        seconds = round(time.perf_counter() - started, 3)
        cost = {"seconds": seconds, "memory": memory()}
        if kept is not None and answer.sr is not None:  # That it took to make it.
            cost = {name: kept[name] for name in cost}
        row |= cost | _image_measures(sr, case)
        row["files"]["image"] = ""
        _write_image(self.store.file(row, "image"), sr, case)
        self.store.add(row)
        psnr = row["psnr_y"]
        self._said(row, "the HR image" if psnr is None else f"{psnr:.2f} dB")
        return row

    def _enlarged(
        self, system: System, case: Case, seed: int, answer: Answer
    ) -> np.ndarray:
        lr, scale = case.lr(), case.scale
        if answer.sr is not None:
            return to_unit(answer.sr)
        if system.estimator is None:
            return np.clip(bicubic_resize(to_unit(lr), scale), 0, 1)
        jumps = system.estimator.jumps(scale, answer)
        if system.enlarge is not None:
            given = system.enlarge(lr, jumps[-1].kernel, scale=scale, seed=seed)
            return to_unit(from_array(given))
        config = adapt_to_noise(SRConfig(method=self.method), self._noise(case))
        return super_resolve(jax.random.key(seed), lr, jumps, config=config)

    def _noise(self, case: Case) -> float:
        """Of the LR image, for all systems alike; 0 if its spectrum does not tell."""
        if case.name not in self.noise:
            self.noise[case.name] = noise(case.lr(), scale=case.scale)
        return self.noise[case.name]

    def _answer(self, row: Row) -> Answer:
        """An answer as `_keep_kernel` has left it."""

        def read(what: str) -> np.ndarray | None:
            return np.load(self.store.file(row, what)) if what in row["files"] else None

        image = row["files"].get("image")
        sr = image_files.read(self.store.file(row, "image")).pixels if image else None
        return Answer(
            read("kernel"),
            read("kernel_x2"),
            row["reason"],
            sr,
            sure=row["sure"],
        )

    # --- What both need ---

    def _version(self, estimator: Estimator, case: Case) -> str:
        return estimator.version(case.name, self.names)

    def _mark(self, case: Case, version: str) -> str:
        """A fingerprint of all that a row depends on."""
        text = f"{__version__} {_FORMAT} {self.digests[case.name]} {version}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _row(self, kind: str, system: str, case: Case, seed: int, version: str) -> Row:
        return {
            "kind": kind,
            "scale": case.scale,
            "system": system,
            "image": case.name,
            "seed": seed,
            "files": {},
            "fingerprint": self._mark(case, version),
        }

    def _said(self, row: Row, what: str) -> None:
        done = f"x{row['scale']} {row['system']}, {row['image']}, seed {row['seed']}"
        took = "" if row["seconds"] is None else f", {row['seconds']:.1f} s"
        failed = f", NOT CONVERGED ({row['reason']})" if row.get("reason") else ""
        self.say(f"{done}: {row['kind']} {what}{took}{failed}")

    def _fail(self, system: str, case: Case, seed: int, error: Exception) -> None:
        text = str(error) if isinstance(error, ValueError) else ""
        text = " ".join((text or f"{type(error).__name__}: {error}").split())
        problem = f"{system}, {case.name}, seed {seed}: {text}"
        self.problems.append(problem)
        self.say(f"x{case.scale} {problem}")


def _image_measures(sr: np.ndarray, case: Case) -> Row:
    hr, lr = to_unit(case.hr()), to_unit(case.lr())
    if not testset.fits(sr.shape, lr.shape, case.scale):
        height, width = sr.shape[:2]
        high, wide = (case.scale * side for side in lr.shape[:2])
        raise ValueError(f"the result is {width}x{height}; it must be {wide}x{high}")
    if sr.shape[2] != hr.shape[2]:  # gray and RGB
        sr, hr, lr = (np.broadcast_to(x, (*x.shape[:2], 3)) for x in (sr, hr, lr))
    height, width = (side // case.scale for side in sr.shape[:2])
    again = sr[: height * case.scale, : width * case.scale]
    lr, kernel = lr[:height, :width], case.kernel()
    sr, hr = testset.common(sr, hr)
    # An image too small for these is measured all the same.
    consistency, shift = None, None
    if min(lr.shape[:2]) > 2 * case.scale:
        consistency = metrics.lr_psnr_y(again, lr, kernel, scale=case.scale)
        consistency = _finite(consistency)
    if min(hr.shape[:2]) > 32:
        shift = [round(x, 4) for x in metrics.shift(sr, hr)]
    return {
        "psnr_y": _finite(metrics.psnr_y(sr, hr, scale=case.scale)),
        "ssim_y": _finite(metrics.ssim_y(sr, hr, scale=case.scale)),
        "lr_psnr_y": consistency,
        "shift": shift,
    }


def _finite(value: float) -> float | None:
    """The value, or None for what JSON cannot say: no difference at all, or none."""
    return value if math.isfinite(value) else None


def _write_image(path: Path, pixels: np.ndarray, case: Case) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = from_unit(pixels, case.lr().dtype)
    image_files.write_png(path, image_files.Image(pixels))


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
