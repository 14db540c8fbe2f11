"""Runs the estimators of systems on images of a test set, and measures their cost."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax

from kernelgan_jax.app.resources import batch_size, peak_memory
from kernelgan_jax.benchmark.systems import Output, System, UserEstimator
from kernelgan_jax.benchmark.testset import Case
from kernelgan_jax.config import Config, group_name
from kernelgan_jax.estimate import Evidence
from kernelgan_jax.estimators.run import check_image, estimate_checked, rate
from kernelgan_jax.estimators.spectral.analysis import analyse

Trial = tuple[Case, int]
"""An image and a seed."""


class Cost(NamedTuple):
    """What something took."""

    seconds: float | None = None
    """None if it is not known, as for finished results."""
    memory: int | None = None
    """Peak memory of the process, MiB; None if it is not known."""


class Analysis(NamedTuple):
    """The evidence of one image, and the cost of its analysis."""

    evidence: Evidence | None
    """None if the spectrum cannot be analysed."""
    cost: Cost


@contextlib.contextmanager
def measured_cost() -> Iterator[Callable[[], Cost]]:
    """Gives a function that returns the cost since the start of the `with` block."""
    with peak_memory() as peak:
        started = time.perf_counter()
        yield lambda: Cost(time.perf_counter() - started, peak())


class Analyses:
    """The evidence of images of one scale; each is analysed once, on first use."""

    def __init__(self) -> None:
        self._known: dict[str, Analysis] = {}

    def __getitem__(self, case: Case) -> Analysis:
        if case.name not in self._known:
            image = case.lr()
            evidence: Evidence | None = None
            with measured_cost() as cost:
                # Without evidence, the spectral estimator says why there is none.
                with contextlib.suppress(ValueError):
                    evidence = analyse(image, scale=case.scale)
                self._known[case.name] = Analysis(evidence, cost())
        return self._known[case.name]


def images_at_a_time(system: System, scale: int) -> int:
    """How many images a system is given at a time.

    Estimators that work on a batch as one program get as many as the machine takes. All
    others get one, so that its time is that of an image by itself.
    """
    entry = system.entry
    if entry is None or callable(system.config) or not entry.takes_batches:
        return 1
    settings = entry.default_config(system.config)
    group = {group_name(type(settings)): settings}
    return batch_size(Config(estimator=entry.name, scale=scale, sr="none", **group))


def run_system(
    system: System, trials: Sequence[Trial], analyses: Analyses
) -> tuple[list[Output], Cost]:
    """Runs the estimator of a system.

    Args:
      system: A system with an estimator.
      trials: Images of one scale and seeds; as many as `images_at_a_time` at most.
      analyses: The evidence of the images.

    Returns:
      An output for each trial, and the cost of one. It is that of `estimate_kernel`:
      the analysis of the spectrum is part of it, if the estimator estimates.
    """
    if isinstance(system.estimator, UserEstimator):
        return _run_user(system.estimator, trials, analyses)
    entry = system.entry
    assert entry is not None
    case = trials[0][0]
    config, scale = system.settings(case), case.scale
    found = [analyses[case] for case, _ in trials]
    images = [case.lr() for case, _ in trials]
    with measured_cost() as cost:
        estimates = estimate_checked(
            [jax.random.key(seed) for _, seed in trials],
            [check_image(x, scale=scale, entry=entry, config=config) for x in images],
            scale=scale,
            entry=entry,
            config=config,
            evidence=[analysis.evidence for analysis in found],
        )
        costs = [cost()]
    if entry.estimates:
        costs += [analysis.cost for analysis in found]
    return list(map(Output, estimates)), _cost_of_one(costs, len(trials))


def _run_user(
    estimator: UserEstimator, trials: Sequence[Trial], analyses: Analyses
) -> tuple[list[Output], Cost]:
    with measured_cost() as cost:
        outputs = [estimator.function(case, seed) for case, seed in trials]
        total = cost()
    rated = [
        output
        if output.estimate is None  # Then the image need not be analysed.
        else output._replace(estimate=rate(output.estimate, analyses[case].evidence))
        for output, (case, _) in zip(outputs, trials, strict=True)
    ]
    return rated, _cost_of_one([total], len(trials)) if estimator.timed else Cost()


def _cost_of_one(costs: Sequence[Cost], count: int) -> Cost:
    seconds = sum(cost.seconds or 0.0 for cost in costs) / count
    peaks = [cost.memory for cost in costs if cost.memory is not None]
    return Cost(round(seconds, 3), max(peaks, default=None))
