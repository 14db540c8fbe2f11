"""The spectral estimator: the most likely kernel for the power spectrum of an image.

`analyse` looks at an image once: it fits kernel and spectrum for each of three families
of kernels and for the kernels of the usual resamplers (`fit.py`), chooses one of these
(`search.py`), and draws kernels from the posterior. The estimator (`estimator.py`)
returns the kernel of this evidence; `judge` rates the kernels of others with it.

Power does not depend on phase, so an asymmetric kernel is taken for a symmetric one.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import kernelgan_jax.pytrees  # noqa: F401 (makes pytrees of the results)
from kernelgan_jax import checks, kernels, programs
from kernelgan_jax.estimate import (
    Evidence,
)
from kernelgan_jax.estimators.spectral.families import unpack
from kernelgan_jax.estimators.spectral.fit import Fit
from kernelgan_jax.estimators.spectral.jpeg_strength import jpeg_strength
from kernelgan_jax.estimators.spectral.likelihood import (
    FREQUENCY_WEIGHTS,
    JPEG_FREQUENCY_WEIGHTS,
)
from kernelgan_jax.estimators.spectral.noise import (
    channel_noise_std,
    flat_noise_std,
    rounding_noise_std,
)
from kernelgan_jax.estimators.spectral.periodogram import (
    has_blocks,
    mean_window_power,
    to_gray,
)
from kernelgan_jax.estimators.spectral.search import (
    Choice,
    choose,
    fit_families,
    fit_resamplers,
)
from kernelgan_jax.levels import count_steps, to_own_range
from kernelgan_jax.pixels import luma, to_unit
from kernelgan_jax.usable_pixels import find_usable

MIN_POWER_DENSITY = 1e-3
"""Smallest value of a periodogram that is used, gray levels^2: drawn images can have
frequencies without power. It is far below the power of rounding to 8 bits, 1/12."""


def analyse(image: Any, *, scale: int, resamplers: bool = True) -> Evidence:
    """Analyses the power spectrum of an image: kernel, posterior, noise, JPEG.

    Args:
      image: `H x W`, `H x W x 1` or `H x W x 3`: uint8, uint16, or floating point in
        [0, 1]. Both sides at least `WINDOW` pixels. Or what `find_usable` has returned
        for such an image.
      scale: Positive integer; at 1 the kernel is a plain blur.
      resamplers: Whether the kernel may be that of a usual resampler. They are few, so
        little evidence is enough for one of them.

    Returns:
      What the spectrum says about the image; deterministic.

    Raises:
      ValueError: If the scale is out of range; if the image is of a wrong shape or
        type, too small or constant; or if the model does not fit its spectrum at all.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax import analyse
      >>> noise = np.random.default_rng(0).random((48, 64))
      >>> evidence = analyse(noise.cumsum(0).cumsum(1) / noise.sum(), scale=2)
      >>> evidence.samples.shape, evidence.scale, evidence.jpeg
      ((64, 25, 25), 2, False)
    """
    scale = checks.whole("scale", scale, maximum=kernels.MAX_SCALE)
    usable = find_usable(image)
    own, levels = to_own_range(usable.image)
    gray, unusable = to_gray(own), usable.unusable
    jpeg = has_blocks(gray, unusable=unusable)
    strength = jpeg_strength(255 * luma(to_unit(usable.image)), blocks=jpeg)
    steps = count_steps(own)
    flat = max(flat_noise_std(gray, unusable=unusable), rounding_noise_std(own, steps))
    power = mean_window_power(gray, unusable=unusable)
    chosen = _best_kernel(power, flat, jpeg=jpeg, scale=scale, resamplers=resamplers)
    spectrum = jax.tree.map(np.asarray, unpack(chosen.fit.vector).spectrum)
    most = np.float32(2 * np.log(flat))
    spectrum = spectrum._replace(log_noise=np.minimum(spectrum.log_noise, most))
    intermediate: tuple[tuple[int, np.ndarray], ...] = ()
    if scale == 4:
        intermediate = ((2, _as_result(chosen.half_kernel())),)
    return Evidence(
        scale=scale,
        kernel=_as_result(chosen.fit.kernel),
        raw_kernel=np.asarray(chosen.fit.kernel),
        intermediate=intermediate,
        samples=chosen.samples.astype(np.float64),
        spectrum=spectrum,
        misfit=float(chosen.fit.misfit),
        contrast=float(gray.std()) * min(1.0, steps / 255),
        noise_std=levels.span * channel_noise_std(spectrum, own, jpeg=strength),
        jpeg=jpeg,
        converged=bool(chosen.fit.converged),
        family=chosen.name,
        jpeg_strength=strength,
        span=levels.span,
        unusable=unusable,
        left_out=usable.left_out,
    )


def _best_kernel(
    power: np.ndarray,
    flat: float,
    *,
    jpeg: bool,
    scale: int,
    resamplers: bool = True,
) -> Choice:
    """Fits all families and resamplers to a periodogram, with at most `flat` noise."""
    power = np.maximum(power, MIN_POWER_DENSITY)
    weights = JPEG_FREQUENCY_WEIGHTS if jpeg else FREQUENCY_WEIGHTS
    fits, samples, resampled = jax.device_get(
        _compiled(scale)(power.astype(np.float32), weights.astype(np.float32))
    )
    chosen = choose(
        fits, samples, resampled if resamplers else None, flat_noise_std=flat
    )
    if not (np.isfinite(chosen.fit.loss) and np.isfinite(chosen.fit.kernel).all()):
        raise ValueError("image has a spectrum that the model does not fit at all")
    return chosen


@functools.lru_cache(maxsize=16)
def _compiled(scale: int) -> Callable[[Any, Any], tuple[Fit, jax.Array, Fit | None]]:
    """The compiled fits of a scale: families, their samples, resamplers."""

    def program(
        power: jax.Array, weights: jax.Array
    ) -> tuple[Fit, jax.Array, Fit | None]:
        fits, samples = fit_families(power, weights, scale=scale)
        if scale == 1:  # Nothing was resampled.
            return fits, samples, None
        return fits, samples, fit_resamplers(power, weights, scale=scale)

    return programs.jit(program, name=f"spectral x{scale}")


def _as_result(kernel: Any) -> np.ndarray:
    """A fitted kernel as float64, sum 1, without its empty margin."""
    return kernels.trim(kernels.normalise(np.asarray(kernel, np.float64)))
