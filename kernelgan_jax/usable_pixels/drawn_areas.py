"""Areas that were drawn on a picture: frames, bars, text, logos, areas without data.

They are of exactly one colour and border on other colours with steps, not gradually as
the flat parts of a picture and clipped highlights do.
"""

import functools

import numpy as np
import scipy.ndimage
import scipy.sparse

from kernelgan_jax.pixels import own_channels
from kernelgan_jax.usable_pixels.mosaics import adjoining

STEP = 0.1
"""Least step at the border of a drawn area, as a fraction of the image's range."""

PALETTE_STEP = 0.4
"""The same in images of a palette, which has steps of its own everywhere..."""

PALETTE = 256
"""... that is, in colour images of at most so many colours."""

FEW_LEVELS = 18
"""A step is at least so many levels of the image, up to `PALETTE_STEP`: of few levels,
as in dark photographs, a picture has areas of exactly one by chance."""

STEPS = 0.5
"""At least at this fraction of the border there are such steps."""

LEAST_AREA = 6
"""Pixels of the smallest drawn area; the pictures' own flat spots are smaller."""

LEAST_SHARE = 2e-4
"""Drawn areas that are a smaller share of the pixels do not count: pictures have some
of their own."""

OUTERMOST = 3
"""Lines at the image's border on which a frame leaves traces that was blurred with its
picture."""

MOST_PIXELS = 2**20
"""Larger images are looked at in strips of about so many pixels."""

MOST_SHARE = 0.75
"""If more of the pixels is drawn, the image is a drawing."""

TOLERANCE = 0.03
"""What the pixels of a margin that went through lossy compression differ from its
colour at most, as a fraction of the image's range."""

FLATNESS = 0.008
"""The same where no block of the compression reaches into the picture, unless it is
nearly black or white: a sky that is less flat is no margin."""

STRAIGHT = 0.5
"""At least at this fraction of its length a bar of exactly one colour ends in the same
line."""

BLOCK = 8
"""Pixels over which lossy compression blurs the border of a margin; twice as many in
colour."""

NEAR = 8
"""Pixels from drawn areas to others of their colours that belong to them."""

MOST_COLOURS = 16
"""Number of colours of drawn areas that are looked for near them."""

COLOUR_KEYS = np.sqrt([2.0, 3.0, 5.0])
"""Factors that make one number of the channels of a colour, not the same of others."""

_PAIR = slice(None, -1), slice(1, None)
"""Both pixels of the pairs of neighbours along an axis."""


def find_drawn(pixels: np.ndarray) -> np.ndarray:
    """Where areas of exactly one colour end in steps: `H x W` bool."""
    span = float(pixels.max()) - float(pixels.min())
    most = PALETTE_STEP * span
    step = most if _has_palette(pixels) else STEP * span
    # Traces of a frame that was blurred with its picture are part of the picture.
    inner = np.zeros(pixels.shape[:2], bool)
    inner[OUTERMOST:-OUTERMOST, OUTERMOST:-OUTERMOST] = True
    drawn = np.zeros_like(inner)
    rows = max(MOST_PIXELS // pixels.shape[1], 1)
    for top in range(0, len(pixels), rows):
        strip = slice(top, top + rows)
        drawn[strip] = _drawn_parts(pixels[strip], inner[strip], step, most)
    if not LEAST_SHARE <= drawn.mean() <= MOST_SHARE:
        return np.zeros_like(drawn)
    return drawn | _thin_lines(pixels, drawn)


def _drawn_parts(
    pixels: np.ndarray, inner: np.ndarray, step: float, most: float
) -> np.ndarray:
    """Parts of one colour that mostly end in steps: `H x W` bool."""
    shape = inner.shape
    right, down = (differences(pixels, axis) for axis in (1, 0))
    levels = (float(x[x > 0].min()) for x in (right, down) if x.any())
    step = max(step, min(FEW_LEVELS * min(levels, default=0.0), most))
    links = [_neighbours(shape, equal) for equal in (right == 0, down == 0)]
    first, second = (np.concatenate(ends) for ends in zip(*links, strict=True))
    drawn = np.zeros(inner.size, bool)
    if not len(first):
        return drawn.reshape(shape)
    # Parts of one colour are connected by equal neighbours.
    drawn[first] = drawn[second] = True
    place = np.cumsum(drawn, dtype=np.int32) - 1
    members = np.flatnonzero(drawn)
    graph = scipy.sparse.coo_array(
        (np.ones(len(first), bool), (place[first], place[second])), (len(members),) * 2
    )
    count, part_of_member = scipy.sparse.csgraph.connected_components(graph, False)
    part = np.where(drawn, part_of_member[place], -1).reshape(shape)
    area = np.bincount(part_of_member, minlength=count)
    # The pairs of neighbours at the borders of parts, and steps among these.
    borders, steps = np.zeros(count), np.zeros(count)
    for axis, difference in ((1, right), (0, down)):
        is_border, is_step = difference > 0, difference >= step
        for ends in _PAIR:
            found = np.moveaxis(np.moveaxis(part, axis, 0)[ends], 0, axis)
            at_border = is_border & (found >= 0)
            found, is_step_there = found[at_border], is_step[at_border]
            borders += np.bincount(found, minlength=count)
            steps += np.bincount(found[is_step_there], minlength=count)
    inside = np.bincount(part_of_member[inner.ravel()[members]], minlength=count)
    is_drawn = (area >= LEAST_AREA) & (steps > STEPS * borders)
    is_drawn &= (inside > 0) | (area >= min(shape))
    if is_drawn.any():
        is_drawn |= adjoining(part, is_drawn)
    drawn[members] = is_drawn[part_of_member]
    return drawn.reshape(shape)


def _has_palette(pixels: np.ndarray) -> bool:
    """Whether a colour image has few colours, as a GIF has."""
    if len(own_channels(pixels).kept) == 1:
        return False
    colours = pixels.reshape(-1, 3)
    some = colours[:: max(len(colours) // 4096, 1)]  # enough for photographs
    return all(
        len(np.unique(part.astype(np.float64) @ COLOUR_KEYS)) <= PALETTE
        for part in (some, colours)
    )


def _thin_lines(pixels: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Pixels near drawn areas that have the colour of one: parts of the same text."""
    keys = pixels.astype(np.float64) @ COLOUR_KEYS[: pixels.shape[2]]
    colours, counts = np.unique(keys[drawn], return_counts=True)
    colours = colours[np.argsort(-counts)[:MOST_COLOURS]]
    distance = scipy.ndimage.distance_transform_cdt(~drawn)
    same: np.ndarray = (distance <= NEAR) & np.isin(keys, colours)
    return same


def at_border(labels: np.ndarray) -> np.ndarray:
    """Where labelled areas reach the image's border: `H x W` bool."""
    edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    found: np.ndarray = np.isin(labels, np.unique(np.concatenate(edges))) & (labels > 0)
    return found


def differences(pixels: np.ndarray, axis: int) -> np.ndarray:
    """Largest difference, over channels, of neighbours along an axis."""
    if pixels.dtype.kind == "f":
        pixels = pixels.astype(np.float32, copy=False)
    first, second = (np.moveaxis(pixels, axis, 0)[part] for part in _PAIR)
    # The larger minus the smaller fits in the image's type.
    apart = np.maximum(first, second) - np.minimum(first, second)
    channels = np.moveaxis(apart, -1, 0)  # one by one, they are faster
    largest: np.ndarray = functools.reduce(np.maximum, channels)
    return np.moveaxis(largest, 0, axis)


def _neighbours(
    shape: tuple[int, ...], chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of both pixels of the chosen pairs of neighbours."""
    width = shape[1]
    first = np.flatnonzero(chosen).astype(np.int32)
    if chosen.shape[1] < width:  # One pair fewer in each row.
        return first + first // (width - 1), first + first // (width - 1) + 1
    return first, first + width


def find_margins(pixels: np.ndarray) -> np.ndarray:
    """Frames and bars: `H x W` bool.

    They are of exactly one colour, however dark the picture beside them is, or nearly
    of one and end in a step within the blocks of a lossy compression.
    """
    margins = np.zeros(pixels.shape[:2], bool)
    span = float(np.ptp(pixels))
    for turns in range(4):
        turned = np.rot90(pixels, turns)
        wide = max(_bar(turned), _margin(turned, span))
        np.rot90(margins, turns)[:wide] = True
    return margins if margins.mean() <= MOST_SHARE else np.zeros_like(margins)


def _bar(pixels: np.ndarray) -> int:
    """Rows of exactly one colour at the top; 0 if they do not end in a straight line,
    as a white sky does not, or in one of one colour, as a gradient that is drawn."""
    for row, line in enumerate(pixels):
        is_picture = (line != pixels[0, 0]).any(axis=1)
        if is_picture.any():
            ends = is_picture.mean() >= STRAIGHT and (line != line[0]).any()
            return row if row > OUTERMOST and ends else 0
    return 0


def _margin(pixels: np.ndarray, span: float) -> int:
    """Rows of a margin at the top that went through lossy compression; 0 if there are
    none."""
    colour = np.median(pixels[0].astype(np.float32), axis=0)
    apart: list[float] = []
    for line in pixels[: len(pixels) // 2]:
        off = np.abs(line.astype(np.float32) - colour).max(axis=1)
        apart.append(float(np.percentile(off, 98)))
        if apart[-1] > TOLERANCE * span:
            break
    else:
        return 0
    row = len(apart) - 1
    top = 1.0 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    is_paper = min(colour.max(), top - colour.min()) <= TOLERANCE * top
    inside = apart[: max(row - 2 * BLOCK, 0)]
    if max(inside, default=0) > FLATNESS * span and not is_paper:
        return 0
    beyond = pixels[min(row + BLOCK // 2, len(pixels) - 1)].astype(np.float32)
    is_step = np.abs(beyond - colour).max(axis=1) >= STEP * span
    return row if row >= BLOCK // 2 and is_step.mean() > STEPS else 0
