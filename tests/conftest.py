"""Strict JAX for all tests: no implicit rank promotion; NaNs are looked for by hand."""

import contextlib
import os
from pathlib import Path

# Most of the tests' time is the compilation of small programs, for which XLA's emitters
# of fused loops take half as long again as its older ones, and parts that are compiled
# side by side a tenth more than a whole.
os.environ["XLA_FLAGS"] = " ".join([
    os.environ.get("XLA_FLAGS", ""),
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
])  # fmt: skip

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

# Programs are compiled once for all processes and runs.
PROGRAMS = Path(__file__).parents[1] / ".pytest_cache" / "programs"
PROGRAMS.mkdir(parents=True, exist_ok=True)
jax.config.update("jax_compilation_cache_dir", str(PROGRAMS))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


FIRST = (
    "test_contract.py", "test_deep_wiener.py", "test_algorithm.py", "test_faults.py",
    "test_examples.py", "test_estimator.py", "test_deep_wiener_training.py",
    "test_priors.py", "test_docs.py", "test_cli.py",
)  # fmt: skip
"""The slowest files. They start first, so that no core is idle at the end."""


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "quick_compilation: the programs of this file are hardly optimised. It is for "
        "files whose time goes into compiling programs that run once or twice.",
    )


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in FIRST)


@contextlib.contextmanager
def quick_compilation():
    """Programs are hardly optimised, and none of them is left for other tests."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
        jax.clear_caches()


@pytest.fixture(scope="module", autouse=True)
def compilation(request):
    quick = request.node.get_closest_marker("quick_compilation") is not None
    with quick_compilation() if quick else contextlib.nullcontext():
        yield


@pytest.fixture(scope="session", autouse=True)
def small_network(tmp_path_factory):
    """A small network in place of the trained ones: its programs compile in seconds."""
    from kernelgan_jax.super_resolution.deep_wiener import DeepWiener, init, method
    from kernelgan_jax.super_resolution.deep_wiener.weights import Weights, save

    network = DeepWiener(channels=8, coarse_channels=8, stages=1, blocks=1)
    file = tmp_path_factory.mktemp("network") / "weights.npz"
    # One program: op by op it takes 20 seconds.
    with quick_compilation():
        params = jax.jit(lambda key: init(key, network=network))(jax.random.key(0))
    save(file, Weights(network, params, {"scales": [1, 2, 3, 4]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "WEIGHTS", file)
        patch.setattr(method, "FAST_WEIGHTS", file)
        yield


@pytest.fixture(scope="session")
def golden():
    """Loads `golden/<name>.npz`: numbers of the reference on fixed inputs."""
    folder = Path(__file__).parent / "golden"
    return lambda name: np.load(folder / f"{name}.npz")
