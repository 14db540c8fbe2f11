"""A small network in place of the trained one: its programs compile in seconds."""

import jax
import pytest

from kernelgan_jax.super_resolution.deep_wiener import DeepWiener, init, method
from kernelgan_jax.super_resolution.deep_wiener.weights import Weights


@pytest.fixture(scope="package", autouse=True)
def small_network():
    network = DeepWiener(channels=8, stages=1, blocks=1)
    weights = Weights(network, init(jax.random.key(0), network=network), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "pretrained", lambda: weights)
        yield
