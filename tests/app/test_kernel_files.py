"""Kernel files: both formats, and what is no kernel."""

import helpers
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from kernelgan_jax import kernels
from kernelgan_jax.app import kernel_files
from kernelgan_jax.kernel_formats import TOOLS

KERNEL = np.random.default_rng(0).random((5, 4))


@pytest.mark.parametrize("suffix", [".npy", ".mat"])
def test_what_is_written_is_read(tmp_path, suffix):
    kernel_files.write(tmp_path / "k", KERNEL)
    found = kernel_files.read(tmp_path / f"k{suffix}")
    np.testing.assert_array_equal(found, KERNEL)


def named_fails(path, name, *words):
    with pytest.raises(kernel_files.KernelFileError) as info:
        kernel_files.read(f"{path}{name}")
    assert str(info.value).startswith(f"{path}: ")
    for word in words:
        assert word in str(info.value)


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
    path = tmp_path / "k.mat"
    scipy.io.savemat(path, {"a": KERNEL, "b": 2 * KERNEL})
    fails(path, "no variable Kernel", "2 others (a, b)", f"name one, as {path}:a")
    np.testing.assert_array_equal(kernel_files.read(f"{path}:b"), 2 * KERNEL)
    named_fails(path, ":c", "no variable c; its variables: a, b")
    named_fails(path, ":a[1]", "one matrix")
    np.savez(tmp_path / "k.npz", a=KERNEL, b=2 * KERNEL)
    np.testing.assert_array_equal(kernel_files.read(f"{tmp_path}/k.npz:b"), 2 * KERNEL)
    (tmp_path / "k.npz").rename(tmp_path / "k.npy")
    fails(tmp_path / "k.npy", "2 others (a, b)")


@pytest.mark.parametrize("form", ["cells", "last", "npy"])
def test_several_kernels_in_one_variable(tmp_path, form):
    several = np.random.default_rng(1).random((4, 5, 5))
    path, name = tmp_path / "k.mat", "kernels"
    if form == "cells":
        cells = np.empty((1, 4), object)
        cells[0] = list(several)
        scipy.io.savemat(path, {name: cells})
    elif form == "last":
        scipy.io.savemat(path, {name: np.moveaxis(several, 0, -1)})
    else:
        path, name = tmp_path / "k.npy", ""
        np.save(path, several)
    variable = f"{path}:{name}" if name else f"{path}"
    fails(path, "of 4 kernels; name one", f"from {variable}[0] to {variable}[3]")
    for number, kernel in enumerate(several):
        found = kernel_files.read(f"{variable}[{number}]")
        np.testing.assert_array_equal(found, kernel)
    np.testing.assert_array_equal(kernel_files.read(f"{path}[3]"), several[3])
    named_fails(path, f":{name}[4]", "of 4 kernels")
    named_fails(path, f":{name}[-1]", f"name one, from {variable}[0] to")


def test_a_name_with_brackets_is_a_name(tmp_path):
    np.save(tmp_path / "k.npy[0].npy", KERNEL)
    np.testing.assert_array_equal(kernel_files.read(tmp_path / "k.npy[0].npy"), KERNEL)


@pytest.mark.parametrize("start", [b"MATLAB 7.3 MAT-file", bytes(512)])
def test_matlab_7_3_is_named(tmp_path, start):
    path = tmp_path / "k.mat"
    path.write_bytes(start.ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(99))
    fails(path, "version 7.3", "save(..., '-v7')")


def test_sparse_matrices_are_named(tmp_path):
    scipy.io.savemat(tmp_path / "k.mat", {"k": scipy.sparse.csc_array(KERNEL)})
    fails(tmp_path / "k.mat", "sparse", "full(k)")


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
    fails(tmp_path / "k.png", "must be a file of numbers: .npy")


# --- Texts ---


@pytest.mark.parametrize("separator", [",", "; ", "\t", " "])
def test_a_text_with_a_line_for_each_row(tmp_path, separator):
    path = tmp_path / ("k.csv" if separator == "," else "k.txt")
    np.savetxt(path, KERNEL, delimiter=separator, fmt="%.17g")
    np.testing.assert_array_equal(kernel_files.read(path), KERNEL)
    path.write_text("\ufeff" + path.read_text(), "utf-8")  # as spreadsheets do
    np.testing.assert_array_equal(kernel_files.read(path), KERNEL)


@pytest.mark.parametrize("separator", [";", " ; ", "\t"])
def test_a_text_with_decimal_commas(tmp_path, separator):
    lines = (separator.join(f"{value:.17g}" for value in row) for row in KERNEL)
    (tmp_path / "k.csv").write_text("\n".join(lines).replace(".", ","))
    np.testing.assert_array_equal(kernel_files.read(tmp_path / "k.csv"), KERNEL)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"a,b", "could not convert string 'a' to float64"),
        (b"1,2\n3", "number of columns"),
        (b"1,2\n3", "(the number of columns changed from 2 to 1 at row 2)"),
        (b"\xff\xfe", "is damaged or not a kernel"),
        (b"\xff\xfe1\0", "(no text in UTF-8)"),
        (b"1 " * 300, "is 1 x 300; a kernel has two sides of at most 256 pixels"),
        (b"0," * 2**20, "is larger than 2,097,152 bytes"),
    ],
)
def test_a_text_that_is_no_kernel(tmp_path, content, problem):
    (tmp_path / "k.csv").write_bytes(content + b" " * (len(content) > 2**20))
    fails(tmp_path / "k.csv", problem)


# --- Kernels for other tools ---


@pytest.mark.parametrize("tool", TOOLS)
def test_the_file_for_a_tool_has_its_kernel(tmp_path, tool):
    kernel = helpers.gaussian(2, size=8)
    kernel_files.write_export(tmp_path, kernel, tool=tool, scale=2)
    (path,) = tmp_path.iterdir()
    suffix, variable, *_ = TOOLS[tool]
    assert path.name == f"kernel_x2_{tool}.{suffix}"
    if suffix == "npy":
        found = np.load(path)
    elif suffix == "mat":
        content = scipy.io.loadmat(path)
        found = content[variable]
        if variable == "kernels":
            assert found.shape == (1, 1) and found.dtype == object
            found = found[0, 0]
        if tool == "matlab":
            np.testing.assert_array_equal(content["psf"], found[::-1, ::-1])
            assert content["scale"] == 2
        assert b"Created on" not in path.read_bytes()[:116]
    else:
        start, data = path.read_text().split("data: [")
        assert start.startswith("%YAML:1.0\n---\nkernel: !!opencv-matrix\n")
        assert "rows: 9\n" in start and "cols: 9\n" in start and "dt: f\n" in start
        values = data.rstrip(" ]\n").split(",")
        found = np.array(values, np.float32).reshape(9, 9)
    expected = kernels.export(kernel, to=tool, scale=2)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
