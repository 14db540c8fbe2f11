"""Programs whose traces are kept between runs.

JAX keeps what it has compiled, but traces Python again in each run: seconds for a long
program. Where JAX keeps compiled programs, the trace of a program is kept beside them
as StableHLO (`jax.export`), under a name that depends on all that it was made from.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

# JAX imports both when it first meets linear algebra, in whichever thread that is. Two
# threads that do so at once can fail with a deadlock of imports.
import scipy.linalg.cython_blas
import scipy.linalg.cython_lapack  # noqa: F401
from jax import export

from kernelgan_jax.provenance import provenance

Result = TypeVar("Result")

_SUFFIX = ".stablehlo"

_LIBRARIES = ("flax", "jax", "jaxlib", "numpy", "optax", "scipy")
"""Libraries whose code is part of traces, or makes the constants in them."""

_SETTINGS = (
    "jax_default_device",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_enable_x64",
    "jax_high_dynamic_range_gumbel",
    "jax_random_seed_offset",
    "jax_softmax_custom_jvp",
    "jax_threefry_partitionable",
    "jax_use_direct_linearize",
)
"""Settings of JAX that change what programs compute, or where; None in versions that do
not have them."""

_TRACING = threading.Lock()
"""Programs are traced one after the other: tracing is Python's work, of which two at a
time take as long as both, and the first is then compiled while the next is traced."""


def compiler_options() -> dict[str, Any] | None:
    """XLA's options for programs of this package, for `compiler_options` of JAX.

    On CPUs a Fourier transform runs in one thread. XLA otherwise takes several or one,
    which changes from run to run, and with it the last bits of the result. LLVM's usual
    level, 3, takes up to half as long again to compile as level 1, and the programs
    then run a tenth slower (benchmarks/README.md).

    Example:
      >>> from kernelgan_jax import programs
      >>> programs.compiler_options() or {}  # of a CPU
      {'xla_cpu_multi_thread_eigen': False, 'xla_backend_optimization_level': 1}
    """
    if jax.default_backend() != "cpu":
        return None
    options: dict[str, Any] = {"xla_cpu_multi_thread_eigen": False}
    if not jax.config.read("jax_disable_most_optimizations"):
        options["xla_backend_optimization_level"] = 1
    return options


def jit(function: Callable[..., Result], *, name: str) -> "Program[Result]":
    """Compiles a function as `jax.jit` does, and keeps its trace for the next run.

    Args:
      function: Pure, of trees of arrays, and of static keywords such as a scale; what
        it returns consists of arrays, tuples and named tuples that are registered with
        `jax.export.register_namedtuple_serialization`.
      name: Of the program, with everything that the function depends on beside its
        arguments and the source of this package.

    Returns:
      The function, compiled once for each set of its arguments' shapes and types and of
      its keywords. It can be called from several threads, but not inside of other JAX
      transformations.

    Example:
      >>> import jax.numpy as jnp
      >>> from kernelgan_jax import programs
      >>> power = programs.jit(lambda x, *, degree: x**degree, name="power")
      >>> power(jnp.full(2, 3.0), degree=2).tolist()
      [9.0, 9.0]
    """
    return Program(function, name)


class Program(Generic[Result]):
    """A function that is compiled once for each kind of arguments; see `jit`."""

    def __init__(self, function: Callable[..., Result], name: str):
        self._function = function
        self._name = name
        self._compiled: dict[Any, Callable[..., Result]] = {}
        self._compiling = threading.Lock()

    def __call__(self, *arguments: Any, **static: Any) -> Result:
        with single_precision():
            arguments = jax.tree.map(_narrowed, arguments)
            if _no_compilation():
                return self._function(*arguments, **static)
            return self._for(arguments, static)(*arguments)

    def preload(self, *arguments: Any, compiling: bool = False, **static: Any) -> Any:
        """Loads the program for such arguments, if its trace is kept.

        Args:
          *arguments: Arrays, or `jax.ShapeDtypeStruct` of them.
          compiling: Whether it is compiled otherwise.
          **static: Keywords of the function.

        Returns:
          The `jax.ShapeDtypeStruct` of what the program returns; None if it is not
          loaded, as under `jax.disable_jit()`.
        """
        if _no_compilation():
            return None
        with single_precision():
            file = _file(self._named(static), _shapes(arguments))
            if not compiling and (file is None or not file.exists()):
                return None
            program: Any = self._for(arguments, static)
            return _shapes(program.out_info)

    def _named(self, static: dict[str, Any]) -> str:
        return f"{self._name} {sorted(static.items())}"

    def _for(self, arguments: Any, static: dict[str, Any]) -> Callable[..., Result]:
        shapes, name = _shapes(arguments), self._named(static)
        leaves, tree = jax.tree.flatten(shapes)
        key = name, tree, *leaves, *_settings()
        with self._compiling:  # One thread compiles, and the others wait for it.
            if key not in self._compiled:
                function = functools.partial(self._function, **static)
                lowered = _lowered(function, shapes, name)
                program = lowered.compile(compiler_options=compiler_options())
                self._compiled[key] = program
        return self._compiled[key]


def single_precision() -> Any:
    """The context in which programs are traced and run.

    They are written for float32. Where the caller has enabled 64 bits for JAX, their
    constants would be float64.

    Example:
      >>> import jax.numpy as jnp
      >>> from kernelgan_jax import programs
      >>> with programs.single_precision():
      ...     jnp.ones(2).dtype
      dtype('float32')
    """
    return jax.enable_x64(False)


def _no_compilation() -> bool:
    """Whether the caller has told JAX to run functions as they are, to debug them."""
    return bool(jax.config.jax_disable_jit)  # type: ignore[attr-defined]


def _narrowed(leaf: Any) -> jax.Array:
    """A leaf as an array in single precision. JAX itself narrows all but its arrays."""
    dtype = jnp.result_type(leaf)
    if not jax.dtypes.issubdtype(dtype, jax.dtypes.extended):  # such as random keys
        dtype = jax.dtypes.canonicalize_dtype(dtype)
    return jnp.asarray(leaf, dtype)


def _shapes(arguments: Any) -> Any:
    """Shapes and types of all arrays in a tree."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(x)), arguments
    )


def _lowered(function: Callable[..., Any], arguments: Any, name: str) -> Any:
    """The function as JAX compiles it, from its kept trace if there is one."""
    file = _file(name, arguments)
    if file is None:
        return jax.jit(function).lower(*arguments)
    with contextlib.suppress(Exception):  # Absent, damaged, or of another JAX.
        kept = export.deserialize(bytearray(file.read_bytes()))
        return jax.jit(kept.call).lower(*arguments)
    with _TRACING:
        traced = export.export(jax.jit(function))(*arguments)
    part = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        part.write_bytes(traced.serialize())
        os.replace(part, file)
    # As later runs do, so that they give the same bits.
    return jax.jit(traced.call).lower(*arguments)


def _file(name: str, arguments: Any) -> Path | None:
    """Where the trace of a program is kept, if traces are kept.

    The name of the file changes with all that the trace depends on.
    """
    folder = _folder()
    if folder is None:
        return None
    text = repr((name, arguments, _settings(), _versions(), provenance()))
    return folder / (hashlib.sha256(text.encode()).hexdigest()[:32] + _SUFFIX)


def _folder() -> Path | None:
    """Where JAX keeps compiled programs, if that is a folder of this machine."""
    name = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    return Path(name) if name and os.path.isdir(name) else None


def _settings() -> tuple[Any, ...]:
    """The backend and those of JAX's settings that programs depend on."""
    values = jax.config.values  # type: ignore[attr-defined]
    return jax.default_backend(), *map(values.get, _SETTINGS)


@functools.cache
def _versions() -> tuple[str, ...]:
    """The versions of the libraries that programs depend on."""
    return tuple(map(_version, _LIBRARIES))


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:  # As in frozen applications.
        return ""
