"""Blur that varies over an image: a kernel for each of its parts.

The image is cut into parts of a grid, and each is analysed, with half a part more at
each side. Blur changes smoothly over most images, so the parts' covariances are
smoothed (`smoothing.py`): a part of which little is known follows its neighbours, one
that is known well keeps its own value. Each kernel of the map is the Gaussian of its
smoothed covariance.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kernelgan_jax.estimate import Evidence, KernelMap
from kernelgan_jax.estimators.spectral.batches import analyse_images
from kernelgan_jax.estimators.spectral.confidence import judge
from kernelgan_jax.estimators.spectral.smoothing import (
    covariance_of,
    gaussian_of,
    log_covariance,
    smooth,
)

LEAST_SIDE = 48
"""Smallest side of a part, with what it is analysed with, pixels."""


class Part(NamedTuple):
    """A part of an image: what is analysed, in pixels."""

    rows: slice
    columns: slice
    centre: tuple[float, float]
    """Centre of the part itself, as fractions of the image's longer side."""


def parts(shape: tuple[int, int], grid: tuple[int, int]) -> Iterator[Part]:
    """The parts of an image, row by row.

    Args:
      shape: Height and width of the image.
      grid: Rows and columns of parts.

    Raises:
      ValueError: If the parts are too small.
    """
    least = [LEAST_SIDE * count // (2 if count > 1 else 1) for count in grid]
    if any(side < small for side, small in zip(shape, least, strict=True)):
        raise ValueError(
            f"image is {shape[1]}x{shape[0]} pixels; a map of {grid[0]}x{grid[1]} "
            f"kernels needs at least {least[1]}x{least[0]}; use fewer parts"
        )
    spans = []
    for side, count in zip(shape, grid, strict=True):
        edges = np.linspace(0, side, count + 1)
        more = side / count / 2
        spans.append(
            [
                (
                    slice(round(max(low - more, 0)), round(min(high + more, side))),
                    (low + high) / 2 / max(shape),
                )
                for low, high in zip(edges[:-1], edges[1:], strict=True)
            ]
        )
    for rows, down in spans[0]:
        for columns, right in spans[1]:
            yield Part(rows, columns, (down, right))


def kernel_map(
    image: np.ndarray, evidence: Evidence, *, grid: tuple[int, int]
) -> KernelMap:
    """The map of an image's kernels.

    Args:
      image: `H x W x C` in its own range.
      evidence: That of the whole image.
      grid: Rows and columns of the map.

    Raises:
      ValueError: If the parts are too small, or none could be analysed.
    """
    scale, unusable = evidence.scale, evidence.unusable

    def inside(part: Part) -> np.ndarray | None:
        place = part.rows, part.columns
        is_hidden = unusable is not None and unusable[place].mean() > 0.5
        return None if is_hidden else image[place]

    cut = list(parts((image.shape[0], image.shape[1]), grid))
    # So few pixels do not tell rare kernels from others.
    found = analyse_images(list(map(inside, cut)), scale=scale, rare=False)
    # Where it is None there is no structure.
    seen = {i: each for i, each in enumerate(found) if each is not None}
    if not seen:
        raise ValueError("image has no part with structure; leave out the kernel map")
    logarithms = (
        log_covariance(each.kernel, each.samples, scale=scale) for each in seen.values()
    )
    values, variances = (np.array(x) for x in zip(*logarithms, strict=True))
    places = np.array([part.centre for part in cut])
    smoothed, uncertain = smooth(values, variances, places[list(seen)], places)
    rows, columns = grid
    levels = ["none" if e is None else judge(e.kernel, e).level for e in found]
    covariances = [covariance_of(value) for value in smoothed]
    # Half of a variance's relative deviation is that of its width.
    width_std = np.sqrt(uncertain.mean(1)) / 2
    made = np.stack([gaussian_of(each, scale) for each in covariances])
    return KernelMap(
        made.reshape(rows, columns, *made.shape[1:]),
        scale,
        width_std.reshape(rows, columns),
        tuple(tuple(levels[i * columns : (i + 1) * columns]) for i in range(rows)),
    )
