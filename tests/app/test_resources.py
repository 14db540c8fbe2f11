"""Facts about the machine, and batch sizes that follow from them."""

import math
import os
import sys

import numpy as np
import pytest

from kernelgan_jax.app import resources
from kernelgan_jax.config import Config
from kernelgan_jax.estimators.kernelgan import train
from kernelgan_jax.parallel import worker_count

KERNELGAN = Config(estimator="kernelgan", kernelgan={"restarts": 2})


@pytest.mark.parametrize("config", [Config(), KERNELGAN])
def test_batch_sizes_of_a_cpu(monkeypatch, config):
    monkeypatch.setattr(resources, "available_memory", lambda: math.inf)
    assert resources.batch_size(config) == worker_count()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert resources.batch_size(config) == 3
    monkeypatch.setattr(resources, "available_memory", lambda: 2 * 2**30)
    assert resources.batch_size(config) == 2
    monkeypatch.setattr(resources, "available_memory", lambda: 0)
    assert resources.batch_size(config) == 1


class FakeDevice:
    platform = "gpu"

    def memory_stats(self):
        return {"bytes_limit": 90, "bytes_in_use": 10}


@pytest.mark.parametrize("each, expected", [(31, 2), (10, 4), (7.5, 8), (0.01, 512)])
def test_batch_sizes_of_devices_fit_their_memory(monkeypatch, each, expected):
    monkeypatch.setattr(resources.jax, "local_devices", lambda: [FakeDevice()] * 2)
    monkeypatch.setattr(train, "device_bytes", lambda config: each)
    assert resources.batch_size(KERNELGAN) == expected


def test_estimators_that_work_image_by_image_get_one_per_core(monkeypatch):
    monkeypatch.setattr(resources.jax, "local_devices", lambda: [FakeDevice()] * 2)
    monkeypatch.setattr(resources, "available_memory", lambda: math.inf)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert resources.batch_size(Config(estimator="bicubic")) == 3


def test_the_default_estimator_takes_a_batch(monkeypatch):
    device = FakeDevice()
    monkeypatch.setattr(device, "memory_stats", lambda: None)
    monkeypatch.setattr(resources.jax, "local_devices", lambda: [device])
    assert resources.batch_size(Config()) == 16  # of 8 GiB if nothing is known


def test_an_image_too_large_for_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(resources, "available_memory", lambda: 4 * 40 * 600_000)
    resources.check_memory((20, 30_000, 3), 2)
    with pytest.raises(ValueError, match="image is 30001x20 pixels; enlarged by 2"):
        resources.check_memory((20, 30_001), 2)
    with pytest.raises(ValueError, match="crop it, or pass --sr=none"):
        resources.check_memory((20, 30_000), 3)


def test_a_small_image_costs_no_look_at_the_memory(monkeypatch):
    monkeypatch.setattr(resources, "available_memory", lambda: pytest.fail("looked"))
    resources.check_memory((20, 30), 8)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_available_memory_is_plausible():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < resources.available_memory() <= total


@pytest.mark.parametrize("content", [None, "", "MemAvailable: many kB"])
def test_memory_that_is_not_known_is_infinite(monkeypatch, tmp_path, content):
    path = tmp_path / "meminfo"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr("builtins.open", lambda *_: path.open())
    assert resources.available_memory() == math.inf


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_counts_from_the_start_of_the_block():
    with resources.peak_memory() as peak:
        before = peak()
        array = np.ones(2**24)  # 128 MiB
        after = peak()
    assert 100 < after - before < 300
    del array


def test_machine():
    found = resources.machine()
    assert found.startswith(f"{os.cpu_count()} cores, ")
    assert found.endswith(f"JAX {resources.jax.__version__}")
    assert found.split(", ")[1] not in ("", "cpu")
