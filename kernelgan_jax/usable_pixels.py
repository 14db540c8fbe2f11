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
import scipy.sparse

from kernelgan_jax.pixels import from_array

STEP = 0.1
"""Least step at the border of a drawn area, as a fraction of the image's range..."""

STEPS = 0.5
"""... at least at this fraction of the border."""

LEAST_AREA = 6
"""Pixels of the smallest drawn area; the pictures' own flat spots are smaller."""

LEAST_SHARE = 2e-4
"""Drawn areas and isolated pixels that are a smaller share of the image, of pixels, do
not count: pictures have some of their own."""

MOST_SHARE = 0.75
"""If more of the pixels is drawn, the image is a drawing."""

RING = 2
"""Width in pixels of what is mixed with drawn areas around them."""

NEAR = 8
"""Pixels from drawn areas to others of their colours that belong to them."""

MOST_COLOURS = 16
"""As many of the colours of drawn areas are looked for near them."""

COLOUR_KEYS = np.sqrt([2.0, 3.0, 5.0])
"""Factors that make one number of the channels of a colour, not the same of others."""

GAP = 4
"""Half the width of gaps between mixed pixels that are mixed, too."""

CRISP = 0.25
"""An area at the image's border is not mixed with the picture if the pixels beside it
differ from the next ones by less than this fraction of its step."""

ISOLATED = ((2.0, STEP), (1.0, STEP / 2))
"""An isolated pixel is beyond its neighbours by so many times their range, and by this
fraction of the image's; the second pair holds once the first has found enough."""


class UsablePixels(NamedTuple):
    """An image, and which of its pixels are part of its picture."""

    image: np.ndarray
    """`H x W x C` of the image's type. What is not usable is filled from what is."""
    drawn: np.ndarray
    """`H x W` bool: pixels of drawn areas."""
    mixed: np.ndarray
    """`H x W` bool: pixels around them, which are filled too."""
    isolated: np.ndarray
    """`H x W` bool: isolated pixels."""

    @property
    def unusable(self) -> np.ndarray | None:
        """Pixels of drawn areas and around them; None if there are none."""
        return self.drawn | self.mixed if self.drawn.any() else None

    @property
    def left_out(self) -> str:
        """What is not usable, in words; empty if all is."""
        return "; ".join(filter(None, [*_areas(self.drawn), _count(self.isolated)]))


def find_usable(image: Any) -> UsablePixels:
    """Finds the pixels that are part of an image's picture.

    Args:
      image: `H x W`, `H x W x 1` or `H x W x 3` of a type that `pixels.from_array`
        takes.

    Raises:
      ValueError: If the array is no image.

    Example:
      >>> image = np.random.default_rng(0).random((40, 50))
      >>> image[:, :8] = 1
      >>> find_usable(image).left_out
      'a flat margin (left 8 px)'
    """
    pixels = from_array(image)
    drawn = _drawn(pixels)
    mixed = _mixed(pixels, drawn) if drawn.any() else drawn
    isolated = _isolated(pixels, drawn | mixed)
    filled = pixels
    if drawn.any() or isolated.any():
        filled = _filled(pixels, drawn | mixed, isolated)
    return UsablePixels(filled, drawn, mixed, isolated)


def _drawn(pixels: np.ndarray) -> np.ndarray:
    """Where areas of exactly one colour end in steps: `H x W` bool."""
    none = np.zeros(pixels.shape[:2], bool)
    step = STEP * (float(pixels.max()) - float(pixels.min()))
    right, down = (_differences(pixels, axis) for axis in (1, 0))
    links = [_neighbours(none.shape, equal) for equal in (right == 0, down == 0)]
    first, second = (np.concatenate(ends) for ends in zip(*links, strict=True))
    if not len(first):
        return none
    # Parts of one colour are connected by equal neighbours.
    members, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    one, other = places.reshape(2, -1)
    graph = scipy.sparse.coo_array(
        (np.ones(len(one), bool), (one, other)), (len(members),) * 2
    )
    count, part_of_member = scipy.sparse.csgraph.connected_components(graph, False)
    part = np.full(none.size, -1, np.int32)
    part[members] = part_of_member
    area = np.bincount(part_of_member, minlength=count)
    # The pairs of neighbours at the borders of parts, and steps among these.
    borders, steps = np.zeros(count), np.zeros(count)
    for difference in (right, down):
        ends = _neighbours(none.shape, difference > 0)
        is_step = difference[difference > 0] >= step
        for end in ends:
            found = part[end]
            known = found >= 0
            borders += np.bincount(found[known], minlength=count)
            steps += np.bincount(found[known & is_step], minlength=count)
    is_drawn = (area >= LEAST_AREA) & (steps > STEPS * borders)
    drawn: np.ndarray = none.ravel().copy()
    drawn[members] = is_drawn[part_of_member]
    drawn = drawn.reshape(none.shape)
    if not LEAST_SHARE <= drawn.mean() <= MOST_SHARE:
        return none
    return drawn | _thin_lines(pixels, drawn)


def _thin_lines(pixels: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Pixels near drawn areas that have the colour of one: parts of the same text."""
    keys = pixels.astype(np.float64) @ COLOUR_KEYS[: pixels.shape[2]]
    colours, counts = np.unique(keys[drawn], return_counts=True)
    colours = colours[np.argsort(-counts)[:MOST_COLOURS]]
    distance = scipy.ndimage.distance_transform_cdt(~drawn)
    same: np.ndarray = (distance <= NEAR) & np.isin(keys, colours)
    return same


def _differences(pixels: np.ndarray, axis: int) -> np.ndarray:
    """Largest difference, over channels, of neighbours along an axis; float32."""
    signed = np.diff(pixels.astype(np.float32), axis=axis)
    return np.abs(signed, out=signed).max(axis=2)


def _neighbours(
    shape: tuple[int, ...], chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of both pixels of the chosen pairs of neighbours."""
    width = shape[1]
    rows, columns = np.nonzero(chosen)
    first = rows * width + columns
    return first, first + (1 if chosen.shape[1] < width else width)


def _mixed(pixels: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Pixels around drawn areas that are mixed with them: `H x W` bool.

    Lines are drawn with soft edges. A frame or an area without data mostly is not, and
    then the picture counts up to its last pixel.
    """
    labels, found = scipy.ndimage.label(drawn)
    edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    at_border = drawn & np.isin(labels, np.unique(np.concatenate(edges)))
    soft = drawn & ~at_border
    mixed: np.ndarray = np.zeros_like(drawn)
    cross = scipy.ndimage.generate_binary_structure(2, 1)
    beside = scipy.ndimage.binary_dilation(at_border, cross) & ~drawn
    if beside.any():
        rows, columns = np.nonzero(beside)
        area = scipy.ndimage.distance_transform_edt(
            ~at_border, return_distances=False, return_indices=True
        )[:, rows, columns]
        height, width = drawn.shape
        row = (2 * rows - area[0]).clip(0, height - 1)
        column = (2 * columns - area[1]).clip(0, width - 1)
        own, following, painted = (
            pixels[place].astype(np.float32)
            for place in ((rows, columns), (row, column), tuple(area))
        )
        step = CRISP * np.abs(painted - following).max(axis=1)
        is_mixed = np.abs(own - following).max(axis=1) > step
        label = labels[tuple(area)]
        count, of_these = (
            np.bincount(some, minlength=found + 1) for some in (label, label[is_mixed])
        )
        soft |= drawn & (of_these > count / 2)[labels]
    if soft.any():
        # Wider, and then narrower again: gaps between strokes are filled.
        wide = scipy.ndimage.maximum_filter(soft, 2 * (RING + GAP) + 1)
        mixed = scipy.ndimage.minimum_filter(wide, 2 * GAP + 1) & ~drawn
    return mixed


def _isolated(pixels: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Pixels that are far from all of their neighbours but one: `H x W` bool.

    Args:
      pixels: `H x W x C`.
      areas: `H x W` bool: where none are looked for.
    """
    isolated = np.zeros(pixels.shape[:2], bool)
    for factor, step in ISOLATED:
        found = _beyond(pixels, factor, step * float(np.ptp(pixels))) & ~areas
        if found.mean() < LEAST_SHARE:
            break
        isolated = found
    return isolated


def _beyond(pixels: np.ndarray, factor: float, step: float) -> np.ndarray:
    """Pixels that are beyond their neighbours, but one, in any channel."""
    isolated = np.zeros(pixels.shape[:2], bool)
    for channel in range(pixels.shape[2]):
        plane = pixels[..., channel].astype(np.float32)
        far = np.abs(plane - scipy.ndimage.median_filter(plane, 3, mode="mirror"))
        rows, columns = np.nonzero(far > step)
        around = np.sort(_around(plane, rows, columns), axis=0)
        low, high = around[1], around[-2]
        own = plane[rows, columns]
        beyond = np.maximum(own - high, low - own)
        alone = beyond > np.maximum(step, factor * (high - low))
        isolated[rows[alone], columns[alone]] = True
    return isolated


def _around(plane: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The eight neighbours of some pixels: `8 x n`, those with a common side first."""
    padded = np.pad(plane, 1, mode="reflect")
    sides = ((0, 1), (1, 0), (1, 2), (2, 1))
    corners = ((0, 0), (0, 2), (2, 0), (2, 2))
    return np.stack([padded[rows + i, columns + j] for i, j in sides + corners])


def _filled(
    pixels: np.ndarray, areas: np.ndarray, isolated: np.ndarray
) -> np.ndarray:
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
    for name, lines in (
        ("top", drawn.all(axis=1)),
        ("bottom", drawn.all(axis=1)[::-1]),
        ("left", drawn.all(axis=0)),
        ("right", drawn.all(axis=0)[::-1]),
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
