"""Text and lines that were drawn on a picture before it was compressed with loss.

Colours are then no longer exact, as `drawn_areas.py` wants them. What remains are many
thin strokes, nearly white or nearly black, whose borders mostly are steps. A few bright
lights or bare twigs look like that, too: such windows say little about a blur, as they
are clipped. So what is found here has no part in the spectrum, but is enlarged as the
rest.
"""

import numpy as np
import scipy.ndimage

from kernelgan_jax import square_extremes

EXTREME = 0.1
"""Nearly white or black is what is so near to the end of the range."""

THICK = 9
"""Side, pixels, of squares of one colour that no stroke holds."""

STEP = 0.3
"""Least step at the border of a stroke, within two pixels, of a range of 1..."""

STEPS = 0.7
"""... at least at this fraction of the border."""

LEAST_AREA = 12
"""Pixels of the smallest stroke."""

LEAST_STROKES = 6
"""Fewer of one colour are no text..."""

LEAST_SHARE = 1e-3
"""... nor are they if they are a smaller share of the pixels."""

BLOCK = 8
"""Pixels over which compression spreads a stroke."""


def find_lossy_text(image: np.ndarray) -> np.ndarray:
    """Finds where text and lines were drawn before lossy compression.

    Args:
      image: `H x W x C` float32 in its own range, [0, 1].

    Returns:
      `H x W` bool: strokes, and the blocks around them.

    Example:
      >>> image = np.full((40, 200, 1), 0.5, np.float32)
      >>> image[18:22].reshape(4, 20, 10)[:, :, 3:6] = 0.97
      >>> find_lossy_text(image).any(1).tolist().index(True)
      10
    """
    channels = list(np.moveaxis(image, -1, 0))  # One by one, they are faster.
    gray = sum(channels[1:], channels[0]) / len(channels)
    white = channels[0] >= 1 - EXTREME  # Yellow is as usual as white.
    if len(channels) > 1:
        white &= channels[1] >= 1 - EXTREME
    black = channels[0] <= EXTREME
    for channel in channels[1:]:
        black &= channel <= EXTREME
    strokes = _strokes(white, gray) | _strokes(black, -gray)
    if not strokes.any():
        return strokes
    return square_extremes.maximum(strokes, 2 * BLOCK + 1)


def _strokes(near: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """Thin parts whose borders mostly are steps down, if there are many of them."""
    nothing = np.zeros_like(near)
    if near.mean() < LEAST_SHARE:
        return nothing
    squares = square_extremes.minimum(near, THICK)
    # Wider than the squares by two pixels, which are their soft borders.
    thin = near & ~square_extremes.maximum(squares, THICK + 4)
    parts, count = scipy.ndimage.label(thin, np.ones((3, 3)))
    areas = np.bincount(parts[thin], minlength=count + 1)
    is_stroke = areas >= LEAST_AREA
    enough = LEAST_SHARE * near.size
    if is_stroke.sum() < LEAST_STROKES or areas[is_stroke].sum() < enough:
        return nothing
    border = thin & ~scipy.ndimage.binary_erosion(thin)
    is_step = gray - square_extremes.minimum(gray, 5) >= STEP
    borders, steps = (
        np.bincount(parts[some], minlength=count + 1)
        for some in (border, border & is_step)
    )
    is_stroke &= steps > STEPS * borders
    strokes: np.ndarray = is_stroke[parts] & thin
    if is_stroke.sum() < LEAST_STROKES or strokes.sum() < enough:
        return nothing
    return strokes
