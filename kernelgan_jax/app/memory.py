"""Free memory, and whether what an image declares fits into it. No JAX.

A file of a few kilobytes can declare an image of many gigabytes. Decoders allocate it
before they find out that the data are not there, so what the first bytes of a file
declare is looked at here first: it must fit into the free memory and, where the
compression has a known limit, could have come out of a file of this size.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import IO

from kernelgan_jax.app.images import declared
from kernelgan_jax.app.images.declared import Declared

SMALL = 2**26
"""Bytes that an image may declare, or need, without a question."""

_RATIOS = {"none": 1, "packbits": 128, "deflate": 1100, "lzw": 3000}
"""Bytes that one byte of a file can become at most, with some slack."""


def available_memory() -> float:
    """Free memory in bytes; infinite where that is not known.

    That of the machine, or less if the process, or the container it runs in, has a
    limit.
    """
    return min(_of_machine(), _of_container(), _of_process())


def problem(file: IO[bytes], size: int, *, max_pixels: int) -> str | None:
    """What is wrong with the size that an image file declares.

    Args:
      file: The open file; its position is lost.
      size: Its size in bytes.
      max_pixels: Images of more are refused elsewhere.

    Returns:
      The problem, as a text that continues the file's name; None if there is none, or
      if the file is of a kind that is not known here.
    """
    found = declared.read(file)
    if found is None or found.pixels > max_pixels:
        return None
    return problem_of(found, size)


def problem_of(found: Declared, size: int) -> str | None:
    """The same as `problem`, for what is known to be declared."""
    sides = f"{found.width} x {found.height} pixels"
    ratio = _RATIOS.get(found.compression, math.inf)
    if found.stored_bytes > max(SMALL, ratio * size):
        return (
            f"is damaged: it declares {sides}, {found.stored_bytes:,} bytes, which "
            f"{size:,} bytes cannot hold; copy or export it again"
        )
    if found.peak_bytes > SMALL and found.peak_bytes > (free := available_memory()):
        return (
            f"has {sides}: it needs about {found.peak_bytes / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free; crop it or scale it down"
        )
    return None


# --- Free memory ---


def _of_machine() -> float:
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return math.inf


def _of_container() -> float:
    """What the limits of Linux' control groups leave."""
    root = "/sys/fs/cgroup"
    free = math.inf
    for folder in (*_own_groups(), ""):
        for most, used in (
            (f"{root}{folder}/memory.max", f"{root}{folder}/memory.current"),
            (
                f"{root}/memory{folder}/memory.limit_in_bytes",
                f"{root}/memory{folder}/memory.usage_in_bytes",
            ),
        ):
            with contextlib.suppress(OSError, ValueError):
                with open(most) as limit, open(used) as usage:
                    free = min(free, max(0, int(limit.read()) - int(usage.read())))
    return free


def _own_groups() -> Iterator[str]:
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/cgroup") as file:
            for line in file:
                _, kinds, folder = line.rstrip("\n").split(":", 2)
                if kinds in ("", "memory"):
                    yield folder.rstrip("/")


def _of_process() -> float:
    """What the limit of the process's address space leaves."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return math.inf
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        return max(0, limit - used)
    except (ImportError, OSError, ValueError, IndexError):
        return math.inf
