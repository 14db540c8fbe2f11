"""How well given kernels explain an image: the best spectrum for each of them.

The resamplers are such kernels (`resamplers.py`), as are those that were found in all
windows of an image and are tried on some of them.

Throughout, `power` is the periodogram of an image, `SHAPE`, gray levels^2, positive,
`observation` how the image shows its power, and `scale` a positive integer.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from kernelgan_jax import programs
from kernelgan_jax.estimators.spectral.fit import Fit
from kernelgan_jax.estimators.spectral.observation import UNCOMPRESSED, Observation
from kernelgan_jax.estimators.spectral.periodogram import SHAPE
from kernelgan_jax.estimators.spectral.resamplers import resampler_kernels
from kernelgan_jax.estimators.spectral.search import fit_spectra


def fit_resamplers(
    power: np.ndarray, observation: Observation, *, scale: int
) -> Fit | None:
    """The fits of all resamplers, as NumPy arrays; None at scale 1, which has none."""
    if scale == 1:  # Nothing was resampled.
        return None
    return fit(list(_resamplers(scale)), power, observation, scale=scale)


def fit(
    several: Sequence[np.ndarray],
    power: np.ndarray,
    observation: Observation,
    *,
    scale: int,
) -> Fit:
    """The best spectra for some kernels, by the resamplers' program.

    Args:
      several: At least one kernel, each `n x n` as the fits' kernels
        (`fit.Fit.kernel`), aligned, sum 1; done in groups of the resamplers' number.

    Returns:
      The fits as NumPy arrays, with a leading axis for the kernels.
    """
    size = len(_resamplers(scale))
    found = []
    for start in range(0, len(several), size):
        group = several[start : start + size]
        filled = np.stack(group)[np.arange(size) % len(group)].astype(np.float32)
        fits = jax.device_get(_spectra(power, observation, filled, scale=scale))
        found.append(jax.tree.map(operator.itemgetter(slice(len(group))), fits))
    joined: Fit = jax.tree.map(lambda *parts: np.concatenate(parts), *found)
    return joined


def losses(several: Sequence[np.ndarray], *spectra: Any, scale: int) -> np.ndarray:
    """The losses of some kernels with the spectra that suit them best; see `fit`.

    Returns:
      A float64 for each; not finite where a fit failed.
    """
    return np.asarray(fit(several, *spectra, scale=scale).loss, np.float64)


def preload(scale: int, *, compiling: bool = False) -> None:
    """Loads the program; arguments as of `analysis.preload`."""
    power = jax.ShapeDtypeStruct(SHAPE, np.float32)
    known = power, UNCOMPRESSED, _resamplers(scale)
    _spectra.preload(*known, compiling=compiling, scale=scale)


_spectra = programs.jit(fit_spectra, name="spectra")


@functools.lru_cache(maxsize=16)
def _resamplers(scale: int) -> np.ndarray:
    """The kernels of the resamplers, as programs take them."""
    return resampler_kernels(scale).astype(np.float32)
