"""Strict JAX for all tests: no implicit rank promotion; NaNs are looked for by hand."""

from pathlib import Path

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

# Programs are compiled once for all processes and runs.
PROGRAMS = Path(__file__).parents[1] / ".pytest_cache" / "programs"
jax.config.update("jax_compilation_cache_dir", str(PROGRAMS))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@pytest.fixture(scope="session", autouse=True)
def small_network(tmp_path_factory):
    """A small network in place of the trained one: its programs compile in seconds."""
    from kernelgan_jax.super_resolution.deep_wiener import DeepWiener, init, method
    from kernelgan_jax.super_resolution.deep_wiener.weights import Weights, save

    network = DeepWiener(channels=8, coarse_channels=8, stages=1, blocks=1)
    file = tmp_path_factory.mktemp("network") / "weights.npz"
    # One program: op by op it takes 20 seconds.
    params = jax.jit(lambda key: init(key, network=network))(jax.random.key(0))
    save(file, Weights(network, params, {"scales": [1, 2, 3, 4]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "WEIGHTS", file)
        yield


@pytest.fixture(scope="session")
def golden():
    """Loads `golden/<name>.npz`: numbers of the reference on fixed inputs."""
    folder = Path(__file__).parent / "golden"
    return lambda name: np.load(folder / f"{name}.npz")
