"""How strongly an image was compressed by JPEG, read from its pixels.

JPEG rounds the cosine transforms of blocks of 8 x 8 pixels to multiples of a step, one
for each frequency. If they still lie near multiples, much nearer than by chance, the
step is found, and with it the quality (Fan and de Queiroz, "Identification of bitmap
compression history", IEEE Trans. Image Processing 12(2), 2003).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft

from kernelgan_jax.jpeg_steps import BLOCK, LUMA_STEPS

STEPS = np.arange(2, 100)
"""Steps that are tried; a step of 1 leaves no trace beside rounding to pixels."""

_STEPS = STEPS.astype(np.float32)

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

GROUP = 16
"""Likelihoods, from 0.1 to 99, that are multiplied before a logarithm is taken."""

CHUNK = 512
"""Values of a frequency that are looked at together."""

MIN_VALUES = 30
MIN_FREQUENCIES = 3
"""Values of a frequency, and frequencies with a step, that are needed."""

UNKNOWN = 0.25
"""Strength that is assumed where blocks are seen, but no steps: quality 75."""

FREQUENCIES = tuple(
    (row, column) for row, column in np.ndindex(5, 5) if 1 <= row + column <= 4
)

_COSINES = scipy.fft.dct(np.eye(BLOCK), axis=0, norm="ortho")
_WAVES = np.stack([np.outer(_COSINES[i], _COSINES[j]).ravel() for i, j in FREQUENCIES])
"""The cosine transform at these frequencies, a row of 64 factors for each."""


class Jpeg(NamedTuple):
    """What is known of the compression of an image."""

    ratio: float
    """Its steps as a multiple of `LUMA_STEPS`."""
    corner: tuple[int, int]
    """Row and column of the first whole block."""

    @property
    def strength(self) -> float:
        """`(100 - quality) / 100` of the standard table that is nearest."""
        # Steps are (200 - 2 quality) % of those at 50, below it 5000 / quality %.
        return self.ratio / 2 if self.ratio <= 1 else 1 - 1 / (2 * self.ratio)


def find_jpeg(gray: np.ndarray) -> Jpeg | None:
    """Finds by which steps an image was compressed.

    Args:
      gray: `H x W` luma, 0 to 255, as decoded: neither scaled nor mapped.

    Returns:
      None if no steps are found, as in an image that was never compressed, or was
      processed afterwards.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.estimators.spectral.jpeg_strength import find_jpeg
      >>> find_jpeg(np.random.default_rng(0).integers(0, 256, (64, 64))) is None
      True
    """
    gray = np.rint(gray)
    corners = [(top, left) for top in range(BLOCK) for left in range(BLOCK)]
    places = np.lib.stride_tricks.sliding_window_view(gray, (BLOCK, BLOCK))
    corner = max(corners, key=lambda at: _first_look(places, at))
    values = _transforms(places, corner, _WAVES, MAX_BLOCKS)
    ratios = []
    for place, own in zip(FREQUENCIES, values, strict=True):
        gains = step_gains(own[None])[0]
        best = int(gains.argmax())
        if gains[best] > MIN_GAIN:
            ratios.append(STEPS[best] / LUMA_STEPS[place])
    if len(ratios) < MIN_FREQUENCIES:
        return None
    return Jpeg(float(np.median(ratios)), corner)


def _first_look(blocks: np.ndarray, corner: tuple[int, int]) -> float:
    """How much a few transforms look as if blocks started at a corner."""
    values = _transforms(blocks, corner, _WAVES[:4], FEW_BLOCKS)
    return float(step_gains(values).max(1).sum())


def _transforms(
    blocks: np.ndarray, corner: tuple[int, int], waves: np.ndarray, most: int
) -> np.ndarray:
    """Cosine transforms, `frequencies x blocks`, of about `most` blocks of a grid that
    starts at a corner; `blocks` are those at all places of the image."""
    grid = blocks[corner[0] :: BLOCK, corner[1] :: BLOCK]
    count = grid.shape[0] * grid.shape[1]
    chosen = np.arange(0, count, max(-(-count // most), 1))
    some = grid[chosen // grid.shape[1], chosen % grid.shape[1]]
    # A matrix product would wake BLAS's threads, which then spin for milliseconds.
    transforms = np.einsum("fp,bp->fb", waves, some.reshape(-1, BLOCK**2))
    return transforms


def step_gains(transforms: np.ndarray) -> np.ndarray:
    """Mean gain in log likelihood over values that lie anywhere, `frequencies x STEPS`.

    Zero is a multiple of all steps: the other values tell. It is 0 with too few values.
    """
    some = [row[row > 1.5] for row in np.abs(transforms).astype(np.float32)]
    counts = np.array([len(values) for values in some])
    sums = np.zeros((len(some), len(STEPS)))
    for first in range(0, counts.max(), CHUNK):  # It stays in the processor's cache.
        sums += _log_likelihoods([values[first : first + CHUNK] for values in some])
    gains = sums / np.maximum(counts, 1)[:, None]
    gains[counts < MIN_VALUES] = 0
    return gains


def _log_likelihoods(some: Sequence[np.ndarray]) -> np.ndarray:
    """Sums of the log likelihoods of the values of each frequency, for each step."""
    groups = -(-max(len(values) for values in some) // GROUP)
    padded = np.zeros((groups * GROUP, len(some), 1), np.float32)
    for number, values in enumerate(some):
        padded[: len(values), number, 0] = values
    density = padded / _STEPS
    density -= np.rint(density)
    density *= density
    density *= -0.5 * (_STEPS / np.float32(ROUNDING)) ** 2
    np.exp(density, out=density)
    density *= _STEPS * np.float32((1 - OUTLIERS) / (ROUNDING * np.sqrt(2 * np.pi)))
    density += np.float32(OUTLIERS)
    for number, values in enumerate(some):
        density[len(values) :, number] = 1
    # A sum of logarithms is the logarithm of a product, which is much cheaper.
    products = np.multiply.reduce(density.reshape(groups, GROUP, *density.shape[1:]), 1)
    sums: np.ndarray = np.log(products, dtype=np.float64).sum(0)
    return sums
