"""The pipeline on many machines: Ray places batches and retries what dead workers held.

Images do not depend on each other, so nothing but their names goes over the network,
and their outcomes back: workers read and write a folder that all machines share.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence

import ray

from kernelgan_jax.app.pipeline import Job, Outcome, Task

CPU_BATCH, DEVICE_BATCH = 4, 256
"""Images that a worker takes at a time, if the user does not say."""


def process(
    tasks: Sequence[Task], job: Job, *, batch_size: int | None = None
) -> Iterator[Outcome]:
    """Works on images on a Ray cluster; yields their outcomes as they end.

    The cluster is that of the environment variable `RAY_ADDRESS`, or the one that was
    started on this machine, or else a new one of this machine's cores. Each GPU works
    on a batch at a time; in a cluster without, each core.

    Args:
      tasks: The images. Their paths and folders must be the same on all machines.
      job: What is asked.
      batch_size: Images of a batch.
    """
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    gpus = int(ray.cluster_resources().get("GPU", 0))
    workers = gpus or int(ray.cluster_resources().get("CPU", 1))
    # Ray retries what a dead worker or machine held; other errors are outcomes.
    remote = ray.remote(_work).options(
        num_cpus=1, num_gpus=1 if gpus else 0, max_retries=3
    )
    job_everywhere = ray.put(job)
    size = batch_size or (DEVICE_BATCH if gpus else CPU_BATCH)
    # Few batches for each worker at the end, so that all end at about the same time.
    size = max(1, min(size, -(-len(tasks) // (2 * workers))))
    waiting: Iterator[Sequence[int]] = (
        range(len(tasks))[start : start + size] for start in range(0, len(tasks), size)
    )
    running: dict[ray.ObjectRef, Sequence[int]] = {}

    def submit(numbers: Sequence[int]) -> None:
        # The workers' working folder is another.
        batch = [Task(*(p.absolute() for p in tasks[n])) for n in numbers]
        running[remote.remote(batch, job_everywhere, batch_size)] = numbers

    try:
        for numbers in itertools.islice(waiting, 2 * workers):
            submit(numbers)
        while running:
            (ended,), _ = ray.wait(list(running), num_returns=1)
            numbers = running.pop(ended)
            try:
                outcomes = ray.get(ended)
            except ray.exceptions.RayError as error:
                if len(numbers) > 1:
                    # One of them may kill every worker that takes it: each alone.
                    for number in numbers:
                        submit([number])
                    continue
                reason = type(error).__name__
                text = f"{tasks[numbers[0]].path}: its workers died ({reason})"
                outcomes = [Outcome(tasks[numbers[0]], "failed", error=text)]
            for number, outcome in zip(numbers, outcomes, strict=True):
                yield outcome._replace(task=tasks[number])
            for more in itertools.islice(waiting, 1):
                submit(more)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if started_here:
            ray.shutdown()


def _work(batch: list[Task], job: Job, batch_size: int | None) -> list[Outcome]:
    """Runs in a worker: the pipeline on one batch."""
    from kernelgan_jax.app import pipeline
    from kernelgan_jax.compilation_cache import keep_compilations

    keep_compilations()
    size = batch_size or batch_size(job.config, job.kernel is not None)
    return list(pipeline.process(batch, job, batch_size=size))
