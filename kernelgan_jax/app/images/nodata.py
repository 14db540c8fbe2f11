"""Pixels without data: where they are, and the value that stands for them."""

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

TAG = 42113
"""The tag of GDAL in a TIFF with the value, as a text."""

_LEAST_RANGE = 1e-4
"""What float32 can still tell apart well, as a part of its range."""


def stated_value(tags: Mapping[int, Any], dtype: np.dtype) -> np.ndarray | None:
    """The value that stands for no data in samples of a type.

    Returns:
      None if no value is named, or one that the type lacks, as -9999 for uint8.
    """
    text = tags.get(TAG, "nan")
    if dtype.kind in "iu":
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            # Of 64 bits: floats do not hold all. A number that is no text may be 0.5.
            return np.array(int(str(text)), dtype)
    with contextlib.suppress(ValueError, TypeError), np.errstate(all="ignore"):
        stated = float(text)
        found = np.array(stated).astype(dtype)
        if found == stated or (dtype.kind == "f" and not math.isnan(stated)):
            return found
    return None


def avoid(pixels: np.ndarray, value: np.ndarray | None, *, bands: bool = False) -> None:
    """Moves pixels that have the value for no data off it by a step, in place.

    The step leads down where the type ends above. Of floating point, values closer than
    a step count as equal, as GDAL has it.

    Args:
      pixels: `H x W x C`.
      value: The value, if there is one.
      bands: Whether each sample counts by itself; else pixels have the value if all of
        their samples do.
    """
    if value is None:
        return
    number = value.item()
    if value.dtype.kind == "f":
        limits = np.finfo(value.dtype)
        step = max(8 * float(limits.eps) * abs(number), float(limits.tiny))
        top = float(limits.max)
    else:
        step, top = 1, np.iinfo(value.dtype).max
    # Of 64 bits, which hold both, whatever the type of the pixels.
    low, high = np.array([number - step, number + step])
    for row in pixels:
        is_near = (low < row) & (row < high)
        row[is_near if bands else is_near.all(axis=-1)] = high if high <= top else low


def missing_values(
    stored: np.ndarray,
    notes: list[str],
    *,
    value: np.ndarray | None = None,
    bands: bool = False,
) -> np.ndarray | None:
    """Where samples are not finite, or have a value that stands for no data.

    That is the one which is named, and one so far from all others, as -3.4e38, that the
    image's range would be nothing else.

    Args:
      stored: `H x W x C`, without alpha.
      notes: Gets a note on pixels without data.
      value: The value that is named, if there is one.
      bands: Whether each sample counts by itself. A pixel of a colour image, where 0 is
        a colour, too, has the value if all of its samples do.

    Returns:
      `H x W x 1` of bool, or `H x W x C` if bands differ; None if there are data
      everywhere.
    """
    is_plain = stored.dtype in (np.uint8, np.uint16)
    if is_plain and value is None:
        return None
    found = np.zeros((*stored.shape[:2], stored.shape[2] if bands else 1), bool)
    for lacking, samples in zip(found, stored, strict=True):
        is_odd = ~np.isfinite(samples)
        lacking[...] = is_odd if bands else is_odd.any(axis=-1, keepdims=True)
        if value is not None:
            is_same = samples == value
            lacking |= is_same if bands else is_same.all(axis=-1, keepdims=True)
    if stored.dtype.kind in "iuf" and not is_plain:
        for channel, values in enumerate(np.moveaxis(stored, -1, 0)):
            _mark_far(found[..., channel if bands else 0], values)
    if not found.any():
        return None
    if all((band == found[..., 0]).all() for band in np.moveaxis(found, -1, 0)):
        found = np.ascontiguousarray(found[..., :1])
    where = " in some bands" if found.shape[2] > 1 else ""
    count = int(found.any(axis=-1).sum())
    notes.append(f"{count} pixels without data{where} kept as they are")
    return found


def _mark_far(found: np.ndarray, values: np.ndarray) -> None:
    """Marks the smallest value, the largest or both, if the range without is a small
    part of that with them, and then the next.

    Args:
      found: `H x W` bool, where marks are added.
      values: `H x W`.
    """
    low, high = _ends(values, ~found)
    for far in ([low], [high], [low, high]):
        is_far = np.isin(values, np.array(far, values.dtype))
        bottom, top = _ends(values, ~found & ~is_far)
        if 0 < float(top) - float(bottom) < _LEAST_RANGE * (float(high) - float(low)):
            found |= is_far
            return _mark_far(found, values)


def _ends(values: np.ndarray, chosen: np.ndarray) -> tuple[Any, Any]:
    """The smallest and the largest of chosen values; the first is larger if none is."""
    limits = (np.finfo if values.dtype.kind == "f" else np.iinfo)(values.dtype)
    low = values.min(where=chosen, initial=limits.max)
    return low, values.max(where=chosen, initial=limits.min)
