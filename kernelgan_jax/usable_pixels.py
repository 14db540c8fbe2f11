"""Which pixels of an image are part of its picture, and what stands in for the others.

A frame, the bars of a film, burnt-in text, a logo, areas without data and hot pixels
were not blurred with the picture, so their sharp edges say nothing about its kernel and
ring if they are sharpened with it. Two kinds are found, from the pixels alone:

- drawn areas: pixels of exactly one colour that border on other colours with steps, not
  gradually as the flat parts of a picture and clipped highlights do;
- isolated pixels, far from all of their neighbours.

If most of an image is drawn, it is no picture with something on it, and is left as it
is.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from kernelgan_jax.drawn_areas import find_drawn, find_margins, find_mixed
from kernelgan_jax.pixels import from_array

LEAST_SHARE = 2e-4
"""Isolated pixels that are a smaller share of all do not count: pictures have some."""


FAR = (2.0, 0.1)
"""A pixel that is isolated without doubt is beyond its neighbours by so many times
their range, and by this fraction of the image's."""

NEARER = (1.0, 0.05)
"""The same for others, if there are such pixels..."""

MOST_NEARER = 2.0
"""... and all are not this many times as many: noise has pixels at any distance."""


class UsablePixels(NamedTuple):
    """An image, and which of its pixels are part of its picture."""

    image: np.ndarray
    """`H x W x C` of the image's type. What is not usable is filled from what is."""
    drawn: np.ndarray
    """`H x W` bool: pixels of drawn areas."""
    mixed: np.ndarray
    """`H x W` bool: pixels around them, which are filled too, and pixels that nobody
    sees."""
    isolated: np.ndarray
    """`H x W` bool: isolated pixels."""

    @property
    def unusable(self) -> np.ndarray | None:
        """Pixels of drawn areas and around them, and those that nobody sees; None if
        there are none."""
        found = self.drawn | self.mixed
        return found if found.any() else None

    @property
    def left_out(self) -> str:
        """What is not usable, in words; empty if all is."""
        return "; ".join(filter(None, [*_areas(self.drawn), _count(self.isolated)]))


def find_usable(image: Any, *, unseen: np.ndarray | None = None) -> UsablePixels:
    """Finds the pixels that are part of an image's picture.

    Args:
      image: `H x W`, `H x W x 1` or `H x W x 3` of a type that `pixels.from_array`
        takes; or what this function has returned, which is returned again.
      unseen: `H x W` bool: pixels that are known to be no part of it, as they are
        transparent or have no data. They are left as they are.

    Raises:
      ValueError: If the array is no image.

    Example:
      >>> image = np.random.default_rng(0).random((40, 50))
      >>> image[:, :8] = 1
      >>> find_usable(image).left_out
      'a flat margin (left 8 px)'
    """
    if isinstance(image, UsablePixels):
        return image
    pixels = from_array(image)
    drawn = find_drawn(pixels) | find_margins(pixels)
    mixed = find_mixed(pixels, drawn) if drawn.any() else drawn
    isolated = _isolated(pixels, drawn | mixed)
    filled = pixels
    if drawn.any() or isolated.any():
        filled = _filled(pixels, drawn | mixed, isolated)
    if unseen is not None and unseen.any():
        drawn, isolated = drawn & ~unseen, isolated & ~unseen
        mixed = mixed | unseen
    return UsablePixels(filled, *map(_packed, (drawn, mixed, isolated)))


def _packed(mask: np.ndarray) -> np.ndarray:
    """The same mask, which takes no memory if it is False everywhere."""
    return mask if mask.any() else np.broadcast_to(np.False_, mask.shape)


def _isolated(pixels: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Pixels that are far from all of their neighbours but one: `H x W` bool.

    Args:
      pixels: `H x W x C`.
      areas: `H x W` bool: where none are looked for.
    """
    span = float(np.ptp(pixels))
    far, nearer = np.zeros((2, *areas.shape), bool)
    for channel in range(pixels.shape[2]):
        plane = pixels[..., channel].astype(np.float32)
        rows, columns = np.nonzero(_stands_out(plane, NEARER[1] * span))
        around = np.sort(_around(plane, rows, columns), axis=0)
        low, high = around[1], around[-2]
        own = plane[rows, columns]
        beyond = np.maximum(own - high, low - own)
        for found, (factor, step) in ((far, FAR), (nearer, NEARER)):
            alone = beyond > np.maximum(step * span, factor * (high - low))
            found[rows[alone], columns[alone]] = True
    far, nearer = far & ~areas, nearer & ~areas
    enough = far.mean() >= LEAST_SHARE and nearer.sum() <= MOST_NEARER * far.sum()
    return nearer if enough else np.zeros_like(far)


def _stands_out(plane: np.ndarray, step: float) -> np.ndarray:
    """Pixels that are above, or below, three of the four beside them: `H x W` bool.

    All pixels beyond all of their neighbours but one are among these.
    """
    padded = np.pad(plane, 1, mode="reflect")
    above = np.zeros(plane.shape, np.int8)
    below = np.zeros_like(above)
    height, width = plane.shape
    for row, column in ((0, 1), (1, 0), (1, 2), (2, 1)):
        difference = plane - padded[row : row + height, column : column + width]
        above += difference > step
        below += difference < -step
    return (above >= 3) | (below >= 3)


def _around(plane: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The eight neighbours of some pixels: `8 x n`, those with a common side first."""
    padded = np.pad(plane, 1, mode="reflect")
    sides = ((0, 1), (1, 0), (1, 2), (2, 1))
    corners = ((0, 0), (0, 2), (2, 0), (2, 2))
    return np.stack([padded[rows + i, columns + j] for i, j in sides + corners])


def _filled(pixels: np.ndarray, areas: np.ndarray, isolated: np.ndarray) -> np.ndarray:
    """Fills areas with the mirrored picture, and isolated pixels from their neighbours.

    Args:
      pixels: `H x W x C`.
      areas: `H x W` bool.
      isolated: `H x W` bool.
    """
    filled = pixels.copy()
    if isolated.any():
        rows, columns = np.nonzero(isolated)
        known = _around(~(areas | isolated), rows, columns).astype(np.float32)
        # Exact for cubic polynomials; the mean where a neighbour is unknown.
        weights = np.repeat([0.5, -0.25], 4)[:, None]
        weights = np.where(known.all(axis=0), weights, known)
        weights = weights / np.maximum(weights.sum(axis=0), 1e-9)
        for channel in range(pixels.shape[2]):
            plane = pixels[..., channel].astype(np.float64)
            around = _around(plane, rows, columns)
            value = (weights * around).sum(axis=0).clip(around.min(0), around.max(0))
            value = np.where(known.any(axis=0), value, plane[rows, columns])
            filled[rows, columns, channel] = (
                np.rint(value) if pixels.dtype.kind in "ui" else value
            )
    if areas.any():
        rows, columns = np.nonzero(areas)
        nearest = scipy.ndimage.distance_transform_edt(
            areas, return_distances=False, return_indices=True
        )[:, rows, columns]
        # What is as far behind the nearest pixel of the picture, if it is picture too.
        height, width = areas.shape
        row, column = 2 * nearest - (rows, columns)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        row, column = row.clip(0, height - 1), column.clip(0, width - 1)
        mirrored = inside & ~areas[row, column]
        row = np.where(mirrored, row, nearest[0])
        column = np.where(mirrored, column, nearest[1])
        filled[rows, columns] = filled[row, column]
    return filled


def _areas(drawn: np.ndarray) -> list[str]:
    """What drawn areas are, in words."""
    sides = {}
    rows, columns = (np.asarray(drawn.all(axis=axis)) for axis in (1, 0))
    for name, lines in (
        ("top", rows),
        ("bottom", rows[::-1]),
        ("left", columns),
        ("right", columns[::-1]),
    ):
        wide = len(lines) if lines.all() else int(lines.argmin())
        if wide:
            sides[name] = wide
    found, others = [], drawn
    if sides:
        what = "a flat frame" if len(sides) == 4 else "a flat margin"
        found.append(
            f"{what} ({', '.join(f'{name} {wide}' for name, wide in sides.items())} px)"
        )
        others = drawn[
            sides.get("top", 0) : len(drawn) - sides.get("bottom", 0),
            sides.get("left", 0) : drawn.shape[1] - sides.get("right", 0),
        ]
    if others.any():
        share = 100 * others.sum() / drawn.size
        found.append(f"drawn areas ({share:.2g} % of the pixels)")
    return found


def _count(isolated: np.ndarray) -> str:
    """Isolated pixels in words."""
    count = int(isolated.sum())
    return f"{count} isolated pixels" if count else ""
