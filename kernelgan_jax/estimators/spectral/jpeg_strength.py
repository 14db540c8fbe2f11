"""How strongly an image was compressed by JPEG, read from its pixels.

JPEG rounds the cosine transforms of blocks of 8 x 8 pixels to multiples of a step, one
for each frequency. If they still lie near multiples, much nearer than by chance, the
step is found, and with it the quality (Fan and de Queiroz, "Identification of bitmap
compression history", IEEE Trans. Image Processing 12(2), 2003).
"""

import numpy as np
import scipy.fft

BLOCK = 8

STEPS = np.arange(2, 100)
"""Steps that are tried; a step of 1 leaves no trace beside rounding to pixels."""

ROUNDING = 0.4
"""Standard deviation, gray levels, of what rounding to pixels adds to a transform."""

OUTLIERS = 0.1
"""Part of the transforms that lie anywhere, as where pixels are clipped."""

MAX_BLOCKS = 2000
"""Blocks of an image that are looked at."""

FEW_BLOCKS = 150
"""Blocks that are looked at to find where the blocks start."""

MIN_GAIN = 0.3
"""Mean gain in log likelihood of a transform from which its step is believed."""

MIN_VALUES = 30
MIN_FREQUENCIES = 3
"""Values of a frequency, and frequencies with a step, that are needed."""

UNKNOWN = 0.25
"""Strength that is assumed where blocks are seen, but no steps: quality 75."""

STANDARD = np.array(
    [
        [16, 11, 10, 16, 24],
        [12, 12, 14, 19, 26],
        [14, 13, 16, 24, 40],
        [14, 17, 22, 29, 51],
        [18, 22, 37, 56, 68],
    ]
)
"""Steps of luma at quality 50 (ITU-T T.81, table K.1), lowest frequencies."""

FREQUENCIES = tuple(
    (row, column) for row, column in np.ndindex(5, 5) if 1 <= row + column <= 4
)


def jpeg_strength(gray: np.ndarray, *, blocks: bool = False) -> float:
    """Finds how strongly an image was compressed.

    Args:
      gray: `H x W` luma, 0 to 255, as decoded: neither scaled nor mapped.
      blocks: Whether the image shows the blocks of JPEG.

    Returns:
      `(100 - quality) / 100` of the standard table that is nearest. If no steps are
      found, as in an image that was never compressed, or was processed afterwards, it
      is 0, or with blocks `UNKNOWN`.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.estimators.spectral.jpeg_strength import jpeg_strength
      >>> jpeg_strength(np.random.default_rng(0).integers(0, 256, (64, 64)))
      0.0
    """
    gray = np.rint(gray)
    corners = [(top, left) for top in range(BLOCK) for left in range(BLOCK)]
    corner = max(corners, key=lambda at: _first_look(gray, at))
    transforms = _transforms(gray, corner, MAX_BLOCKS)
    ratios = []
    for row, column in FREQUENCIES:
        gains = _gains(transforms, row, column)
        best = int(gains.argmax())
        if gains[best] > MIN_GAIN:
            ratios.append(STEPS[best] / STANDARD[row, column])
    if len(ratios) < MIN_FREQUENCIES:
        return UNKNOWN if blocks else 0.0
    ratio = float(np.median(ratios))
    # Steps are (200 - 2 quality) % of those at 50, and below it 5000 / quality %.
    return ratio / 2 if ratio <= 1 else 1 - 1 / (2 * ratio)


def _first_look(gray: np.ndarray, corner: tuple[int, int]) -> float:
    """How much a few transforms look as if blocks started at a corner."""
    transforms = _transforms(gray, corner, FEW_BLOCKS)
    return sum(_gains(transforms, *at).max() for at in FREQUENCIES[:4])


def _transforms(gray: np.ndarray, corner: tuple[int, int], most: int) -> np.ndarray:
    """Cosine transforms of blocks that start at a corner, `n x 8 x 8`."""
    top, left = corner
    rows, columns = (
        (n - at) // BLOCK for n, at in zip(gray.shape, corner, strict=True)
    )
    inside = gray[top : top + BLOCK * rows, left : left + BLOCK * columns]
    parts = inside.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    blocks = parts.reshape(-1, BLOCK, BLOCK)[:: max(-(-rows * columns // most), 1)]
    transforms: np.ndarray = scipy.fft.dctn(blocks, axes=(1, 2), norm="ortho")
    return transforms


def _gains(transforms: np.ndarray, row: int, column: int) -> np.ndarray:
    """Mean gain in log likelihood, for each of `STEPS`, over values that lie anywhere.

    Zero is a multiple of all steps: the other values tell.
    """
    values = np.abs(transforms[:, row, column])
    values = values[values > 1.5]
    if len(values) < MIN_VALUES:
        return np.zeros(len(STEPS))
    steps = STEPS[:, None]
    distance = values - steps * np.rint(values / steps)
    density = np.exp(-0.5 * (distance / ROUNDING) ** 2)
    density *= steps / (ROUNDING * np.sqrt(2 * np.pi))
    gains: np.ndarray = np.log((1 - OUTLIERS) * density + OUTLIERS).mean(1)
    return gains
