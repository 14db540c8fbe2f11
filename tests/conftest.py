"""Strict JAX for all tests: no implicit rank promotion; NaNs are looked for by hand."""

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session", autouse=True)
def small_network():
    """A small network in place of the trained one: its programs compile in seconds."""
    from kernelgan_jax.super_resolution.deep_wiener import DeepWiener, init, method
    from kernelgan_jax.super_resolution.deep_wiener.weights import Weights

    network = DeepWiener(channels=8, stages=1, blocks=1)
    weights = Weights(network, init(jax.random.key(0), network=network), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "pretrained", lambda: weights)
        yield


@pytest.fixture(scope="session")
def golden():
    """Loads `golden/<name>.npz`: numbers of the reference on fixed inputs."""
    from pathlib import Path

    folder = Path(__file__).parent / "golden"
    return lambda name: np.load(folder / f"{name}.npz")
