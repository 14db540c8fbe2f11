"""Runs systems on a test set and measures their kernels and images.

Measurements are kept as they are made (`store`). A run that was ended goes on where it
stopped; what was measured on other files, with other settings or by other code is
measured again.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from kernelgan_jax.benchmark.image_pass import measure_images
from kernelgan_jax.benchmark.kernel_pass import measure_kernels
from kernelgan_jax.benchmark.rows import Row
from kernelgan_jax.benchmark.session import Session
from kernelgan_jax.benchmark.store import Store
from kernelgan_jax.benchmark.systems import SYSTEMS, System
from kernelgan_jax.benchmark.testset import Case, read_test_set
from kernelgan_jax.config import NO_SR
from kernelgan_jax.super_resolution.registry import METHODS


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
    method: str = "deep_wiener",
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
    if method not in (NO_SR, *METHODS):
        legal = ", ".join((NO_SR, *METHODS))
        raise ValueError(f"method is {method!r}; it must be one of: {legal}")
    found = read_test_set(data, scale, names=names)
    for problem in found.problems:
        report(f"x{scale} {problem}")
    usable = [system for system in systems if system.knows_scale(scale)]
    for system in systems:
        if system not in usable:
            report(f"x{scale} {system.name}: does not know this scale; left out")
    store = Store(output, scale)
    session = Session(store, found.cases, method, report)
    sources = {s.kernel_name: s for s in usable if s.estimator is not None}
    rows: list[Row] = []
    for system in sources.values():
        count = seeds if system.seeded else 1
        rows += measure_kernels(session, system, seeds=count, sr_seeds=sr_seeds)
    for system in usable:
        has_kernels = system.estimator is not None
        rows += measure_images(session, system, seeds=sr_seeds if has_kernels else 1)
    return Evaluation(rows, [*found.problems, *session.problems], found.cases, store)
