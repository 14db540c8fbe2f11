"""Facts about this machine, and how many images at a time it can work on."""

import contextlib
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax

from kernelgan_jax.app.memory import SMALL, available_memory
from kernelgan_jax.config import Config
from kernelgan_jax.parallel import worker_count

HOST_BYTES = 2**30
"""Free memory needed for each image that a CPU works on; two small ones took 1.3 GB."""

SR_BYTES = 40
"""Memory for each pixel of an enlarged image: three float32 channels, and the copies
that the tiles and the writer need."""


def batch_size(config: Config) -> int:
    """Images that this machine works on at a time, by its devices and free memory.

    On a CPU this is one per core, and the same on other devices for estimators that
    work image by image. For the others it is the largest power of two whose program
    fits into three quarters of the device's free memory, up to the estimator's largest
    batch for each device.
    """
    devices = jax.local_devices()
    each, estimator = None, config.chosen_estimator
    if devices[0].platform != "cpu":  # It may take a compilation to find out.
        each = estimator.device_bytes(config.estimator_config)
    if each is None:
        fitting = available_memory() / HOST_BYTES
        return int(max(1, min(worker_count(), fitting)))
    stats = devices[0].memory_stats() or {}
    free = stats.get("bytes_limit", 2**33) - stats.get("bytes_in_use", 0)
    fitting = max(1, min(estimator.largest_batch, int(0.75 * free / each)))
    return len(devices) * 2 ** (fitting.bit_length() - 1)


def check_memory(image_shape: Sequence[int], scale: int) -> None:
    """Checks that this machine can hold the enlarged image.

    Args:
      image_shape: Height and width of the LR image; more numbers are ignored.
      scale: The scale of the super-resolution.

    Raises:
      ValueError: If it cannot.
    """
    height, width = image_shape[:2]
    need = SR_BYTES * height * width * scale**2
    if need > SMALL and need > (free := available_memory()):
        raise ValueError(
            f"image is {width}x{height} pixels; enlarged by {scale} it needs about "
            f"{need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free; crop "
            "it, or pass --sr=none for its kernel alone"
        )


@contextlib.contextmanager
def peak_memory() -> Iterator[Callable[[], int | None]]:
    """Measures the process's peak memory since the start of the `with` block.

    Yields:
      A function that returns it in MiB; None where it is not known, as on systems other
      than Linux.
    """
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def peak() -> int | None:
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            return int(lines["VmHWM"].split()[0]) // 1024
        except (OSError, KeyError, ValueError):
            return None

    with contextlib.suppress(OSError):
        reset.write_text("5")  # Linux then forgets the peak so far.
    yield peak


def machine() -> str:
    """Cores, processor or accelerator, and version of JAX, in one line."""
    device = jax.devices()[0]
    kind = _processor() if device.platform == "cpu" else device.device_kind
    return f"{os.cpu_count()} cores, {kind}, JAX {jax.__version__}"


def _processor() -> str:
    with contextlib.suppress(OSError):  # Linux names the processor here.
        text = Path("/proc/cpuinfo").read_text()
        if found := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE):
            return found[1]
    return platform.processor() or platform.machine()
