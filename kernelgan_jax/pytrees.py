"""Results as pytrees of JAX: arrays and floats are leaves, all else is static.

Texts, whole numbers and truth values cannot be traced; they are part of the structure,
so that `jax.jit(f)(result)` works and compiles anew where they differ. The modules that
make results import this one.
"""

from typing import Any

import jax

from kernelgan_jax.estimate import (
    Confidence,
    Diagnostics,
    Evidence,
    KernelEstimate,
    KernelMap,
)

TYPES: tuple[type, ...] = (Confidence, Diagnostics, Evidence, KernelEstimate, KernelMap)
"""The types of results that have static parts."""

_TRACED = object()
"""Stands among the static parts for a leaf that can be traced."""


def _flatten(result: tuple) -> tuple[list[Any], Any]:
    leaves, structure = jax.tree.flatten(tuple(result))
    static = tuple(x if isinstance(x, str | int) else _TRACED for x in leaves)
    traced = [x for x in leaves if not isinstance(x, str | int)]
    return traced, (structure, static)


def _unflatten(kind: type, about: Any, traced: Any) -> Any:
    structure, static = about
    rest = iter(traced)
    leaves = [next(rest) if x is _TRACED else x for x in static]
    return kind(*jax.tree.unflatten(structure, leaves))


def _register(kind: type) -> None:
    jax.tree_util.register_pytree_node(
        kind, _flatten, lambda about, traced: _unflatten(kind, about, traced)
    )


for _kind in TYPES:
    _register(_kind)
