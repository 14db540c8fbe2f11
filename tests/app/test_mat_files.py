"""MATLAB's files: the numbers of SciPy's reader, and no crash whatever they say."""

import io
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io

from kernelgan_jax.app import kernel_files, mat_files

RNG = np.random.default_rng(0)
DTYPES = "float64 float32 int8 uint8 int16 uint16 int32 uint32 int64 uint64".split()


def saved(variables, **options):
    file = io.BytesIO()
    scipy.io.savemat(file, variables, **options)
    return file.getvalue()


def read(data, name="Kernel"):
    file = io.BytesIO(data)
    (variable,) = (v for v in mat_files.variables(file) if v.name == name)
    return mat_files.read(file, variable, 256**2)


@pytest.mark.parametrize("options", [{}, {"do_compression": True}])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_numbers_as_scipy(dtype, options):
    kernel = (RNG.random((5, 4)) * 100).astype(dtype)
    before = {"a": RNG.random((300, 40)), "b": np.eye(2) * 1j, "text": "abc"}
    data = saved(
        before | {"Kernel": kernel, "z": np.array([[1], ["x"]], object)}, **options
    )
    found = read(data)
    assert found.dtype == kernel.dtype
    np.testing.assert_array_equal(found, scipy.io.loadmat(io.BytesIO(data))["Kernel"])
    kinds = [v.kind for v in mat_files.variables(io.BytesIO(data))]
    assert kinds == [
        "matrix",
        "matrix of complex numbers",
        "text",
        "matrix",
        "cell array",
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int16", "uint8"])
def test_level_4(dtype):
    kernel = (RNG.random((5, 4)) * 100).astype(dtype)
    data = saved({"a": np.eye(2) * 1j, "t": "abc", "Kernel": kernel}, format="4")
    np.testing.assert_array_equal(read(data), kernel)


def test_a_small_matrix_lies_in_its_tag():
    data = saved({"Kernel": np.array([[3, 4]], np.uint8)})
    np.testing.assert_array_equal(read(data), [[3, 4]])


def big_endian(data):
    """The file with one uint8 matrix as a machine of the other kind writes it."""
    words = np.frombuffer(data[128:], "<u4").byteswap().tobytes()
    head = data[:124] + data[124:126][::-1] + b"MI"
    # Texts and bytes keep their order: those of the name and of the numbers.
    words = bytearray(words)
    name = words.index(b"nreK")
    words[name : name + 8] = b"Kernel\0\0"
    start = name + 16
    for at in range(start, len(words), 4):
        words[at : at + 4] = words[at : at + 4][::-1]
    return head + bytes(words)


def test_the_other_order_of_bytes():
    kernel = np.arange(20, dtype=np.uint8).reshape(5, 4)
    data = big_endian(saved({"Kernel": kernel}))
    np.testing.assert_array_equal(scipy.io.loadmat(io.BytesIO(data))["Kernel"], kernel)
    np.testing.assert_array_equal(read(data), kernel)


@pytest.mark.parametrize(
    "value, word",
    [
        (np.array([[1], ["x"]], object), "cell array"),
        ({"a": 1}, "struct"),
        (scipy.sparse.eye(3).tocsc(), "sparse matrix"),
        ("abc", "text"),
        (np.eye(2) * 1j, "complex"),
    ],
    ids=["cell", "struct", "sparse", "text", "complex"],
)
def test_what_is_no_matrix_is_named(tmp_path, value, word):
    (tmp_path / "k.mat").write_bytes(saved({"Kernel": value}))
    with pytest.raises(kernel_files.KernelFileError, match=word):
        kernel_files.read(tmp_path / "k.mat")


def test_matlab_7_3_is_named(tmp_path):
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    for data in (text + b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(100)):
        (tmp_path / "k.mat").write_bytes(data)
        with pytest.raises(
            kernel_files.KernelFileError, match="save it again with -v7"
        ):
            kernel_files.read(tmp_path / "k.mat")


def bomb(side):
    """A small compressed file that says it holds a huge matrix, and does."""
    whole = bytearray(saved({"Kernel": np.zeros((8, 8))}))
    element = bytearray(whole[128:])
    element[4:8] = (48 + 8 * side * side).to_bytes(4, "little")
    at = element.rindex(bytes([8, 0, 0, 0, 8, 0, 0, 0]))  # the sides
    element[at : at + 8] = 2 * side.to_bytes(4, "little")
    packer = zlib.compressobj()
    packed = packer.compress(bytes(element))
    for _ in range(8 * side * side // 2**20):
        packed += packer.compress(bytes(2**20))
    packed += packer.flush()
    return bytes(whole[:128]) + (15).to_bytes(4, "little") + len(packed).to_bytes(
        4, "little") + packed  # fmt: skip


def test_a_bomb_takes_no_memory(tmp_path):
    (tmp_path / "k.mat").write_bytes(bomb(2000))
    tracemalloc.start()
    with pytest.raises(kernel_files.KernelFileError, match="is 2000 x 2000; a kernel"):
        kernel_files.read(tmp_path / "k.mat")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
