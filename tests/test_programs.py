"""Programs whose traces are kept."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import flax
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kernelgan_jax import programs


@contextlib.contextmanager
def kept_in(folder: Path | None) -> Iterator[None]:
    """JAX keeps compiled programs in a folder, and we our traces beside them."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", folder and str(folder))
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with kept_in(tmp_path):
        yield tmp_path


class Traced:
    """Counts how often it is traced."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, x: jax.Array) -> tuple[jax.Array, None]:
        self.times += 1
        return jnp.sin(x) * 2, None


def run(function: Traced, name: str = "sine") -> np.ndarray:
    found, nothing = programs.jit(function, name=name)(jnp.arange(3.0))
    assert nothing is None
    return np.asarray(found)


def test_a_program_is_traced_once(folder: Path) -> None:
    first, second, other = Traced(), Traced(), Traced()
    expected = run(first)
    np.testing.assert_allclose(expected, 2 * np.sin(np.arange(3)), rtol=1e-6)
    np.testing.assert_array_equal(run(second), expected)
    run(other, name="another")
    assert (first.times, second.times, other.times) == (1, 0, 1)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damaged", [b"", b"no program" * 9, None])
def test_damaged_traces_are_replaced(folder: Path, damaged: bytes | None) -> None:
    expected = run(Traced())
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damaged is None else damaged)
    again, last = Traced(), Traced()
    for function in (again, last):
        np.testing.assert_array_equal(run(function), expected)
    assert (again.times, last.times) == (1, 0)


def test_threads_that_compile_find_linear_algebra_imported() -> None:
    both = "scipy.linalg.cython_blas", "scipy.linalg.cython_lapack"
    assert helpers.imported("import kernelgan_jax.programs", *both) == set(both)


@pytest.mark.parametrize("part", ["provenance", "_versions"])
def test_traces_depend_on_the_source_and_on_libraries(
    folder: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    run(Traced())
    monkeypatch.setattr(programs, part, lambda: "changed")
    changed = Traced()
    run(changed)
    assert changed.times == 1


def test_versions_are_those_of_libraries_whose_code_is_traced() -> None:
    assert {jax.__version__, flax.__version__, optax.__version__} <= set(
        programs._versions()
    )


def test_programs_depend_on_settings_of_jax(folder: Path) -> None:
    """In a process and between processes."""
    key = jax.random.key(0)
    drawn = programs.jit(jax.random.normal, name="normal")
    for _ in range(2):
        for partitionable in (True, False):
            with jax.threefry_partitionable(partitionable):
                expected = jax.random.normal(key)
                assert drawn(key) == expected
                assert programs.jit(jax.random.normal, name="normal")(key) == expected
    assert len(list(folder.iterdir())) == 2


def test_without_compilation_the_function_is_called(folder: Path) -> None:
    function = Traced()
    sine = programs.jit(function, name="sine")
    x = np.arange(3.0)
    with jax.disable_jit():
        assert sine.preload(x, compiling=True) is None
        found, _ = sine(x)
    assert found.dtype == np.float32 and function.times == 1
    np.testing.assert_allclose(found, 2 * np.sin(x), rtol=1e-6)
    assert not list(folder.iterdir())


def test_without_a_cache() -> None:
    function = Traced()
    with kept_in(None):
        run(function)
    assert function.times == 1


def test_one_program_for_each_shape_and_type(folder: Path) -> None:
    del folder
    function = Traced()
    sine = programs.jit(function, name="sine")
    for x in (np.zeros(3, np.float32), jnp.ones(3), np.zeros((2, 3), np.float32), 1.0):
        assert sine(x)[0].shape == np.shape(x)
    with jax.enable_x64(True):  # Programs are in single precision all the same.
        for zeros in (np.zeros(3), jnp.zeros(3)):
            assert sine(zeros)[0].dtype == np.float32
    assert function.times == 3


def test_programs_that_are_kept_are_loaded_ahead(folder: Path) -> None:
    function, second = Traced(), Traced()
    shape = jax.ShapeDtypeStruct((3,), jnp.float32)
    programs.jit(function, name="sine").preload(shape)
    assert function.times == 0 and not list(folder.iterdir())
    expected = run(function)
    ahead = programs.jit(second, name="sine")
    ahead.preload(shape)
    for file in folder.iterdir():
        file.unlink()
    np.testing.assert_array_equal(ahead(jnp.arange(3.0))[0], expected)
    assert second.times == 0


def test_trees_of_arguments(folder: Path) -> None:
    del folder
    add = programs.jit(lambda both, x: both["a"] + both["b"][0] + x, name="add")
    for _ in range(2):
        assert float(add({"a": np.ones(()), "b": (jnp.ones(()),)}, 2.0)) == 4


def test_one_program_for_each_value_of_static_keywords(folder: Path) -> None:
    times: list[int] = []

    def power(x: jax.Array, *, degree: int) -> jax.Array:
        times.append(degree)
        return x**degree

    for degrees in ([2, 3, 2], [3]):  # the second as the next run
        program = programs.jit(power, name="power")
        program.preload(jax.ShapeDtypeStruct((), np.float32), degree=3)
        assert [float(program(2.0, degree=n)) for n in degrees] == [
            2.0**n for n in degrees
        ]
    assert times == [2, 3] and len(list(folder.iterdir())) == 2
    with jax.disable_jit():
        assert float(program(2.0, degree=4)) == 16
