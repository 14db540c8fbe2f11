"""Strict JAX for all tests: no implicit rank promotion; NaNs are looked for by hand."""

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def golden():
    """Loads `golden/<name>.npz`: numbers of the reference on fixed inputs."""
    from pathlib import Path

    folder = Path(__file__).parent / "golden"
    return lambda name: np.load(folder / f"{name}.npz")
