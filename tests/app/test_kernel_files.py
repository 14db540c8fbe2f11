"""Kernel files: both formats, and what is no kernel."""

import numpy as np
import pytest
import scipy.io

from kernelgan_jax.app import kernel_files

KERNEL = np.random.default_rng(0).random((5, 4))


@pytest.mark.parametrize("suffix", [".npy", ".mat"])
def test_what_is_written_is_read(tmp_path, suffix):
    kernel_files.write(tmp_path / "k", KERNEL)
    found = kernel_files.read(tmp_path / f"k{suffix}")
    np.testing.assert_array_equal(found, KERNEL)


def test_a_single_matrix_of_another_name(tmp_path):
    scipy.io.savemat(tmp_path / "k.mat", {"k": KERNEL.astype(np.float32)})
    found = kernel_files.read(tmp_path / "k.mat")
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, KERNEL, atol=1e-7)


def fails(path, *words):
    with pytest.raises(kernel_files.KernelFileError) as info:
        kernel_files.read(path)
    for word in (str(path), *words):
        assert word in str(info.value)
    assert "\n" not in str(info.value)


def test_several_matrices(tmp_path):
    scipy.io.savemat(tmp_path / "k.mat", {"a": KERNEL, "b": KERNEL})
    fails(tmp_path / "k.mat", "no variable Kernel", "2 others")


def test_no_numbers(tmp_path):
    np.save(tmp_path / "k.npy", np.array([["a", "b"]]))
    fails(tmp_path / "k.npy", "not real numbers")
    np.save(tmp_path / "c.npy", KERNEL * 1j)
    fails(tmp_path / "c.npy", "not real numbers")


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "k.npy", np.array([{}]), allow_pickle=True)
    fails(tmp_path / "k.npy", "damaged or not a kernel")


@pytest.mark.parametrize("name", ["k.npy", "k.mat"])
def test_missing_damaged_and_other_files(tmp_path, name):
    fails(tmp_path / name, "No such file")
    (tmp_path / name).write_bytes(b"rubbish")
    fails(tmp_path / name, "damaged")
    (tmp_path / "k.png").write_bytes(b"")
    fails(tmp_path / "k.png", "must be a .npy or a .mat file")
