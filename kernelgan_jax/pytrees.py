"""Results as pytrees of JAX: arrays and floats are leaves, all else is static.

Texts, whole numbers and truth values cannot be traced; they are part of the structure,
so that `jax.jit(f)(result)` works and compiles anew where they differ.
"""

from typing import Any, TypeVar

import jax

Kind = TypeVar("Kind", bound=type)


class _Traced:
    """Stands among the static parts for a leaf that can be traced.

    It is a type, as these are the same object after they were pickled.
    """


def with_static_parts(kind: Kind) -> Kind:
    """Registers a named tuple's type as such a pytree; a decorator.

    Args:
      kind: The type.

    Returns:
      The same.

    Example:
      >>> from typing import NamedTuple
      >>> import jax
      >>> from kernelgan_jax.pytrees import with_static_parts
      >>> @with_static_parts
      ... class Width(NamedTuple):
      ...     value: float
      ...     unit: str
      >>> jax.tree.map(lambda x: 2 * x, Width(1.5, "pixels"))
      Width(value=3.0, unit='pixels')
    """
    jax.tree_util.register_pytree_node(
        kind, _flatten, lambda about, traced: _unflatten(kind, about, traced)
    )
    return kind


def _flatten(result: tuple) -> tuple[list[Any], Any]:
    leaves, structure = jax.tree.flatten(tuple(result))
    static = tuple(x if isinstance(x, str | int) else _Traced for x in leaves)
    traced = [x for x in leaves if not isinstance(x, str | int)]
    return traced, (structure, static)


def _unflatten(kind: type, about: Any, traced: Any) -> Any:
    structure, static = about
    rest = iter(traced)
    leaves = [next(rest) if x is _Traced else x for x in static]
    return kind(*jax.tree.unflatten(structure, leaves))
