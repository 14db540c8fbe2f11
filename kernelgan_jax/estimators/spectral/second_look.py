"""A second look at the likeliest kernel, by the picture that it makes of its image.

A soft scene looks to the spectrum like a wide kernel, and a sharpened image like a
narrow one. The pictures differ: where a kernel is too wide, edges get halos. So the
image is restored with the likeliest kernel and with others, and a small network that
was trained on photographs (`kernelgan_jax.app.second_look`) scores the kernels by
statistics of the pictures, and by what the spectrum says: the higher the score, the
larger the PSNR that super-resolution is expected to reach with the kernel.

References:
  Liu, Wang, Cho, Finkelstein, Rusinkiewicz, "A no-reference metric for evaluating the
    quality of motion deblurring", SIGGRAPH Asia 2013 (kernels chosen by a learned
    metric of the restored pictures).
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from kernelgan_jax import equivalent_gaussian
from kernelgan_jax.estimators.spectral import given_kernels
from kernelgan_jax.estimators.spectral.best import Best, Fits
from kernelgan_jax.estimators.spectral.camera_shake import NAME as CAMERA_SHAKE
from kernelgan_jax.estimators.spectral.families import (
    FAMILY_NAMES,
    GAUSSIAN,
    unpack,
)
from kernelgan_jax.estimators.spectral.kernel_scores import network
from kernelgan_jax.estimators.spectral.measured import Measured
from kernelgan_jax.estimators.spectral.picture_statistics import statistics
from kernelgan_jax.estimators.spectral.resamplers import RESAMPLERS
from kernelgan_jax.estimators.spectral.restored import (
    BORDER,
    detailed_quarters,
    restore,
)
from kernelgan_jax.parallel import map_images

SCALES = (1, 2, 3, 4)
"""Scales that the network was trained for."""

FACTORS = (0.2, 0.35, 0.5)
"""Covariances of the Gaussians that are tried, relative to the likeliest kernel's;
those that are narrower than the bicubic kernel are left out."""

MARGIN = 2.5
"""By how much the score of another kernel must be higher than the likeliest one's."""

COARSENESS = 0.3
"""Standard deviation of the logarithm of a covariance that the picture decided for:
about half the distance between factors."""

SIDE = 256
"""About the largest side of the pictures, pixels."""

MIN_SIDE = 64
"""Smallest side of a picture without its rim, pixels."""

GOLDEN_RATIO = (5**0.5 - 1) / 2
"""Its multiples are spread evenly over [0, 1)."""

_KINDS = (*FAMILY_NAMES, CAMERA_SHAKE)
_PLACES = 3 + len(FACTORS)


class Look(NamedTuple):
    """The kernels that are compared, the likeliest first."""

    kernels: np.ndarray
    """`K x n x n`, aligned, sum 1."""
    names: tuple[str, ...]
    """What they are, in words."""
    inputs: np.ndarray
    """`P x K x INPUTS` float32: what the network is given of each in each of the parts
    of the image."""


def reconsider(measured: Measured, fits: Fits, likeliest: Best, *, scale: int) -> Best:
    """The likeliest kernel, or another one that makes a clearly better picture.

    Args:
      measured: What is measured of an image.
      fits: What was fitted to it.
      likeliest: The kernel that its spectrum speaks for.
      scale: Positive integer.
    """
    if not np.isfinite(likeliest.samples).all():
        return likeliest
    found = look(measured, fits, likeliest, scale=scale)
    if found is None:
        return likeliest
    scores = network().scores(found.inputs)
    scores[0] += MARGIN
    chosen = int(np.argmax(scores))
    if chosen == 0:
        return likeliest
    taken = _taken(measured, likeliest, found.kernels[chosen], scale=scale)
    return likeliest if taken is None else taken._replace(name=found.names[chosen])


def _taken(
    measured: Measured, likeliest: Best, kernel: np.ndarray, *, scale: int
) -> Best | None:
    """Another kernel in place of the likeliest one; None if no spectrum suits it.

    Its samples are Gaussians of the shapes of the likeliest one's, about its own width.
    """
    fit = given_kernels.fit([kernel], measured.power, measured.observation, scale=scale)
    if not fit.converged[0]:
        return None
    gaussian = functools.partial(equivalent_gaussian.gaussian, len(kernel))
    wider = _log_width(kernel, scale) - _log_width(likeliest.kernel, scale)
    evenly = (0.5 + np.arange(len(likeliest.samples)) * GOLDEN_RATIO) % 1
    factors = np.exp(2 * wider + COARSENESS * ndtri(evenly))
    covariances = equivalent_gaussian.covariances(likeliest.samples, scale=scale)
    covariances *= factors[:, None, None]
    spectrum = unpack(fit.vector[0]).spectrum
    half = equivalent_gaussian.covariance(kernel, scale=scale) / 5
    return likeliest._replace(
        kernel=kernel.astype(np.float32),
        samples=np.stack([gaussian(covariance=c, scale=scale) for c in covariances]),
        # The noise is what the likeliest kernel leaves of the spectrum.
        spectrum=spectrum._replace(log_noise=likeliest.spectrum.log_noise),
        misfit=float(fit.misfit[0]),
        half_kernel=gaussian(covariance=half, scale=2) if scale == 4 else None,
        by_picture=True,
    )


def look(measured: Measured, fits: Fits, likeliest: Best, *, scale: int) -> Look | None:
    """The kernels that are compared; None if the image is not fit for it.

    It is not if a resampler is the likeliest, which has no unknowns that fit a scene,
    at scales that the network was not trained for, if it is small or shows nothing, or
    if no Gaussian could be fitted.

    Args:
      measured: What is measured of an image.
      fits: What was fitted to it.
      likeliest: The kernel that its spectrum speaks for.
      scale: Positive integer.
    """
    if scale not in SCALES or likeliest.name in RESAMPLERS:
        return None
    if not np.isfinite(fits.families.loss[GAUSSIAN]):
        return None
    parts = detailed_quarters(
        measured.own,
        measured.unusable,
        max_side=SIDE // scale,
        min_side=2 * (BORDER + -(-MIN_SIDE // (2 * scale))),
    )
    if not parts:
        return None
    places, kernels, names = zip(*_kernels(likeliest, fits, scale), strict=True)
    rim = BORDER * scale

    def seen(_: int, kernel: np.ndarray, __: Any) -> np.ndarray:
        pictures = (restore(part, kernel, scale=scale) for part in parts)
        return np.stack([statistics(p[rim:-rim, rim:-rim]) for p in pictures])

    pictures = np.stack(map_images(seen, kernels), 1)
    widths = np.array([_log_width(kernel, scale) for kernel in kernels])
    known = np.concatenate(
        [
            np.tile(_of_image(measured, fits, likeliest, scale), (len(kernels), 1)),
            np.stack([widths, widths - widths[0]], 1),
            np.eye(_PLACES)[list(places)],
        ],
        1,
    )
    known = np.broadcast_to(known, (len(parts), *known.shape))
    inputs = np.concatenate([known, pictures, pictures - pictures[:, :1]], 2)
    return Look(np.stack(kernels), names, inputs.astype(np.float32))


def _kernels(
    likeliest: Best, fits: Fits, scale: int
) -> list[tuple[int, np.ndarray, str]]:
    """Places in the network's inputs, kernels, and their names; the likeliest first."""
    own = np.asarray(likeliest.kernel, np.float64)
    found = [(0, own, likeliest.name)]
    gaussian = FAMILY_NAMES[GAUSSIAN]
    if likeliest.name != gaussian:
        found.append((1, np.asarray(fits.families.kernel[GAUSSIAN], float), gaussian))
    covariance = equivalent_gaussian.covariance(own, scale=scale)
    least = 0.0
    if fits.resamplers is not None:
        number = list(RESAMPLERS).index("bicubic")
        bicubic = np.asarray(fits.resamplers.kernel[number], float)
        found.append((2, bicubic, "bicubic"))
        # Who downscales with a narrower kernel?
        least = np.linalg.det(equivalent_gaussian.covariance(bicubic, scale=scale))
    for place, factor in enumerate(FACTORS, 3):
        if np.linalg.det(factor * covariance) >= least:
            kernel = equivalent_gaussian.gaussian(
                len(own), covariance=factor * covariance, scale=scale
            )
            found.append((place, kernel, gaussian))
    return found


def _of_image(
    measured: Measured, fits: Fits, likeliest: Best, scale: int
) -> np.ndarray:
    """What the network is given of the image itself."""
    losses = np.asarray(fits.families.loss, np.float64)
    resampled = np.full(len(RESAMPLERS), losses[GAUSSIAN])
    if fits.resamplers is not None:
        resampled = np.asarray(fits.resamplers.loss, np.float64)
    others = np.concatenate([losses[GAUSSIAN + 1 :], resampled]) - losses[GAUSSIAN]
    noise_std = np.exp(float(likeliest.spectrum.log_noise) / 2)
    return np.array(
        [
            np.log(scale),
            np.log(min(noise_std, measured.flat_noise_std) + 0.3),
            measured.jpeg_strength,
            likeliest.misfit,
            likeliest.spectrum.exponent,
            losses[GAUSSIAN],
            *np.clip(np.nan_to_num(others, nan=1.0), -0.04, 0.04),
            *(kind == likeliest.name for kind in _KINDS),
        ]
    )


def _log_width(kernel: np.ndarray, scale: int) -> float:
    """Logarithm of the width of a kernel, LR pixels: the mean of both axes."""
    covariance = equivalent_gaussian.covariance(kernel, scale=scale)
    area = max(float(np.linalg.det(covariance)), 1e-4)
    return float(np.log(area) / 4 - np.log(scale))
