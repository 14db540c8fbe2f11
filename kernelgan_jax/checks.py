"""Checks of arguments; each error names the argument, its value and the legal range."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def traced(value: Any) -> bool:
    """Whether a value is not known yet, as inside of `jit`."""
    return isinstance(value, jax.core.Tracer)


def whole(name: str, value: Any) -> None:
    """Checks that a value is a positive integer.

    Args:
      name: The argument's name.
      value: Its value, of any type.

    Raises:
      ValueError: If it is not.

    Example:
      >>> whole("scale", 0)
      Traceback (most recent call last):
        ...
      ValueError: scale is 0; it must be a positive integer
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not (is_integer and value >= 1):
        raise ValueError(f"{name} is {value!r}; it must be a positive integer")


def number(
    name: str, value: Any, *, positive: bool = False, minimum: float = 0.0
) -> None:
    """Checks that a value is one finite number of at least a minimum, or traced.

    Args:
      name: The argument's name.
      value: Its value, of any type.
      positive: Whether 0 is refused.
      minimum: Smallest legal value.

    Raises:
      ValueError: If it is not.

    Example:
      >>> number("radius", -1.0)
      Traceback (most recent call last):
        ...
      ValueError: radius is -1.0; it must be a finite number, at least 0
    """
    legal = "positive" if positive else f"at least {minimum:.3g}"
    message = f"{name} is {value!r}; it must be a finite number, {legal}"
    if np.ndim(value) != 0:
        raise ValueError(message)
    if traced(value):
        return
    try:
        known = float(value)
    except (TypeError, ValueError):
        raise ValueError(message) from None
    if not (minimum <= known < math.inf) or (positive and known == 0):
        raise ValueError(message)


def floating(name: str, array: Any, axes: tuple[int, ...]) -> None:
    """Checks that an array is of a floating dtype, not empty, of some number of axes.

    Args:
      name: The argument's name.
      array: Its value: a NumPy or a JAX array, which may be traced.
      axes: Legal numbers of axes.

    Raises:
      ValueError: If it is not.

    Example:
      >>> floating("image", np.zeros((4, 4), np.uint8), (2, 3))
      Traceback (most recent call last):
        ...
      ValueError: image holds uint8; it must be floating point
    """
    if not isinstance(array, np.ndarray | jax.Array):
        kind = type(array).__name__
        raise ValueError(f"{name} is a {kind}; it must be a NumPy or a JAX array")
    if array.ndim not in axes:
        legal = " or ".join(map(str, axes))
        raise ValueError(f"{name} has {array.ndim} axes; it must have {legal}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} holds {array.dtype}; it must be floating point")
    if array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; it must not be empty")


def finite(name: str, array: Any) -> None:
    """Checks that an array has neither NaN nor infinite values, or is traced.

    Args:
      name: The argument's name.
      array: Its value: an array of numbers.

    Raises:
      ValueError: If it has.

    Example:
      >>> finite("kernel", np.array([1.0, np.nan]))
      Traceback (most recent call last):
        ...
      ValueError: kernel has values that are not finite
    """
    if not traced(array) and not np.isfinite(np.asarray(array)).all():
        raise ValueError(f"{name} has values that are not finite")
