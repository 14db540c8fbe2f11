"""TODO docstring."""

import math

import jax

from kernelgan_jax.config import Config
from kernelgan_jax.estimators.kernelgan.train import device_bytes
from kernelgan_jax.parallel import worker_count


def batch_size(config: Config, known_kernel: bool = False) -> int:
    """Images that this machine works on at a time, by its devices and free memory.

    On a CPU one a core; on other devices the largest power of two whose program fits
    into three quarters of the free memory, up to `LARGEST_BATCH` a device.
    """
    devices = jax.local_devices()
    trains = config.estimator == "kernelgan" and not known_kernel
    if devices[0].platform == "cpu" or not trains:
        fitting = available_memory() / HOST_BYTES
        return int(max(1, min(worker_count(), fitting)))
    one = config.restarts * device_bytes(config)
    stats = devices[0].memory_stats() or {}
    free = stats.get("bytes_limit", 2**33) - stats.get("bytes_in_use", 0)
    fitting = max(1, min(LARGEST_BATCH, int(0.75 * free / one)))
    return len(devices) * 2 ** (fitting.bit_length() - 1)


LARGEST_BATCH = 256
"""Images a device and batch."""


HOST_BYTES = 2**30
"""Free memory for each image that a CPU works on; two small ones took 1.3 GB in all."""


def available_memory() -> float:
    """Free memory of this machine in bytes, infinite where it does not say."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return math.inf
