"""Habits of the public API, checked for every function in it."""

import inspect
import sys

import pytest

import kernelgan_jax
import kernelgan_jax.benchmark.page
import kernelgan_jax.benchmark.plots
import kernelgan_jax.benchmark.tables
from kernelgan_jax.app import image_files
from kernelgan_jax.app import kernel_files
from kernelgan_jax import degradation
from kernelgan_jax.estimators.kernelgan import crops
from kernelgan_jax.estimators.kernelgan import networks
from kernelgan_jax.estimators import patch_recurrence
from kernelgan_jax.estimators import run
from kernelgan_jax.estimators.spectral import confidence
from kernelgan_jax.estimators.spectral import estimator
from kernelgan_jax import kernels
from kernelgan_jax import metrics
from kernelgan_jax.priors import base
from kernelgan_jax.priors.flow import couplings
from kernelgan_jax.priors import penalties
from kernelgan_jax import super_resolution
from kernelgan_jax.super_resolution import bicubic
from kernelgan_jax.super_resolution import tiles
from kernelgan_jax.super_resolution.zssr import method

# `degrade` and `evaluate` are also the names of functions.
BENCHMARK = [sys.modules[f"kernelgan_jax.benchmark.{name}"] for name in (
    "degrade", "evaluate", "page", "plots", "systems", "tables", "testset",
)]  # fmt: skip

FUNCTIONS = [
    getattr(module, name)
    for module in (
        kernelgan_jax, confidence, crops, run, couplings, image_files, kernel_files, kernels,
        penalties, metrics, networks, patch_recurrence, base, degradation, estimator,
        super_resolution, bicubic, tiles, method, *BENCHMARK,
    )
    for name in vars(module)
    if inspect.isfunction(getattr(module, name))
    and getattr(module, name).__module__.startswith("kernelgan_jax")
    and not name.startswith("_")
]  # fmt: skip


@pytest.mark.parametrize("function", dict.fromkeys(FUNCTIONS), ids=lambda f: f.__name__)
def test_key_comes_first_options_by_keyword_and_all_is_documented(function):
    parameters = inspect.signature(function).parameters
    assert "rng" not in list(parameters)[1:], "randomness comes first"
    assert "key" not in list(parameters)[1:], "randomness comes first"
    if "config" in parameters and parameters["config"].default is not inspect._empty:
        assert parameters["config"].kind is inspect.Parameter.KEYWORD_ONLY
    assert function.__doc__ and function.__doc__.splitlines()[0].endswith((".", ":"))
    for parameter in parameters.values():
        assert parameter.annotation is not inspect._empty


def test_everything_public_is_there():
    for name in kernelgan_jax.__all__:
        assert hasattr(kernelgan_jax, name)
