"""Checks of arguments, each with an error that names the argument and what is legal."""

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

    Raises:
      ValueError: If it is not.
    """
    if not (isinstance(value, int | np.integer) and value >= 1):
        raise ValueError(f"{name} is {value!r}; it must be a positive integer")


def number(name: str, value: Any, *, positive: bool = False) -> None:
    """Checks that a value is one finite number, at least 0 or positive, or traced.

    Raises:
      ValueError: If it is not.
    """
    legal = "positive" if positive else "at least 0"
    message = f"{name} is {value!r}; it must be a finite number, {legal}"
    if np.ndim(value) != 0:
        raise ValueError(message)
    if traced(value):
        return
    try:
        known = float(value)
    except (TypeError, ValueError):
        raise ValueError(message) from None
    if not (0 <= known < math.inf) or (positive and known == 0):
        raise ValueError(message)


def floating(name: str, array: Any, axes: tuple[int, ...]) -> None:
    """Checks that an array, NumPy or JAX, is of a floating dtype, not empty, and of a
    number of axes among `axes`.

    Raises:
      ValueError: If it is not.
    """
    if array.ndim not in axes:
        legal = " or ".join(map(str, axes))
        raise ValueError(f"{name} has {array.ndim} axes; it must have {legal}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} holds {array.dtype}; it must be floating point")
    if array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; it must not be empty")
