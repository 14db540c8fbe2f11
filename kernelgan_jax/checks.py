"""Checks of arguments: each takes the name of one and its value, of any type.

They raise a `ValueError` that names the argument, its value and what is legal. Needs no
JAX: where it was not imported, nothing is one of its arrays.
"""

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelgan_jax.settings import shown

if TYPE_CHECKING:
    import jax

_CANCELLED = 1e-3
"""A sum is nearly 0 if it is a smaller share of that of the absolute values."""

MAX_VALUE = 1e30
"""Largest value of a kernel; its sums and moments then stay within float32's range."""

LARGEST_SCALE = 256
"""Largest scale of images: XLA ends the process for sizes that it cannot count."""


def traced(value: Any) -> bool:
    """Whether a value is not known yet, as inside of `jit`."""
    module = sys.modules.get("jax")
    return module is not None and isinstance(value, module.core.Tracer)


def known(name: str, value: Any) -> None:
    """Checks that a value is known already, as NumPy needs it.

    Example:
      >>> known("kernel", np.eye(3))
    """
    if traced(value):
        raise ValueError(
            f"{name} is traced, as inside of jax.jit; this function works on arrays "
            "that are known: call it outside, or, of what can be traced, "
            "estimators.spectral.spectral_likelihood, super_resolution.wiener_filter "
            "or super_resolution.deep_wiener.apply"
        )


def matrix(name: str, value: Any, *, sums: bool = False) -> np.ndarray:
    """Checks that a value is a matrix of finite numbers, and converts it.

    It must not be empty, nor masked in part, and its numbers at most `MAX_VALUE`.

    Args:
      sums: Whether a sum of nearly 0 is refused: its centre of mass lies anywhere.

    Returns:
      `h x w`, of the value's dtype if that is float32 or float64; float16 and the like
      become float32, and integers and longer floating point float64.

    Example:
      >>> matrix("kernel", [[1, 2]]).dtype
      dtype('float64')
      >>> matrix("kernel", np.ones(3))
      Traceback (most recent call last):
        ...
      ValueError: kernel has shape (3,); it must be height x width, not empty
    """
    known(name, value)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name} is not an array: {error}") from error
    unmasked(name, value)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            f"{name} has shape {array.shape}; it must be height x width, not empty"
        )
    if array.dtype.kind in "iub" or array.dtype == np.longdouble:
        array = array.astype(np.float64)
    array = not_half(array)
    if array.dtype.kind != "f":
        raise ValueError(f"{name} holds {array.dtype}, not real numbers")
    finite(name, array)
    largest = float(np.abs(array).max())
    if largest > MAX_VALUE:
        raise ValueError(
            f"{name} has values up to {largest:g}; they must be at most {MAX_VALUE:g}"
        )
    if sums:
        total, whole = (part.sum(dtype=np.float64) for part in (array, np.abs(array)))
        if not abs(total) > _CANCELLED * whole:
            raise ValueError(f"{name} sums to {total:g}, nearly 0; it must not")
    return array


def not_half(array: np.ndarray) -> np.ndarray:
    """Converts float16 and the like, whose sums are coarse, to float32.

    Example:
      >>> not_half(np.ones(3, np.float16)).dtype, not_half(np.ones(3, np.int8)).dtype
      (dtype('float32'), dtype('int8'))
    """
    is_half = _is_floating(array.dtype) and array.itemsize < 4
    return array.astype(np.float32) if is_half else array


def unmasked(name: str, value: Any) -> None:
    """Checks that an array has no masked values: NumPy would take what lies below.

    Example:
      >>> unmasked("image", np.ma.masked_equal([1.0, -9.0], -9.0))
      Traceback (most recent call last):
        ...
      ValueError: image has masked values; fill them, in images from their neighbours
    """
    if np.ma.is_masked(value):
        raise ValueError(
            f"{name} has masked values; fill them, in images from their neighbours"
        )


def _is_floating(dtype: Any) -> bool:
    """Whether a dtype is floating point, also one that only JAX has (bfloat16)."""
    return np.issubdtype(dtype, np.floating) or "float" in np.dtype(dtype).name


def whole(name: str, value: Any, *, maximum: int | None = None) -> int:
    """Checks that a value is a positive integer, and converts it.

    Args:
      maximum: Largest legal value; None for no limit.

    Returns:
      The value as a Python integer; NumPy's may overflow.

    Example:
      >>> whole("scale", 0)
      Traceback (most recent call last):
        ...
      ValueError: scale is 0; it must be a positive integer
    """
    if traced(value):
        raise ValueError(
            f"{name} is traced, as an argument of a function in jax.jit; it must be a "
            f"positive integer: name it there, as jax.jit(f, static_argnames='{name}')"
        )
    is_integer = isinstance(value, int | np.integer)
    is_integer &= not isinstance(value, bool | np.timedelta64)
    if not (is_integer and value >= 1 and (maximum is None or value <= maximum)):
        most = "" if maximum is None else f", at most {maximum}"
        raise ValueError(
            f"{name} is {shown(value)}; it must be a positive integer{most}"
        )
    return int(value)


def scale(value: Any, *, maximum: int = LARGEST_SCALE) -> int:
    """Checks that a value is a scale, a positive integer, and converts it.

    Args:
      maximum: Largest legal value.

    Returns:
      The scale as a Python integer.

    Example:
      >>> scale(300)
      Traceback (most recent call last):
        ...
      ValueError: scale is 300; it must be a positive integer, at most 256
    """
    return whole("scale", value, maximum=maximum)


def number(
    name: str,
    value: Any,
    *,
    positive: bool = False,
    minimum: float = 0.0,
    maximum: float = math.inf,
    static: bool = False,
) -> None:
    """Checks that a value is one finite number of at least a minimum, or traced.

    Args:
      positive: Whether 0 is refused.
      minimum: Smallest legal value.
      maximum: Largest legal value.
      static: Whether a traced value is refused.

    Example:
      >>> number("radius", -1.0)
      Traceback (most recent call last):
        ...
      ValueError: radius is -1.0; it must be a finite number, at least 0
    """
    legal = "positive" if positive else f"at least {minimum:.3g}"
    if maximum < math.inf:
        legal += f" and at most {maximum:.3g}"
    legal = "" if minimum == -math.inf else f", {legal}"
    message = f"{name} is {shown(value)}; it must be a finite number{legal}"
    if isinstance(value, bool | str) or np.ndim(value) != 0:
        raise ValueError(message)
    if static:
        known(name, value)
    if traced(value):
        return
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(message) from None
    in_range = minimum <= found <= maximum and math.isfinite(found)
    if not in_range or (positive and found == 0):
        raise ValueError(message)


def key(name: str, value: Any, *, several: bool = False) -> None:
    """Checks that a value is a JAX random key.

    Args:
      several: Whether it may be an array of them, too.

    Example:
      >>> key("key", 0)
      Traceback (most recent call last):
        ...
      ValueError: key is 0; it must be a JAX random key
    """
    module = sys.modules.get("jax")
    is_key = module is not None and isinstance(value, module.Array)
    if is_key and not _is_typed_key(value):
        is_key = value.dtype == np.uint32 and value.ndim > 0 and value.shape[-1] > 1
    if not is_key:
        more = ", or an array of them, as jax.random.split makes it" if several else ""
        raise ValueError(f"{name} is {shown(value)}; it must be a JAX random key{more}")
    if not several and not is_one_key(value):
        raise ValueError(f"{name} has shape {value.shape}; it must be one JAX key")


def is_one_key(keys: "jax.Array") -> bool:
    """Whether JAX random keys, of the old or the new style, are a single one.

    Args:
      keys: As `key` lets them pass.

    Example:
      >>> import jax
      >>> keys = jax.random.split(jax.random.key(0), 3)
      >>> is_one_key(keys), is_one_key(keys[0])
      (False, True)
    """
    return keys.ndim == (0 if _is_typed_key(keys) else 1)


def _is_typed_key(array: Any) -> bool:
    return "key<" in str(array.dtype)


def floating(name: str, array: Any, axes: tuple[int, ...]) -> None:
    """Checks that an array is floating point, not empty, of some number of axes.

    None of its values may be masked.

    Args:
      axes: Legal numbers of axes.

    Example:
      >>> floating("image", np.zeros((4, 4), np.uint8), (2, 3))
      Traceback (most recent call last):
        ...
      ValueError: image holds uint8; it must be floating point
    """
    module = sys.modules.get("jax")
    is_array = isinstance(array, np.ndarray)
    if not is_array and (module is None or not isinstance(array, module.Array)):
        kind = type(array).__name__
        raise ValueError(f"{name} is a {kind}; it must be a NumPy or a JAX array")
    if array.ndim not in axes:
        legal = " or ".join(map(str, axes))
        raise ValueError(f"{name} has {array.ndim} axes; it must have {legal}")
    if not _is_floating(array.dtype):
        raise ValueError(f"{name} holds {array.dtype}; it must be floating point")
    if array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; it must not be empty")
    unmasked(name, array)


def finite(name: str, array: Any) -> None:
    """Checks that an array has neither NaN nor infinite values, or is traced.

    Its values must be real numbers.

    Example:
      >>> finite("kernel", np.array([1.0, np.nan]))
      Traceback (most recent call last):
        ...
      ValueError: kernel has values that are not finite
    """
    if traced(array):
        return
    try:
        all_finite = np.isfinite(np.asarray(array)).all()
        is_real = not np.iscomplexobj(array)
    except TypeError:
        is_real = False
    if not is_real:
        raise ValueError(f"{name} is {shown(array)}; it must be real numbers")
    if not all_finite:
        raise ValueError(f"{name} has values that are not finite")


def unit_sum(name: str, array: Any) -> None:
    """Checks that a kernel sums to 1, or is traced.

    A tenth more or less is legal: `kernels.centre` cuts a little off narrow kernels.

    Example:
      >>> unit_sum("kernel", np.ones((3, 1)))
      Traceback (most recent call last):
        ...
      ValueError: kernel sums to 3; it must be 1
    """
    if traced(array):
        return
    total = float(np.asarray(array, np.float64).sum())
    if not abs(total - 1) < 0.1:
        raise ValueError(f"{name} sums to {total:.3g}; it must be 1")


def sequence(name: str, value: Any) -> None:
    """Checks that a value is a list or the like, not empty.

    Example:
      >>> sequence("images", 1)
      Traceback (most recent call last):
        ...
      ValueError: images is 1; it must be a sequence
    """
    is_text = isinstance(value, str)
    # Arrays without axes have a length that they do not know.
    is_scalar = not hasattr(value, "__len__") or getattr(value, "shape", None) == ()
    if is_text or is_scalar or traced(value):
        raise ValueError(f"{name} is {shown(value)}; it must be a sequence")
    if not len(value):
        raise ValueError(f"{name} is empty; there must be at least one")


def jax_array(name: str, value: Any) -> "jax.Array":
    """Converts a value to a JAX array, which may be traced.

    Example:
      >>> jax_array("image", [1.0, 2.0]).shape
      (2,)
    """
    import jax.numpy as jnp

    try:
        return jnp.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        kind = type(value).__name__
        raise ValueError(f"{name} is a {kind}; it must be an array: {error}") from error
