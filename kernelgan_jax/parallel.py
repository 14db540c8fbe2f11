"""TODO docstring."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from kernelgan_jax.estimate import KernelEstimate

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with the index of an image, the steps done, and the last losses."""


def worker_count() -> int:
    """How many images a CPU takes at a time: one a core that this process may use.

    `OMP_NUM_THREADS`, which clusters set to the cores of a job, is heeded.
    """
    if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdecimal():
        return max(1, int(threads))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_images(
    one: Callable[[int, Progress], KernelEstimate], count: int, tell: Progress
) -> list[KernelEstimate]:
    """Images one by one; several at a time, each on a core."""
    if count == 1:
        return [one(0, tell)]
    stop = threading.Event()

    def tell_or_stop(row: int, step: int, losses: dict[str, float]) -> None:
        if stop.is_set():
            raise InterruptedError
        tell(row, step, losses)

    with ThreadPoolExecutor(worker_count()) as pool:
        try:
            return list(pool.map(lambda row: one(row, tell_or_stop), range(count)))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
