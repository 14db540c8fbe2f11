"""The pipeline on many machines: Ray places batches and repeats those of dead workers.

Images do not depend on each other. Only their names are sent to the workers, and their
outcomes back: the workers read and write a folder that all machines share.
"""

import contextlib
import itertools
import logging
import signal
from collections.abc import Callable, Iterator, Sequence

import ray

from kernelgan_jax.app.job import Job, Outcome, Task

CPU_BATCH, DEVICE_BATCH = 4, 256
"""Images that a worker without and with a GPU takes at a time, by default."""

_Submit = Callable[[Sequence[Task]], "ray.ObjectRef"]


def process(
    tasks: Sequence[Task], job: Job, *, batch_size: int | None = None
) -> Iterator[Outcome]:
    """Works on images on a Ray cluster; yields their outcomes as they end.

    The cluster is that of the environment variable `RAY_ADDRESS`, or the one that was
    started on this machine, or else a new one on this machine's cores. Each GPU works
    on one batch at a time; in a cluster without GPUs, each core does.

    Args:
      tasks: The images. Their paths and folders must be the same on all machines.
      job: What is done with each image.
      batch_size: Images of a batch.
    """
    with _cluster() as (workers, has_gpus):
        submit = _submitter(job, batch_size, has_gpus)
        size = batch_size or (DEVICE_BATCH if has_gpus else CPU_BATCH)
        # Each worker gets few batches at the end, so that all end at about one time.
        size = max(1, min(size, -(-len(tasks) // (2 * workers))))
        starts = range(0, len(tasks), size)
        batches = (tasks[start : start + size] for start in starts)
        yield from _outcomes(batches, submit, 2 * workers)


@contextlib.contextmanager
def _cluster() -> Iterator[tuple[int, bool]]:
    """The cluster's number of workers, and whether they are GPUs."""
    started_here = not ray.is_initialized()
    if started_here:
        with _same_handler(signal.SIGTERM):
            ray.init(logging_level=logging.ERROR, log_to_driver=False)
    try:
        gpus = int(ray.cluster_resources().get("GPU", 0))
        yield gpus or int(ray.cluster_resources().get("CPU", 1)), gpus > 0
    finally:
        if started_here:
            ray.shutdown()


@contextlib.contextmanager
def _same_handler(number: signal.Signals) -> Iterator[None]:
    """Keeps what a signal does: Ray has a handler of its own, with another status."""
    before = signal.getsignal(number) or signal.SIG_DFL
    try:
        yield
    finally:
        # Only the main thread may handle signals.
        with contextlib.suppress(ValueError):
            signal.signal(number, before)


def _submitter(job: Job, batch_size: int | None, has_gpus: bool) -> _Submit:
    """A function that hands a batch to the cluster."""
    # Ray repeats what a dead worker or machine had; other errors are outcomes.
    remote = ray.remote(work).options(
        num_cpus=1, num_gpus=1 if has_gpus else 0, max_retries=3
    )
    shared_job = ray.put(job)

    def submit(batch: Sequence[Task]) -> "ray.ObjectRef":
        # The working folder of the workers is another one.
        absolute = [Task(*(path.absolute() for path in task)) for task in batch]
        return remote.remote(absolute, shared_job, batch_size)

    return submit


def _outcomes(
    waiting: Iterator[Sequence[Task]], submit: _Submit, at_a_time: int
) -> Iterator[Outcome]:
    """Outcomes of batches, of which so many are with the cluster at a time."""
    running = {submit(batch): batch for batch in itertools.islice(waiting, at_a_time)}
    try:
        while running:
            (ended,), _ = ray.wait(list(running), num_returns=1)
            batch = running.pop(ended)
            try:
                outcomes = ray.get(ended)
            except ray.exceptions.RayError as error:
                if len(batch) > 1:
                    # One of them may kill every worker that takes it: each goes alone.
                    running |= {submit([task]): [task] for task in batch}
                    continue
                text = f"{batch[0].path}: its workers died ({type(error).__name__})"
                outcomes = [Outcome(batch[0], "failed", error=text)]
            for task, outcome in zip(batch, outcomes, strict=True):
                yield outcome._replace(task=task)
            for more in itertools.islice(waiting, 1):
                running[submit(more)] = more
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def work(batch: list[Task], job: Job, batch_size: int | None) -> list[Outcome]:
    """Runs the pipeline on one batch; called in a worker."""
    from kernelgan_jax.app import pipeline, resources
    from kernelgan_jax.app.compilation_cache import keep_compilations

    keep_compilations()
    size = batch_size or resources.batch_size(job.config)
    return list(pipeline.process(batch, job, batch_size=size))
