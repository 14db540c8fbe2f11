"""A second look at the likeliest kernel, by the picture that it makes of its image.

A soft scene looks to the spectrum like a wide kernel, and a sharpened image like a
narrow one. The pictures differ: where a kernel is too wide, edges get halos. So the
image is restored with the likeliest kernel and with others (`compared_kernels.py`),
and a small network that was trained on photographs (`kernelgan_jax.app.second_look`)
scores the kernels by statistics of the pictures, and by what the spectrum says: by the
PSNR that super-resolution is expected to reach with them.

Throughout, `measured` is what is measured of an image, `fits` what was fitted to it,
`likeliest` the kernel that its spectrum speaks for, and `scale` a positive integer.

References:
  Liu, Wang, Cho, Finkelstein, Rusinkiewicz, "A no-reference metric for evaluating the
    quality of motion deblurring", SIGGRAPH Asia 2013 (kernels chosen by a learned
    metric of the restored pictures).
"""

from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax import equivalent_gaussian
from kernelgan_jax.estimators.spectral import compared_kernels, given_kernels
from kernelgan_jax.estimators.spectral.best import Best, Fits
from kernelgan_jax.estimators.spectral.camera_shake import NAME as CAMERA_SHAKE
from kernelgan_jax.estimators.spectral.compared_kernels import PLACES, Compared
from kernelgan_jax.estimators.spectral.families import (
    FAMILY_NAMES,
    GAUSSIAN,
    unpack,
)
from kernelgan_jax.estimators.spectral.fit import Fit
from kernelgan_jax.estimators.spectral.kernel_scores import network
from kernelgan_jax.estimators.spectral.likelihood import USUAL_EXPONENT
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

MARGIN = 2.0
"""By how much the expected PSNR of another kernel must be higher than the likeliest
one's, dB."""

SIDE = 256
"""About the largest side of the pictures, pixels."""

MIN_SIDE = 64
"""Smallest side of a picture without its rim, pixels."""

_KINDS = (*FAMILY_NAMES, CAMERA_SHAKE)

_RESAMPLERS = 3
"""Number of the resamplers whose losses the networks are given: the first ones."""

MOST_RATIO = 4.0
"""Largest logarithm of the ratio of two losses that counts."""


class Look(NamedTuple):
    """The kernels that are compared, the likeliest first."""

    compared: list[Compared]
    """The kernels."""
    fits: Fit
    """The spectra that suit them best, with a leading axis."""
    inputs: np.ndarray
    """`P x K x INPUTS` float32: what the network is given of each in each of the parts
    of the image."""


def reconsider(measured: Measured, fits: Fits, likeliest: Best, *, scale: int) -> Best:
    """The likeliest kernel, or another one that makes a clearly better picture."""
    if not np.isfinite(likeliest.samples).all():
        return likeliest
    found = look(measured, fits, likeliest, scale=scale)
    if found is None:
        return likeliest
    scores = network().scores(found.inputs)
    scores[0] += MARGIN
    number = int(np.argmax(scores))
    if number == 0 or not found.fits.converged[number]:
        return likeliest
    chosen = found.compared[number]
    spectrum = unpack(found.fits.vector[number]).spectrum
    return likeliest._replace(
        kernel=chosen.kernel.astype(np.float32),
        samples=compared_kernels.samples(chosen, likeliest, scale=scale),
        # The noise is what the likeliest kernel leaves of the spectrum.
        spectrum=spectrum._replace(log_noise=likeliest.spectrum.log_noise),
        misfit=float(found.fits.misfit[number]),
        half_kernel=compared_kernels.half_kernel(chosen) if scale == 4 else None,
        name=chosen.name,
        by_picture=True,
    )


def look(measured: Measured, fits: Fits, likeliest: Best, *, scale: int) -> Look | None:
    """The kernels that are compared; None if the image is not fit for it.

    It is not if a resampler is the likeliest, which has no unknowns that fit a scene,
    at scales that the network was not trained for, if it is small or shows nothing, or
    if no Gaussian could be fitted.
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
    parts = [part for part in parts if _share(part[1]) <= 0.5]
    # What is drawn shows beyond its own pixels, too.
    parts = [part for part in parts if not _share(part[1])] or parts
    if not parts:
        return None
    compared = list(compared_kernels.compared(likeliest, fits, scale=scale))
    kernels = [each.kernel for each in compared]
    spectra = measured.power, measured.observation
    suited = given_kernels.fit(kernels, *spectra, scale=scale)

    def seen(_: int, kernel: np.ndarray, __: Any) -> np.ndarray:
        return np.stack([_seen(*part, kernel, scale=scale) for part in parts])

    pictures = np.stack(map_images(seen, kernels), 1)
    widths = np.array([_log_width(kernel, scale) for kernel in kernels])
    losses = np.asarray(suited.loss, np.float64)
    ratios = np.nan_to_num(np.log(losses / losses[0]), nan=MOST_RATIO)
    exponents = np.array([unpack(vector).spectrum.exponent for vector in suited.vector])
    known = np.concatenate(
        [
            np.tile(_of_image(measured, fits, likeliest, scale), (len(kernels), 1)),
            np.stack([widths, widths - widths[0]], 1),
            np.clip(ratios, -MOST_RATIO, MOST_RATIO)[:, None],
            np.nan_to_num(exponents, nan=USUAL_EXPONENT)[:, None],
            np.eye(PLACES)[[each.place for each in compared]],
        ],
        1,
    )
    known = np.broadcast_to(known, (len(parts), *known.shape))
    inputs = np.concatenate([known, pictures, pictures - pictures[:, :1]], 2)
    return Look(compared, suited, inputs.astype(np.float32))


def _share(unusable: np.ndarray | None) -> float:
    """How much of a part is no picture, apart from its rim: 0 to 1."""
    if unusable is None:
        return 0.0
    return float(unusable[BORDER:-BORDER, BORDER:-BORDER].mean())


def _seen(
    gray: np.ndarray, unusable: np.ndarray | None, kernel: np.ndarray, *, scale: int
) -> np.ndarray:
    """Statistics of the picture that a kernel makes of a part of an image."""
    picture = restore(gray, kernel, scale=scale)
    if unusable is not None:  # What stands in for it is smooth, as soft scenes are.
        picture[unusable.repeat(scale, 0).repeat(scale, 1)] = np.nan
    rim = BORDER * scale
    return statistics(picture[rim:-rim, rim:-rim])


def _of_image(
    measured: Measured, fits: Fits, likeliest: Best, scale: int
) -> np.ndarray:
    """What the network is given of the image itself."""
    losses = np.asarray(fits.families.loss, np.float64)
    resampled = np.full(_RESAMPLERS, losses[GAUSSIAN])
    if fits.resamplers is not None:
        resampled = np.asarray(fits.resamplers.loss, np.float64)[:_RESAMPLERS]
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
