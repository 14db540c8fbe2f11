"""Blur that varies over an image: a kernel for each of its parts.

The image is cut into parts of a grid, and each is analysed, with half a part more at
each side. What its spectrum says of the kernel's covariance is uncertain by as much as
its posterior. Blur changes smoothly over most images, so the logarithms of the
covariances (matrices, Arsigny et al.) are smoothed by a Gaussian process on the parts'
centres: a part of which little is known follows its neighbours, one that is known well
keeps its own value. Each kernel of the map is the Gaussian of its smoothed covariance.

References:
  Arsigny, Fillard, Pennec, Ayache, "Log-Euclidean metrics for fast and simple calculus
    on diffusion tensors", Magnetic Resonance in Medicine 2006.
  Rasmussen, Williams, "Gaussian Processes for Machine Learning", 2006, section 2.2.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kernelgan_jax import blur_kernels, equivalent_gaussian, kernels
from kernelgan_jax.estimate import Confidence, Evidence, KernelMap

LEAST_SIDE = 48
"""Smallest side of a part, with what it is analysed with, pixels."""

CHANGE = 0.8
"""Standard deviation of the logarithm of the variances over an image, away from their
mean."""

DISTANCE = 0.5
"""Distance over which the blur changes, of the image's longer side."""

OWN_ERROR = 0.3
"""Standard deviation of the logarithm of the variances that a part has beside its
posterior: its own content, of which its spectrum tells nothing."""

COMMON = 2.0
"""Standard deviation of the logarithm of the variances of all parts together: next to
nothing is known of it before."""

FREEDOM = 3.0
"""Degrees of freedom of Student's distribution, which the errors of parts have: one
that is far off counts for little."""

ROUNDS = 5
"""Of weights and fits."""

_LEAST_VARIANCE = 0.02
"""Smallest variance that is told from none, pixels^2."""


class Part(NamedTuple):
    """A part of an image: what is analysed, in pixels."""

    rows: slice
    columns: slice
    centre: tuple[float, float]
    """Of the part itself, as fractions of the image's longer side."""


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


class Seen(NamedTuple):
    """What the spectrum of a part says."""

    evidence: Evidence
    confidence: Confidence


def kernel_map(
    seen: list[Seen | None],
    shape: tuple[int, int],
    *,
    grid: tuple[int, int],
    scale: int,
) -> KernelMap:
    """The map of an image's kernels.

    Args:
      seen: What each of `parts(shape, grid)` says, in order; None where a part could
        not be analysed, as one without structure.
      shape: Height and width of the image.
      grid: Rows and columns of the map.
      scale: Scale of the kernels.

    Raises:
      ValueError: If no part could be analysed.
    """
    places = np.array([part.centre for part in parts(shape, grid)])
    known = [i for i, each in enumerate(seen) if each is not None]
    if not known:
        raise ValueError("image has no part with structure; leave out the kernel map")
    found = [_log_covariance(each, scale) for each in seen if each is not None]
    values, variances = (np.array(x) for x in zip(*found, strict=True))
    smoothed, uncertain = _smooth(values, variances, places[known], places)
    rows, columns = grid
    levels = ["none" if each is None else each.confidence.level for each in seen]
    covariances = [_expm(_matrix(value)) for value in smoothed]
    # Half of a variance's relative deviation is that of its width.
    width_std = np.sqrt(uncertain.mean(1)) / 2
    made = np.stack([_gaussian(each, scale) for each in covariances])
    return KernelMap(
        made.reshape(rows, columns, *made.shape[1:]),
        scale,
        width_std.reshape(rows, columns),
        tuple(tuple(levels[i * columns : (i + 1) * columns]) for i in range(rows)),
    )


def _log_covariance(seen: Seen, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of the covariance of a part's kernel, as 3 numbers, and the variances
    of these."""
    evidence, confidence = seen

    def log(kernel: np.ndarray) -> np.ndarray:
        matrix = _logm(equivalent_gaussian.covariance(kernel, scale=scale))
        return np.array([matrix[0, 0], matrix[1, 1], np.sqrt(2) * matrix[0, 1]])

    value = log(evidence.kernel)
    samples = [log(kernel) for kernel in confidence.samples]
    return value, np.mean((np.array(samples) - value) ** 2, 0) + OWN_ERROR**2


def _matrix(value: np.ndarray) -> np.ndarray:
    return np.array(
        [[value[0], value[2] / np.sqrt(2)], [value[2] / np.sqrt(2), value[1]]]
    )


def _logm(covariance: np.ndarray) -> np.ndarray:
    values, axes = np.linalg.eigh(covariance)
    logs: np.ndarray = (axes * np.log(np.maximum(values, _LEAST_VARIANCE))) @ axes.T
    return logs


def _expm(matrix: np.ndarray) -> np.ndarray:
    values, axes = np.linalg.eigh(matrix)
    covariance: np.ndarray = (axes * np.exp(values)) @ axes.T
    return covariance


def _smooth(
    values: np.ndarray, variances: np.ndarray, at: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a Gaussian process, for each column of values.

    Args:
      values: `N x 3`.
      variances: Variances of their errors, `N x 3`.
      at: Where they were seen, `N x 2`.
      places: Where they are wanted, `M x 2`.

    Returns:
      Means and variances, `M x 3` each.
    """

    def prior(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        square = ((a[:, None] - b[None, :]) ** 2).sum(-1)
        same: np.ndarray = CHANGE**2 * np.exp(-square / (2 * DISTANCE**2))
        return same

    own, cross = prior(at, at), prior(places, at)
    means, errors = [], []
    for value, variance in zip(values.T, variances.T, strict=True):
        level = float(np.median(value))
        noise = variance
        for _ in range(ROUNDS):
            gram = own + COMMON**2 + np.diag(noise)
            solved = np.linalg.solve(gram, value - level)
            # What a part is off by: the weights of Student's distribution.
            off = noise * solved
            noise = variance * (FREEDOM + off**2 / variance) / (FREEDOM + 1)
        gain = np.linalg.solve(gram, cross.T + COMMON**2).T
        means.append(level + gain @ (value - level))
        left = CHANGE**2 + COMMON**2 - (gain * (cross + COMMON**2)).sum(1)
        errors.append(np.maximum(left, 0))
    return np.stack(means, 1), np.stack(errors, 1)


def _gaussian(covariance: np.ndarray, scale: int) -> np.ndarray:
    """The Gaussian of a covariance (rows first)."""
    values, axes = np.linalg.eigh(covariance)
    # The direction of the second axis, which is the longer one, as seen in a picture.
    angle = float(np.arctan2(-axes[0, 1], axes[1, 1]))
    made = blur_kernels.gaussian(
        kernels.frame_size(scale),
        variances=(float(values[1]), float(values[0])),
        angle=angle,
        scale=scale,
    )
    return made
