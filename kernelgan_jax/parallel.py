"""One image per CPU core: how the library works on several images without a GPU.

XLA's programs for a single image use one core well and several badly, and a batched
program gains nothing on a CPU (benchmarks/README.md). So images run side by side, each
in a thread with the program of a single image, and a result does not depend, in any
bit, on the images beside it. Tiles of a large image, and programs that do not need each
other, run so as well. This is the only module of the library that starts threads.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kernelgan_jax.estimate import Progress, ProgressCallback

T = TypeVar("T")
R = TypeVar("R")


def worker_count() -> int:
    """Number of images that a CPU works on at a time: one per core of this process.

    The environment variable `OMP_NUM_THREADS`, which clusters set to the number of
    cores of a job, takes precedence.
    """
    if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdecimal():
        return max(1, int(threads))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_images(
    function: Callable[[int, T, ProgressCallback], R],
    items: Sequence[T],
    *,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> list[R]:
    """Applies a function to each item, several at a time.

    Args:
      function: Called with the index of the item, the item, and a callback for its
        progress.
      items: The items, such as images.
      workers: How many at a time, at most `worker_count()`; None for as many. One at a
        time runs in the caller's thread.
      progress: The caller's callback. An exception that it raises, and one that
        `function` raises, ends the work on all items.

    Returns:
      The results, in the order of the items.

    Example:
      >>> from kernelgan_jax.parallel import map_images
      >>> map_images(lambda index, item, report: index + item, [10, 20])
      [10, 21]
    """
    report: ProgressCallback = progress or (lambda _: None)
    workers = min(workers or worker_count(), worker_count(), len(items))
    if workers <= 1:
        return [function(index, item, report) for index, item in enumerate(items)]
    stopped = threading.Event()

    def report_or_stop(done: Progress) -> None:
        if stopped.is_set():
            raise InterruptedError
        report(done)

    def one(index: int) -> R:
        return function(index, items[index], report_or_stop)

    with ThreadPoolExecutor(workers) as pool:
        try:
            return list(pool.map(one, range(len(items))))
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def side_by_side(first: Callable[[], T], second: Callable[[], R]) -> tuple[T, R]:
    """The results of two functions, which run at the same time on two cores or more.

    An error of either is raised when both have ended.

    Example:
      >>> from kernelgan_jax.parallel import side_by_side
      >>> side_by_side(lambda: 1, lambda: "two")
      (1, 'two')
    """
    if worker_count() == 1:
        return first(), second()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second)
        return first(), other.result()
