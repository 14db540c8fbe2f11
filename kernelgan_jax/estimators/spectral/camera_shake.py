"""Camera shake: the path that explains both an image's spectrum and its picture.

The families of `families.py` are symmetric; the path of a camera that shakes is not.
Where no path (`paths.py`) explains the spectrum better, the search ends soon.

Power does not depend on phase: a path and its mirror image are equally likely, and a
path may also fit what is peculiar to the scene. The picture decides (`restored.py`).
With the true path it has sparser gradients than with the mirrored one; with a path that
only fits the scene there is hardly a difference, or the parts of the image do not
agree on it (`agreement.py`).

Throughout, `power` is the periodogram of an image, `SHAPE`, gray levels^2, positive,
`observation` how the image shows its power, and `scale` a positive integer.

References:
  Fergus, Singh, Hertzmann, Roweis, Freeman, "Removing camera shake from a single
    photograph", SIGGRAPH 2006 (the model of the picture: sparse gradients).
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from kernelgan_jax import programs
from kernelgan_jax.estimators.spectral import paths
from kernelgan_jax.estimators.spectral.agreement import MIN_PART_SIDE
from kernelgan_jax.estimators.spectral.observation import UNCOMPRESSED, Observation
from kernelgan_jax.estimators.spectral.paths import Path
from kernelgan_jax.estimators.spectral.periodogram import SHAPE

NAME = "camera shake"
"""Name of this family of kernels."""

ROUNDS, HOPPED = 3, 4
"""How often the neighbourhood of the best paths is searched, and of how many."""

MIN_GAIN = 0.002
"""By how much the loss of a path must be below that of the families."""


class Limits(NamedTuple):
    """What a path must keep to be that of a camera."""

    agreed: float
    """How much better it must explain the parts of the image on average
    (`agreement.mean_gain`)."""
    ratio: float
    """How large its loss may be, relative to the families'."""
    contrast: float
    """By how much its picture must be sparser than that of its mirror image, as a
    logarithm, for each unit of the two kernels' relative difference."""
    excess: float
    """By how much its picture may be less sparse than with the families' kernel, as a
    logarithm."""


USUAL, WELL_AGREED = Limits(0.1, 0.85, 0.016, 0.01), Limits(0.2, 1.0, 0.01, 0.02)
"""A path keeps one of these, the second where the parts of the image agree well."""

MIN_DIFFERENCE = 0.01
"""Relative difference of mirror images below which a kernel has no direction."""

MIN_SIDE = 2 * MIN_PART_SIDE
"""Smallest side of an image whose picture and parts can decide, LR pixels."""

MAX_SIDE = 768
"""About the largest side of a picture that decides, HR pixels."""

CANDIDATES = 4
"""Minima that the picture decides between."""


def first_search(
    power: np.ndarray, observation: Observation, *, scale: int
) -> tuple[np.ndarray, np.ndarray]:
    """What the search from `paths.starts` finds, by the program that later ones use.

    Returns:
      As `paths.search`.
    """
    return _searched(_starts(power, scale=scale), power, observation, scale)


def preload(scale: int, *, compiling: bool = False) -> None:
    """Loads the programs of `first_search`; arguments as of `analysis.preload`."""
    power = jax.ShapeDtypeStruct(SHAPE, np.float32)
    first = _starts.preload(power, compiling=compiling, scale=scale)
    if first is not None:
        spectra = power, UNCOMPRESSED
        _search.preload(first, *spectra, compiling=compiling, scale=scale)


def candidates(
    first: tuple[np.ndarray, np.ndarray],
    power: np.ndarray,
    observation: Observation,
    *,
    usual_loss: float,
    scale: int,
) -> list[tuple[np.ndarray, float]]:
    """The paths that explain a spectrum better than the families do.

    Args:
      first: What `first_search` has found.
      usual_loss: Loss of the families' best fit.

    Returns:
      The unknowns and losses of up to `CANDIDATES` paths.
    """
    ends, losses = first
    if not (losses < usual_loss).any():
        return []
    for seed in range(ROUNDS):
        lowest = ends[np.argsort(losses)[:HOPPED]]  # NaN comes last
        near = paths.near(lowest, seed=seed, scale=scale)
        found = _searched(near, power, observation, scale)
        ends = np.concatenate([ends, found[0]])
        losses = np.concatenate([losses, found[1]])
    last = ends[np.argsort(losses)[: paths.STARTS]]
    ends, losses = _searched(last, power, observation, scale)
    return list(_different(ends, losses, usual_loss - MIN_GAIN))


def _searched(
    starts: Any, power: np.ndarray, observation: Observation, scale: int
) -> tuple[np.ndarray, np.ndarray]:
    """What `paths.search` finds, as NumPy arrays."""
    found = _search(starts, power, observation, scale=scale)
    ends, losses = jax.device_get(found)
    return ends, losses


def _different(
    ends: np.ndarray, losses: np.ndarray, most: float
) -> Iterator[tuple[np.ndarray, float]]:
    """The lowest minima, each once, up to `most` and half of the lowest one's gain."""
    limit = min(most, (np.nanmin(losses) + most) / 2)
    taken: list[float] = []
    for index in np.argsort(losses):
        loss = float(losses[index])
        if not loss <= limit or len(taken) == CANDIDATES:
            return
        if all(abs(loss - other) > 1e-4 for other in taken):
            taken.append(loss)
            yield ends[index], loss


class Seen(NamedTuple):
    """A path, and the picture that it makes of an image."""

    vector: np.ndarray
    """Its unknowns, in the direction that makes the sparser picture."""
    kernel: np.ndarray
    """Its kernel, `n x n`."""
    contrast: float
    """As `Limits.contrast`."""
    excess: float
    """As `Limits.excess`."""


def seen(
    vector: np.ndarray,
    sparsity: Callable[[np.ndarray], float],
    *,
    usual_sparsity: float,
    scale: int,
) -> Seen:
    """Looks at the pictures that a path and its mirror image make.

    Args:
      vector: Unknowns of a path.
      sparsity: `log_sparsity` of an image with a kernel.
      usual_sparsity: The same with the families' kernel.
    """
    both = [vector, paths.mirrored(vector)]
    one, other = (np.asarray(_kernel_of(v, scale=scale), np.float64) for v in both)
    values = [sparsity(kernel) for kernel in (one, other)]
    difference = np.sqrt(((one - other) ** 2).sum() / (one**2).sum())
    apart = abs(values[0] - values[1])
    contrast = apart / difference if difference >= MIN_DIFFERENCE else 0.0
    excess = min(values) - usual_sparsity
    sparser = int(np.argmin(values))
    return Seen(both[sparser], (one, other)[sparser], contrast, excess)


def is_shake(picture: Seen, *, ratio: float, agreed: float = math.inf) -> bool:
    """Whether a path is that of a camera, and not what is peculiar to a scene.

    Args:
      picture: The picture that it makes.
      ratio: Its loss relative to the families'.
      agreed: `agreement.mean_gain` of its kernel over the families'; by default, the
        best that it could be.

    Example:
      >>> picture = Seen(np.zeros(16), np.eye(25), contrast=0.012, excess=0.015)
      >>> is_shake(picture, ratio=0.7, agreed=0.15)
      False
      >>> is_shake(picture, ratio=0.7, agreed=0.25)
      True
    """
    return any(
        agreed >= limits.agreed
        and ratio <= limits.ratio
        and picture.contrast >= limits.contrast
        and picture.excess < limits.excess
        for limits in (USUAL, WELL_AGREED)
    )


def path(
    vector: np.ndarray, power: np.ndarray, observation: Observation, *, scale: int
) -> Path:
    """The path of unknowns, with its posterior, as NumPy arrays."""
    found = _describe(vector, power, observation, scale=scale)
    return Path(*jax.device_get(found))


_starts = programs.jit(paths.starts, name="starts for camera shake")
_search = programs.jit(paths.search, name="search for camera shake")
_kernel_of = programs.jit(
    lambda vector, scale: paths.kernel_of(scale)(vector), name="path"
)
_describe = programs.jit(paths.describe, name="posterior of camera shake")
