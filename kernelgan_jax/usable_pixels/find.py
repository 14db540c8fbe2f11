"""Which pixels of an image are part of its picture, and what stands in for the others.

A frame, the bars of a film, burnt-in text, a logo, areas without data and hot pixels
were not blurred with the picture, so their sharp edges say nothing about its kernel and
ring if they are sharpened with it. Two kinds are found, from the pixels alone:

- drawn areas: pixels of exactly one colour that border on other colours with steps, not
  gradually as the flat parts of a picture and clipped highlights do;
- isolated pixels, far from all of their neighbours, and small clusters of them that
  stretch the image's range.

If most of an image is drawn, it is no picture with something on it, and is left as it
is.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from kernelgan_jax import square_extremes
from kernelgan_jax.pixels import from_array
from kernelgan_jax.usable_pixels.drawn_areas import find_drawn, find_margins
from kernelgan_jax.usable_pixels.hot_clusters import find_clusters
from kernelgan_jax.usable_pixels.isolated_pixels import fill_isolated, find_isolated
from kernelgan_jax.usable_pixels.smooth_fill import fill_smoothly
from kernelgan_jax.usable_pixels.soft_edges import find_mixed

MOST_COVERED = 0.9
"""If more of the pixels are drawn or around what is, the image is a drawing, as a page
of text."""

RIM = 8
"""Pixels from the picture in which lines, letters and logos are filled smoothly; the
picture is mirrored behind frames, and further inside."""

STRIP = 2**20
"""Pixels of the strips of an image in which they are filled."""


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
      unseen: `H x W` bool: pixels that are known to be no part of it, transparent or
        without data. Gaps and holes are filled, others are left as they are.

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
    if (drawn | mixed).mean() > MOST_COVERED:
        drawn = mixed = np.zeros_like(drawn)
    clusters = find_clusters(pixels, drawn | mixed)
    filled, areas = pixels, drawn | mixed | clusters
    isolated = find_isolated(pixels, areas) | clusters
    if unseen is not None:
        holes = areas | (unseen & ~_frames(unseen))
        areas = areas if holes.all() else holes
    if areas.any() or isolated.any():
        filled = fill(pixels, areas, isolated=isolated & ~areas)
        if filled.min() == filled.max():  # Nothing of a picture is left.
            filled, drawn, mixed, isolated = pixels, *np.zeros((3, *drawn.shape), bool)
    if unseen is not None and unseen.any():
        drawn, isolated = drawn & ~unseen, isolated & ~unseen
        mixed = mixed | unseen
    return UsablePixels(filled, *map(_packed, (drawn, mixed, isolated)))


def leave_out(usable: UsablePixels, more: np.ndarray) -> UsablePixels:
    """The usable pixels of an image without some more, which are filled.

    Args:
      usable: The image's usable pixels.
      more: `H x W` bool: pixels that are mixed with what was drawn.
    """
    mixed = usable.mixed | more
    filled = fill(usable.image, usable.drawn | mixed)
    near = square_extremes.maximum(more, 2 * RIM + 1)[..., np.newaxis]
    image = np.where(near, filled, usable.image)
    return usable._replace(image=image, mixed=_packed(mixed))


def _packed(mask: np.ndarray) -> np.ndarray:
    """The same mask, which takes no memory if it is False everywhere."""
    return mask if mask.any() else np.broadcast_to(np.False_, mask.shape)


def fill(
    pixels: np.ndarray, areas: np.ndarray, *, isolated: np.ndarray | None = None
) -> np.ndarray:
    """Fills areas, and isolated pixels from their neighbours.

    Areas are filled with the mirrored picture; those with picture all around, at their
    rim, as smoothly as it goes on.

    Args:
      pixels: `H x W x C`.
      areas: `H x W` bool.
      isolated: `H x W` bool, or None.
    """
    if isolated is None:
        filled = pixels.copy()
    else:
        filled = fill_isolated(pixels, areas, isolated)
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
        apart = np.hypot(nearest[0] - rows, nearest[1] - columns)
        is_inside = (apart <= RIM) & ~_frames(areas)[rows, columns]
        chosen = np.stack([rows, columns])[:, is_inside]
        _smooth(filled, areas, chosen)
    return filled


def _smooth(filled: np.ndarray, areas: np.ndarray, chosen: np.ndarray) -> None:
    """Fills chosen pixels smoothly, in place, in strips of rows: it takes about 900
    bytes for each."""
    height, width = areas.shape
    strip = max(STRIP // width, 2 * RIM)
    is_whole = filled.dtype.kind in "ui"
    for top in range(0, height, strip):
        # What is beyond twice the rim is not seen across gaps of this width.
        first, last = max(top - 2 * RIM, 0), top + strip + 2 * RIM
        here = chosen[:, (chosen[0] >= first) & (chosen[0] < last)]
        if not here.size:
            continue
        part = here - [[first], [0]]
        values = filled[first:last].astype(np.float64)
        smooth = fill_smoothly(values, areas[first:last], part)
        own = (here[0] >= top) & (here[0] < top + strip)
        filled[tuple(here[:, own])] = np.rint(smooth[own]) if is_whole else smooth[own]


def _frames(areas: np.ndarray) -> np.ndarray:
    """The parts of areas that are wide and go on to the image's border: `H x W`."""
    side = 2 * RIM + 1
    wide = square_extremes.minimum(np.pad(areas, side, constant_values=True), side)
    labels, _ = scipy.ndimage.label(wide)
    outside = square_extremes.maximum(labels == labels[0, 0], side)
    frames: np.ndarray = outside[side:-side, side:-side] & areas
    return frames


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
    return f"{count} isolated pixel{'s' * (count > 1)}" if count else ""
