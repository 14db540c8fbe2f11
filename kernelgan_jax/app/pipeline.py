"""Many images, from their files to their saved results, batch by batch.

Files are decoded ahead in threads while the device trains on a batch, and the batch
before it is super-resolved and written meanwhile. What goes wrong with one image is
its `Outcome`, and the others go on.
"""

import collections
import dataclasses
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from kernelgan_jax import kernels, super_resolution
from kernelgan_jax.app import image_files, results
from kernelgan_jax.app.report import Run, SuperResolved
from kernelgan_jax.app.terminal import Summary, summary
from kernelgan_jax.config import NOISE_UNIT, Config
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.estimators.kernelgan.train import Prepared
from kernelgan_jax.estimators.run import find, prepare
from kernelgan_jax.estimators.spectral.estimator import noise
from kernelgan_jax.parallel import worker_count
from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """What is asked of every image."""

    config: Config
    seed: int = 0
    kernel: np.ndarray | None = None
    """A known kernel, in place of the estimated one."""
    kernel_source: str = "estimated"
    """`estimated`, `bicubic`, or the file of the known kernel."""
    figures: bool = True
    resume: bool = True
    """Whether images that are finished with the same settings are left out."""


class Task(NamedTuple):
    """One image."""

    path: Path
    folder: Path
    """Of its results."""


class Outcome(NamedTuple):
    """What became of one image."""

    task: Task
    status: str
    """`done`; `kept`: it was before, with the same settings; `failed`."""
    seconds: float = 0.0
    """Of its super-resolution, plus its share of its batch's training."""
    error: str = ""
    """One line, if it failed."""
    summary: Summary | None = None


Watch = Callable[[Path, str, int, int, dict[str, float]], None]
"""Called with image, phase, steps done, steps at most and losses; from threads."""


class _Stopped(BaseException):
    """Ends a thread whose results nobody waits for."""


class _Ready(NamedTuple):
    """An image that has been read, and can be worked on."""

    task: Task
    image: image_files.Image
    prepared: Prepared | None
    """None if the kernel is known."""
    fingerprint: str
    """Of the file as it was read."""


def process(
    tasks: Iterable[Task],
    job: Job,
    *,
    batch_size: int,
    watch: Watch | None = None,
) -> Iterator[Outcome]:
    """Works on images, in batches; yields their outcomes in order.

    Closing the iterator, and what is raised while it waits, ends the threads.
    """
    stop = threading.Event()

    def watched(path: Path, phase: str, step: int, total: int, losses: dict) -> None:
        if stop.is_set():
            raise _Stopped
        if watch is not None:
            watch(path, phase, step, total, losses)

    workers = max(2, min(batch_size, worker_count()))
    readers = ThreadPoolExecutor(workers, "read")
    finishers = ThreadPoolExecutor(workers, "finish")
    try:
        before: list[Future[Outcome]] = []
        read = _ahead(readers, lambda task: _read(task, job), tasks, 2 * batch_size)
        for batch in _batches(read, batch_size):
            now = []
            ready = [item for item in batch if isinstance(item, _Ready)]
            estimates = iter(_estimate(ready, job, watched))
            for item in batch:
                if isinstance(item, _Ready):
                    arguments = (item, *next(estimates), job, watched)
                    now.append(finishers.submit(_finish, *arguments))
                else:
                    now.append(_known(item))
            yield from (future.result() for future in before)
            before = now
        yield from (future.result() for future in before)
    finally:
        stop.set()
        for pool in (readers, finishers):
            pool.shutdown(wait=False, cancel_futures=True)


def _ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[Task], "_Ready | Outcome"],
    tasks: Iterable[Task],
    ahead: int,
) -> Iterator["_Ready | Outcome"]:
    """Results of a function in order, computed up to `ahead` before they are taken."""
    tasks = iter(tasks)
    pending = collections.deque(
        pool.submit(function, task) for task in itertools.islice(tasks, ahead)
    )
    while pending:
        result = pending.popleft().result()
        pending.extend(
            pool.submit(function, task) for task in itertools.islice(tasks, 1)
        )
        yield result


def _batches(
    items: Iterable["_Ready | Outcome"], size: int
) -> Iterator[list["_Ready | Outcome"]]:
    """Runs of items with `size` images to work on; no longer than 64 batches."""
    batch: list[_Ready | Outcome] = []
    ready = 0
    for item in items:
        batch.append(item)
        ready += isinstance(item, _Ready)
        if ready == size or len(batch) == 64 * size:
            yield batch
            batch, ready = [], 0
    if batch:
        yield batch


def _known(outcome: Outcome) -> Future[Outcome]:
    future: Future[Outcome] = Future()
    future.set_result(outcome)
    return future


def _failed(task: Task, error: Exception) -> Outcome:
    """The outcome of an image with which something went wrong, in one line."""
    if isinstance(error, image_files.ImageError | results.OutputError):
        text = str(error)  # It names the file.
    elif isinstance(error, ValueError):
        text = f"{task.path}: {error}"
    else:
        text = f"{task.path}: {type(error).__name__}: {error}"
    return Outcome(task, "failed", error=" ".join(text.split()))


def _read(task: Task, job: Job) -> _Ready | Outcome:
    """Reads an image, and refuses what cannot end well before any training."""
    config = job.config
    try:
        mark = fingerprint(task.path, job)
        if job.resume and results.is_finished(task.folder, mark):
            return Outcome(task, "kept")
        image = image_files.read(task.path)
        results.check_writable(task.folder)
        shape = image.pixels.shape[0], image.pixels.shape[1]
        if config.sr.method != "none":
            super_resolution.check_size(shape, config.scale, config.sr)
            if job.kernel is not None and config.sr.method != "bicubic":
                kernels.check(job.kernel, scale=config.scale, image_shape=shape)
        prepared = None
        if job.kernel is None:
            key = jax.random.key(job.seed)
            prepared = prepare(key, image.pixels, config)
        return _Ready(task, image, prepared, mark)
    except Exception as error:  # Whatever it is, the other images go on.
        return _failed(task, error)


def _estimate(
    ready: Sequence[_Ready], job: Job, watch: Watch
) -> list[tuple[KernelEstimate | Exception | None, float]]:
    """Estimates and seconds of images; if training fails as a whole, one by one."""
    prepared = [item.prepared for item in ready if item.prepared is not None]
    if len(prepared) < len(ready) or not ready:
        return [(None, 0.0)] * len(ready)  # The kernel is known.

    def progress(row: int, step: int, losses: dict[str, float]) -> None:
        path, total = ready[row].task.path, job.config.iterations
        watch(path, "kernel", step, total, losses)

    started = time.perf_counter()
    try:
        found = find(prepared, job.config, progress=progress)
    except Exception as error:  # Out of memory, for one: fewer may go.
        if len(ready) == 1:
            return [(error, 0.0)]
        return [_estimate([item], job, watch)[0] for item in ready]
    share = (time.perf_counter() - started) / len(ready)
    return [(one, share) for one in found]


def _finish(
    ready: _Ready,
    found: KernelEstimate | Exception | None,
    seconds: float,
    job: Job,
    watch: Watch,
) -> Outcome:
    """Super-resolves an image, and writes its results."""
    task, image, _, mark = ready
    try:
        if isinstance(found, Exception):
            raise found
        sr = None
        if job.config.sr.method != "none":
            sr = _super_resolve(task.path, image, found, job, watch)
        run = Run(
            task.path,
            image,
            job.config,
            job.seed,
            found,
            seconds,
            sr,
            mark,
            job.figures,
        )
        results.write(task.folder, run)
        said = summary(task.folder, run)
    except Exception as error:
        return _failed(task, error)
    return Outcome(task, "done", said.seconds, summary=said)


def _super_resolve(
    path: Path,
    image: image_files.Image,
    found: KernelEstimate | None,
    job: Job,
    watch: Watch,
) -> SuperResolved:
    config = job.config
    started = time.perf_counter()
    sr = config.sr
    if sr.method != "bicubic":
        if found is None:
            noise_std = noise(image.pixels, scale=config.scale)
        else:
            noise_std = found.noise
        sr = super_resolution.adapt_to_noise(sr, noise_std)
    jumps = super_resolution.plan(config.scale, found, job.kernel)
    result = super_resolution.super_resolve(
        jax.random.key(job.seed),
        image.pixels,
        jumps,
        config=sr,
        progress=lambda step, total, loss: watch(
            path, config.sr.method, step, total, {"loss": loss}
        ),
    )
    dtype, alpha = image.pixels.dtype, image.alpha
    if alpha is not None:
        enlarged = bicubic_resize(to_unit(alpha), config.scale)
        alpha = from_unit(enlarged, alpha.dtype)
    pixels = from_unit(result, dtype)
    uses_kernel = config.sr.method != "bicubic"
    source, notes = job.kernel_source, []
    if note := super_resolution.note(image.pixels.shape[:2], config.sr):
        notes.append(note)
    if uses_kernel and sr is not config.sr:
        gray_levels = 255 * sr.noise_scale * NOISE_UNIT
        notes.append(f"as an image with noise of {gray_levels:.1f} gray levels")
    if uses_kernel and found is not None and not found.converged:
        source = "bicubic"
        notes.append("with the bicubic kernel, as the estimate did not converge")
    return SuperResolved(
        image_files.Image(pixels, alpha, image.icc_profile, image.exif, ""),
        jumps[-1].kernel if uses_kernel else None,
        source if uses_kernel else "",
        time.perf_counter() - started,
        " and ".join(notes),
    )


def fingerprint(path: Path, job: Job) -> str:
    """Of all that an image's results depend on; the file by its size and time.

    Raises:
      images.ImageError: If there is no such file.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise image_files.ImageError(f"{path}: {error.strerror or error}") from error
    return results.fingerprint(
        job.config, job.seed, job.kernel, (status.st_size, status.st_mtime_ns)
    )
