"""Programs whose traces are kept."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import programs

THREE = jax.ShapeDtypeStruct((3,), jnp.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(programs, "_folder", lambda: tmp_path)
    return tmp_path


class Traced:
    """Counts how often it is traced."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, x: jax.Array) -> tuple[jax.Array, None]:
        self.times += 1
        return jnp.sin(x) * 2, None


def run(function: Traced, name: str = "sine") -> np.ndarray:
    found, nothing = programs.compiled(function, THREE, name=name)(jnp.arange(3.0))
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


def test_traces_depend_on_the_source(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(Traced())
    monkeypatch.setattr(programs, "_source", lambda: "changed")
    changed = Traced()
    run(changed)
    assert changed.times == 1


def test_without_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_folder", lambda: None)
    function = Traced()
    run(function)
    assert function.times == 1
