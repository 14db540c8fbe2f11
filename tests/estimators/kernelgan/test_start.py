"""Starts of both networks: files, and the meta-learned one of the package."""

import dataclasses

import jax
import numpy as np
import pytest

from kernelgan_jax import blur_kernels, metrics
from kernelgan_jax.estimators.kernelgan import META, generator_kernel, kernelgan
from kernelgan_jax.estimators.kernelgan import start as starts


def test_the_meta_learned_start_has_the_shapes_of_a_random_one():
    random = dataclasses.replace(META, start="random")
    wanted = jax.eval_shape(kernelgan(random).init, jax.random.key(0))
    state = kernelgan(META).init(jax.random.key(0))
    assert jax.tree.map(np.shape, state) == jax.tree.map(np.shape, wanted)
    leaves = jax.tree.leaves(starts.meta_learned())
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert all(leaf.dtype == np.float32 for leaf in leaves)


def test_the_meta_learned_generator_starts_near_a_gaussian_of_middle_width():
    kernel = np.asarray(generator_kernel(kernelgan(META).init(jax.random.key(0))))
    assert abs(kernel.sum() - 1) < 0.1
    middle = blur_kernels.gaussian(13, variances=(2.8, 2.8), scale=2)
    assert metrics.kernel_psnr(kernel / kernel.sum(), middle) > 50


def test_files_of_starts(tmp_path):
    start = starts.Start({"a": np.ones(2)}, {"b": {"c": np.zeros((1, 2))}}, {"u": 1.0})
    starts.save(tmp_path / "start.npz", start)
    again = starts.load(tmp_path / "start.npz")
    assert jax.tree.all(jax.tree.map(np.array_equal, again, start))
    (tmp_path / "other.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "wrong.npz", kernel=np.ones(3))
    for name in ("other.npz", "wrong.npz"):
        with pytest.raises(ValueError, match=f"{name}: holds no start of KernelGAN"):
            starts.load(tmp_path / name)
    with pytest.raises(OSError):
        starts.load(tmp_path / "none.npz")
