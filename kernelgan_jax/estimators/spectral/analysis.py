"""The spectral estimator: the most likely kernel for the power spectrum of an image.

`analyse` looks at an image once: it fits kernel and spectrum for each of three families
of kernels, for the kernels of the usual resamplers (`fit.py`) and for the paths of a
camera that shakes (`paths.py`), draws kernels from their posteriors, and takes the
kernel that explains the image best (`best.py`), unless the picture that another one
makes is clearly better (`second_look.py`). The estimator (`estimator.py`) returns
the kernel of this evidence; `judge` rates the kernels of others with it. Many images
are analysed in `batches.py`, by the same functions.
"""

from typing import Any

import jax
import numpy as np

from kernelgan_jax import checks, kernels, programs
from kernelgan_jax.estimate import Evidence
from kernelgan_jax.estimators.spectral import camera_shake, given_kernels, second_look
from kernelgan_jax.estimators.spectral.best import Fits, best
from kernelgan_jax.estimators.spectral.drawn_steps import steps_were_drawn
from kernelgan_jax.estimators.spectral.measured import Measured, measure
from kernelgan_jax.estimators.spectral.noise import channel_noise_std
from kernelgan_jax.estimators.spectral.observation import UNCOMPRESSED
from kernelgan_jax.estimators.spectral.periodogram import SHAPE
from kernelgan_jax.estimators.spectral.search import fit_families
from kernelgan_jax.parallel import side_by_side


def analyse(image: Any, *, scale: int, rare: bool = True) -> Evidence:
    """Analyses the power spectrum of an image: kernel, posterior, noise, JPEG.

    Args:
      image: `H x W`, `H x W x 1` or `H x W x 3`: uint8, uint16, or floating point in
        [0, 1]. Both sides at least `WINDOW` pixels. Or what `find_usable` has returned
        for such an image.
      scale: Positive integer; at 1 the kernel is a plain blur.
      rare: Whether the kernel may be one that no family holds: that of a usual
        resampler, for which little evidence is enough, or the path of a camera that
        shakes, which needs a picture of some size; and whether the picture has a say.

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
    scale = checks.scale(scale, maximum=kernels.MAX_SCALE)
    measured = measure(image)
    measured, fits = fit_measured(measured, scale=scale, rare=rare)
    return evidence(measured, fits, scale=scale)


def fit_measured(
    measured: Measured, *, scale: int, rare: bool = True
) -> tuple[Measured, Fits]:
    """Fits the measurements of an image, with unblurred steps if they belong to it.

    Returns:
      The measurements that count, and their fits, as NumPy arrays.
    """

    def fitted(some: Measured) -> Fits:
        spectra = some.power, some.observation

        def usual() -> Any:
            return jax.device_get(_families(*spectra, scale=scale))

        def unusual() -> Any:
            found = camera_shake.first_search(*spectra, scale=scale)
            return given_kernels.fit_resamplers(*spectra, scale=scale), found

        if not rare:
            fits, samples = usual()
            return Fits(fits, samples)
        (fits, samples), (resampled, found) = side_by_side(usual, unusual)
        return Fits(fits, samples, resampled, found)

    fits = fitted(measured)
    other = measured.with_steps
    if other is None:
        return measured, fits
    more = fitted(other)
    if steps_were_drawn(measured, fits, more, scale=scale):
        return measured, fits
    return other, more


def preload(scale: int, *, compiling: bool = False) -> None:
    """Loads the programs of a scale, if an earlier run has kept them.

    Args:
      compiling: Whether the others are compiled.
    """
    power = jax.ShapeDtypeStruct(SHAPE, np.float32)

    def unusual() -> None:
        camera_shake.preload(scale, compiling=compiling)
        given_kernels.preload(scale, compiling=compiling)

    def usual() -> None:
        _families.preload(power, UNCOMPRESSED, compiling=compiling, scale=scale)

    side_by_side(usual, unusual)


_families = programs.jit(fit_families, name="spectral")


def evidence(measured: Measured, fits: Fits, *, scale: int) -> Evidence:
    """What the measurements and the fits say about an image.

    Raises:
      ValueError: If the model does not fit at all.
    """
    chosen = best(measured, fits, scale=scale)
    if fits.paths is not None:
        chosen = second_look.reconsider(measured, fits, chosen, scale=scale)
    spectrum = chosen.spectrum
    most = np.float32(2 * np.log(measured.flat_noise_std))
    spectrum = spectrum._replace(log_noise=np.minimum(spectrum.log_noise, most))
    intermediate: tuple[tuple[int, np.ndarray], ...] = ()
    if scale == 4:
        intermediate = ((2, _as_result(chosen.half_kernel)),)
    strength, span = measured.jpeg_strength, measured.levels.span
    noise_std = channel_noise_std(spectrum, measured.own, jpeg=strength)
    return Evidence(
        scale=scale,
        kernel=_as_result(chosen.kernel),
        raw_kernel=np.asarray(chosen.kernel),
        intermediate=intermediate,
        samples=chosen.samples.astype(np.float64),
        spectrum=spectrum,
        misfit=float(chosen.misfit),
        contrast=measured.contrast,
        noise_std=span * noise_std,
        jpeg=measured.jpeg,
        converged=chosen.converged,
        family=chosen.name,
        jpeg_strength=strength,
        span=span,
        unusable=measured.unusable,
        left_out=measured.left_out,
        text_share=measured.text_share,
        by_picture=chosen.by_picture,
        rivalled=chosen.rivalled,
    )


def _as_result(kernel: Any) -> np.ndarray:
    """A fitted kernel as float64, sum 1, without its empty margin."""
    return kernels.trim(kernels.normalise(np.asarray(kernel, np.float64)))
