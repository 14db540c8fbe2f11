"""Many images, from their files to their saved results, batch by batch.

Files are read ahead in threads while kernels of a batch are estimated, and the batch
before it is super-resolved and written at the same time. What goes wrong with one image
is its `Outcome`, and the others go on.
"""

import collections
import dataclasses
import itertools
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np

from kernelgan_jax.app import (
    configuration,
    figures,
    files,
    reading,
    report_values,
    resources,
    results,
)
from kernelgan_jax.app.images import image_files
from kernelgan_jax.app.job import REPORT, Job, Outcome, Task
from kernelgan_jax.app.reading import Ready
from kernelgan_jax.app.report import Result
from kernelgan_jax.app.super_resolving import super_resolve
from kernelgan_jax.estimate import KernelEstimate, Progress, ProgressCallback
from kernelgan_jax.estimators import run
from kernelgan_jax.estimators.spectral import analysis, confidence
from kernelgan_jax.parallel import side_by_side, worker_count
from kernelgan_jax.pixels import own_channels

_LOG = logging.getLogger(__name__)


class _Estimated(NamedTuple):
    """What the estimation of one image's kernel gave."""

    estimate: KernelEstimate | None
    """The estimate; None if no kernel is needed, or after an error."""
    seconds: float = 0.0
    """The image's share of the time."""
    error: Exception | None = None
    """What went wrong."""


class _Stopped(BaseException):
    """Ends a thread whose results nobody waits for."""


def process(
    tasks: Iterable[Task],
    job: Job,
    *,
    batch_size: int,
    progress: ProgressCallback | None = None,
) -> Iterator[Outcome]:
    """Works on images, in batches; yields their outcomes in order.

    Closing the iterator, and an exception while it waits, ends the threads.

    Args:
      tasks: The images.
      job: What is done with each.
      batch_size: Images of a batch.
      progress: Called now and then, from several threads; `Progress.image` is the place
        of the image among the tasks.
    """
    stop = threading.Event()

    def report_or_stop(done: Progress) -> None:
        if stop.is_set():
            raise _Stopped
        if progress is not None:
            progress(done)

    workers = max(2, min(batch_size, worker_count()))
    readers = ThreadPoolExecutor(workers, "read")
    loaders = ThreadPoolExecutor(3, "load")
    # Not in this thread: a signal would wait for the end of a compilation.
    estimator = ThreadPoolExecutor(1, "estimate")
    finishers = ThreadPoolExecutor(workers, "finish")
    try:
        before: list[Future[Outcome]] = []
        read = _ahead(readers, job, tasks, 2 * batch_size)
        if job.needs_kernel:  # While files are read.
            loaders.submit(_preload, job)
        for number, batch in enumerate(_batches(read, batch_size)):
            if number == 0:
                load_programs(loaders, batch, job)
            arguments = (finishers, batch, job, report_or_stop)
            now = estimator.submit(_start_batch, *arguments).result()
            yield from (future.result() for future in before)
            before = now
        yield from (future.result() for future in before)
    finally:
        stop.set()
        for pool in (readers, loaders, estimator, finishers):
            pool.shutdown(wait=False, cancel_futures=True)


def _ahead(
    pool: ThreadPoolExecutor, job: Job, tasks: Iterable[Task], ahead: int
) -> Iterator[Ready | Outcome]:
    """Images in order, of which up to `ahead` are read before they are needed."""
    waiting = enumerate(tasks)
    pending = collections.deque(
        pool.submit(_read, number, task, job)
        for number, task in itertools.islice(waiting, ahead)
    )
    while pending:
        result = pending.popleft().result()
        for number, task in itertools.islice(waiting, 1):
            pending.append(pool.submit(_read, number, task, job))
        yield result


def _batches(
    items: Iterable[Ready | Outcome], size: int
) -> Iterator[list[Ready | Outcome]]:
    """Runs of items with `size` images to work on; none is longer than 64 batches."""
    batch: list[Ready | Outcome] = []
    ready = 0
    for item in items:
        batch.append(item)
        ready += isinstance(item, Ready)
        if ready == size or len(batch) == 64 * size:
            yield batch
            batch, ready = [], 0
    if batch:
        yield batch


def _preload(job: Job) -> None:
    """Loads what kernels are estimated with, as far as an earlier run has kept it."""
    analysis.preload(job.config.scale)
    job.config.chosen_estimator.preload(job.config.estimator_config)


def load_programs(
    loaders: ThreadPoolExecutor, batch: Sequence[Ready | Outcome], job: Job
) -> None:
    """Loads or compiles, in threads, what the first image that was read will need."""
    for item in batch:
        if isinstance(item, Ready) and not item.sample.why_bicubic:
            if job.needs_kernel:
                loaders.submit(_compile_for_cpu, job.config.scale)
            loaders.submit(_prepare_results, item.image.pixels, job)
            return


def _compile_for_cpu(scale: int) -> None:
    """Loads or compiles what reads a spectrum, if JAX finds a CPU alone."""
    if jax.default_backend() == "cpu":
        side_by_side(
            lambda: analysis.preload(scale, compiling=True),
            lambda: confidence.preload(scale, compiling=True),
        )


def _prepare_results(pixels: np.ndarray, job: Job) -> None:
    """Loads or compiles what is needed when an image's kernel is known."""
    method = job.config.chosen_method
    if method is not None and method.prepares:
        colours = len(own_channels(pixels).kept) if pixels.shape[2] in (1, 3) else 3
        shape = (*pixels.shape[:2], colours)
        prepare = method.load("prepare")
        prepare(method.name, shape, scale=job.config.scale, config=job.config.sr_config)
    if job.figures:
        figures.load()


def _start_batch(
    finishers: ThreadPoolExecutor,
    batch: Sequence[Ready | Outcome],
    job: Job,
    progress: ProgressCallback,
) -> list[Future[Outcome]]:
    """Estimates the kernels of a batch; super-resolution then goes on in threads."""
    ready = [item for item in batch if isinstance(item, Ready)]
    asked = [r for r in ready if job.needs_kernel and not r.sample.why_bicubic]
    found = _estimate(asked, job, progress) if asked else []
    estimated = {r.number: own for r, own in zip(asked, found, strict=True)}
    futures = []
    for item in batch:
        if isinstance(item, Ready):
            own = estimated.get(item.number, _Estimated(None))
            futures.append(finishers.submit(_finish, item, own, job, progress))
        else:
            future: Future[Outcome] = Future()
            future.set_result(item)
            futures.append(future)
    return futures


def _begin(phase: str, ready: Ready, progress: ProgressCallback) -> None:
    """Reports that a phase of the work on an image begins."""
    _LOG.debug("%s: %s", ready.task.path, phase)
    progress(Progress(ready.number, phase, 0, 1))


# --- Reading ---


def _read(number: int, task: Task, job: Job) -> Ready | Outcome:
    """Reads an image, and refuses it early if it cannot be finished."""
    config = job.config
    try:
        before = reading.state(task.path)
        content = reading.content(task.path)
        fingerprint = results.fingerprint(job, content)
        if job.resume and results.is_finished(task.folder, fingerprint):
            results.add_exports(task.folder, job.exports)
            return _kept(task)
        results.check_owner(task.folder, task.path)
        sample = reading.read(task.path, job)
        reading.check_state(task.path, before)
        results.check_writable(task.folder)
        if config.chosen_method is not None:
            resources.check_memory(sample.image.pixels.shape, config.scale)
        sample = reading.checked(sample, job)
        return Ready(number, task, sample, fingerprint, content, before)
    except Exception as error:  # Whatever it is, the other images go on.
        return _failed(task, error)


def _kept(task: Task) -> Outcome:
    """The outcome of an image that was finished before, from its report."""
    found = files.read_json(task.folder / REPORT)
    if found is None:  # Another run is about to replace it.
        return Outcome(task, "kept")
    return Outcome(task, "kept", summary=report_values.summary(found))


def _failed(task: Task, error: Exception) -> Outcome:
    """The outcome of an image with which something went wrong, in one line."""
    _LOG.debug("%s failed", task.path, exc_info=error)
    if isinstance(error, image_files.ImageError | results.OutputError):
        text = str(error)  # It names the file.
    elif isinstance(error, ValueError):
        text = f"{task.path}: {configuration.name_flags(str(error))}"
    else:
        text = f"{task.path}: {type(error).__name__}: {error}"
    return Outcome(task, "failed", error=" ".join(text.split()))


# --- The kernel ---


def _estimate(
    ready: Sequence[Ready], job: Job, progress: ProgressCallback
) -> list[_Estimated]:
    """Estimates kernels; if that fails for a batch as a whole, one by one."""
    _begin("estimating the kernel", ready[0], progress)
    started = time.perf_counter()
    try:
        estimates = run.estimate_checked(
            [jax.random.key(job.seed)] * len(ready),
            [item.sample.for_estimation(job) for item in ready],
            scale=job.config.scale,
            entry=job.config.chosen_estimator,
            config=job.config.estimator_config,
            evidence=[item.sample.evidence for item in ready],
            progress=_numbered(ready, progress),
        )
    except Exception as error:  # For one, less memory may be enough for fewer images.
        if len(ready) == 1:
            return [_Estimated(None, error=error)]
        return [_estimate([item], job, progress)[0] for item in ready]
    share = (time.perf_counter() - started) / len(ready)
    return [_Estimated(_with_flags(estimate), share) for estimate in estimates]


def _numbered(ready: Sequence[Ready], progress: ProgressCallback) -> ProgressCallback:
    """A callback for some images that reports their places among the tasks."""
    return lambda done: progress(done._replace(image=ready[done.image].number))


def _with_flags(estimate: KernelEstimate) -> KernelEstimate:
    """The estimate with flags where its messages advise other settings."""
    failure = configuration.name_flags(estimate.failure)
    confidence = estimate.confidence
    if confidence is not None:
        reason = configuration.name_flags(confidence.reason)
        confidence = confidence._replace(reason=reason)
    return estimate._replace(failure=failure, confidence=confidence)


# --- Super-resolution and results ---


def _finish(
    ready: Ready, estimated: _Estimated, job: Job, progress: ProgressCallback
) -> Outcome:
    """Super-resolves an image and writes its results."""
    try:
        reason = configuration.name_flags(ready.sample.why_bicubic)
        if (error := estimated.error) is not None:
            if job.config.chosen_method is None or not isinstance(error, ValueError):
                raise error
            reason = configuration.name_flags(str(error))
        result = Result(
            task=ready.task,
            image=ready.image,
            job=job,
            estimate=estimated.estimate if job.estimates else None,
            seconds=estimated.seconds,
            fingerprint=ready.fingerprint,
            content=ready.content,
        )
        if job.config.chosen_method is not None:
            _begin("super-resolving", ready, progress)
            numbered = _numbered([ready], progress)
            shown = result.estimate if job.figures else None
            sr, drawn = side_by_side(
                lambda: super_resolve(ready, estimated.estimate, job, numbered, reason),
                lambda: figures.kernel_figure(result, shown) if shown else None,
            )
            result = dataclasses.replace(result, sr=sr, kernel_figure=drawn)
        _begin("writing", ready, progress)
        summary = report_values.summary(results.write(result))
        summary = summary._replace(conversions=ready.image.conversions)
    except Exception as error:  # Whatever it is, the other images go on.
        return _failed(ready.task, error)
    return Outcome(ready.task, "done", summary=summary)
