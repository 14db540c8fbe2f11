"""The spectral estimator: the most likely kernel for the power spectrum of an image.

`analyse` looks at an image once: it fits kernel and spectrum for each of three families
of kernels and for the kernels of the usual resamplers (`fit.py`), chooses one of these
(`search.py`), and draws kernels from the posterior. The estimator (`estimator.py`)
returns the kernel of this evidence; `judge` rates the kernels of others with it. Many
images are analysed in `batches.py`, by the same functions.

Power does not depend on phase, so an asymmetric kernel is taken for a symmetric one.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

import kernelgan_jax.pytrees  # noqa: F401 (makes pytrees of the results)
from kernelgan_jax import checks, kernels, programs
from kernelgan_jax.estimate import Evidence
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
    SHAPE,
    has_blocks,
    mean_window_power,
    to_gray,
)
from kernelgan_jax.estimators.spectral.search import (
    choose,
    fit_families,
    fit_resamplers,
)
from kernelgan_jax.levels import Levels, count_steps, to_own_range
from kernelgan_jax.lossy_text import find_lossy_text
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
    measured = measure(image, scale=scale)
    fits = fit_measured(measured, scale=scale)
    return evidence(measured, fits, scale=scale, resamplers=resamplers)


# --- Before and after the fits ---


class Measured(NamedTuple):
    """What is measured of an image before kernels are fitted."""

    unusable: np.ndarray | None
    """Pixels that had no part in it, `H x W` bool."""
    left_out: str
    """What is not part of the picture, in words."""
    text_share: float
    """Share of the pixels that look like text."""
    levels: Levels
    own: np.ndarray
    """The image in its own range."""
    contrast: float
    """Standard deviation, gray levels."""
    flat_noise_std: float
    """Most noise that the image can have, gray levels."""
    power: np.ndarray
    """Periodogram, `SHAPE` float32, gray levels^2, positive."""
    weights: np.ndarray
    """Weights of its frequencies, `SHAPE` float32."""
    jpeg: bool
    jpeg_strength: float


def measure(image: Any, *, scale: int) -> Measured:
    """Measures an image.

    Args:
      image: As `analyse` takes it.
      scale: It is checked.

    Raises:
      ValueError: As `analyse`, but for the last.
    """
    checks.whole("scale", scale, maximum=kernels.MAX_SCALE)
    usable = find_usable(image)
    own, levels = to_own_range(usable.image)
    gray, unusable = to_gray(own), usable.unusable
    jpeg = has_blocks(gray, unusable=unusable)
    if (text := find_lossy_text(own)).any():
        unusable = text if unusable is None else unusable | text
    steps = count_steps(own)
    power = mean_window_power(gray, unusable=unusable)
    weights = JPEG_FREQUENCY_WEIGHTS if jpeg else FREQUENCY_WEIGHTS
    return Measured(
        unusable,
        usable.left_out,
        float(text.mean()),
        levels,
        own,
        contrast=float(gray.std()) * min(1.0, steps / 255),
        flat_noise_std=max(
            flat_noise_std(gray, unusable=unusable), rounding_noise_std(own, steps)
        ),
        power=np.maximum(power, MIN_POWER_DENSITY).astype(np.float32),
        weights=weights.astype(np.float32),
        jpeg=jpeg,
        jpeg_strength=jpeg_strength(255 * luma(to_unit(usable.image)), blocks=jpeg),
    )


Fits = tuple[Fit, Any, Fit | None]
"""The fits of the families, with samples of their posteriors, and of the resamplers."""


def fit_all(power: jax.Array, weights: jax.Array, *, scale: int) -> Fits:
    """Fits all families and resamplers to a periodogram; pure, for one image.

    Args:
      power: `SHAPE`, gray levels^2, positive.
      weights: Weights of the frequencies, `SHAPE`.
      scale: Positive integer.
    """
    fits, samples = fit_families(power, weights, scale=scale)
    if scale == 1:  # Nothing was resampled.
        return fits, samples, None
    return fits, samples, fit_resamplers(power, weights, scale=scale)


def fit_measured(measured: Measured, *, scale: int) -> Fits:
    """What `fit_all` finds for the measurements of an image, as NumPy arrays."""
    fits: Fits = jax.device_get(_compiled(scale)(measured.power, measured.weights))
    return fits


def preload(scale: int) -> None:
    """Loads the program of a scale, if an earlier run has kept it."""
    shape = jax.ShapeDtypeStruct(SHAPE, np.float32)
    _compiled(scale).preload(shape, shape)


@functools.lru_cache(maxsize=16)
def _compiled(scale: int) -> programs.Program[Fits]:
    """`fit_all` of a scale, compiled."""
    return programs.jit(
        functools.partial(fit_all, scale=scale), name=f"spectral x{scale}"
    )


def evidence(
    measured: Measured, fits: Fits, *, scale: int, resamplers: bool = True
) -> Evidence:
    """What the measurements and the fits say about an image.

    Args:
      measured: The measurements.
      fits: What `fit_all` found for them, as NumPy arrays.
      scale: As of the fits.
      resamplers: As `analyse` takes it.

    Raises:
      ValueError: If the model does not fit at all.
    """
    found, samples, resampled = fits
    flat = measured.flat_noise_std
    chosen = choose(
        found, samples, resampled if resamplers else None, flat_noise_std=flat
    )
    if not (np.isfinite(chosen.fit.loss) and np.isfinite(chosen.fit.kernel).all()):
        raise ValueError("image has a spectrum that the model does not fit at all")
    spectrum = jax.tree.map(np.asarray, unpack(chosen.fit.vector).spectrum)
    most = np.float32(2 * np.log(flat))
    spectrum = spectrum._replace(log_noise=np.minimum(spectrum.log_noise, most))
    intermediate: tuple[tuple[int, np.ndarray], ...] = ()
    if scale == 4:
        intermediate = ((2, _as_result(chosen.half_kernel())),)
    strength, span = measured.jpeg_strength, measured.levels.span
    noise_std = channel_noise_std(spectrum, measured.own, jpeg=strength)
    return Evidence(
        scale=scale,
        kernel=_as_result(chosen.fit.kernel),
        raw_kernel=np.asarray(chosen.fit.kernel),
        intermediate=intermediate,
        samples=chosen.samples.astype(np.float64),
        spectrum=spectrum,
        misfit=float(chosen.fit.misfit),
        contrast=measured.contrast,
        noise_std=span * noise_std,
        jpeg=measured.jpeg,
        converged=bool(chosen.fit.converged),
        family=chosen.name,
        jpeg_strength=strength,
        span=span,
        unusable=measured.unusable,
        left_out=measured.left_out,
        text_share=measured.text_share,
    )


def _as_result(kernel: Any) -> np.ndarray:
    """A fitted kernel as float64, sum 1, without its empty margin."""
    return kernels.trim(kernels.normalise(np.asarray(kernel, np.float64)))
