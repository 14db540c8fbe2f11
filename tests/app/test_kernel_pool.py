"""The pool: all kernels of an output folder on one grid, whichever run found them."""

import dataclasses
import json
from typing import get_args

import numpy as np
import pytest
from app import makers

from kernelgan_jax import kernels
from kernelgan_jax.app import kernel_pool, results
from kernelgan_jax.confidence_levels import Level


def add(folder, name, *, level=None, manifest="manifest.jsonl", **options):
    """Writes the results of an image and its line in the manifest."""
    options["confidence"] = None if level is None else makers.confidence(level)
    made = makers.result(folder / name, name=f"{name}.png", **options)
    made = dataclasses.replace(made, job=dataclasses.replace(made.job, figures=False))
    results.write(made)
    # Earlier versions had the path as it was typed, of a folder that is gone by now.
    before = "" if level else "results/"
    record = {"image": f"{name}.png", "results": before + name, "status": "done"}
    with open(folder / manifest, "a") as file:
        file.write(json.dumps(record) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three good kernels of three sizes, and what is none."""
    folder = tmp_path_factory.mktemp("out")
    add(folder, "c", level="high")
    add(folder, "a", level="medium", kernel=makers.SMALL, noise_std=0.25)
    add(folder, "b", kernel=makers.KERNEL[:-1, :-1], manifest="manifest-1-of-2.jsonl")
    add(folder, "failed", level="high", failure="nothing found")
    add(folder, "other scale", x4=True)
    add(folder, "damaged")
    (folder / "damaged/kernel_x2.npy").write_bytes(b"?")
    return folder


@pytest.mark.parametrize(
    ("least", "names"), [("low", "a b c"), ("medium", "a c"), ("high", "c")]
)
def test_kernels_that_are_good_enough(folder, least, names):
    path, count = kernel_pool.write(folder, scale=2, least=least)
    assert path == folder / "kernel_pool_x2.npz"
    with np.load(path) as pool:
        assert pool["names"].tolist() == [f"{name}.png" for name in names.split()]
        assert pool["kernels"].shape == (count, 15, 15)
        assert pool["kernels"].dtype == np.float32
        np.testing.assert_allclose(pool["kernels"].sum((1, 2)), 1, rtol=1e-6)
        np.testing.assert_array_equal(pool["kernels"][-1], np.float32(makers.KERNEL))
        assert pool["confidence"][-1] == "high" and pool["scale"] == 2
        if least == "low":
            assert pool["confidence"].tolist() == ["medium", "", "high"]
            np.testing.assert_array_equal(pool["noise_std"], [0.25, 0, 0])
            whole = kernels.centre_of_mass(pool["kernels"][1])
            np.testing.assert_allclose(whole, [7.5, 7.5], atol=0.02)


def test_no_kernel_at_all(tmp_path):
    path, count = kernel_pool.write(tmp_path, scale=3, least="low")
    with np.load(path) as pool:
        assert count == 0 and pool["kernels"].shape == (0, 1, 1)
        assert pool["names"].shape == (0,)


def test_the_levels_are_those_of_confidences():
    assert set(kernel_pool.LEVELS) == set(get_args(Level))
    assert kernel_pool.LEVELS == ("low", "medium", "high")  # the least first
