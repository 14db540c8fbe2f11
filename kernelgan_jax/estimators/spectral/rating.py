"""The level of the confidence in a kernel, and its reason: the first rule that fits."""

from typing import NamedTuple

import numpy as np

from kernelgan_jax import equivalent_gaussian, kernels
from kernelgan_jax.confidence_levels import Level
from kernelgan_jax.estimate import Evidence

MIN_CONTRAST = 2.0
"""Standard deviation of an image that is not almost flat, gray levels."""

MAX_MISFIT = 0.55
"""Misfit up to which a kernel explains a spectrum (`Evidence.misfit`)."""

CLOSE_MISFIT = 0.4
"""Misfit up to which it explains it closely. Those of photographs with the level high
were up to 0.35, of a page of text with a picture 0.43."""

MAX_PHOTOGRAPH_MISFIT = 1.2
"""Misfit beyond which a spectrum is unlike photographs'. Motions of 15 to 21 pixels at
x2 had misfits of 0.3 to 0.9, drawings and text of 0.5 to 9."""

MAX_NOISE = 2.5
"""Standard deviation of noise up to which an image is not noisy, gray levels."""

LOW_ERROR = 0.45
"""The level is low if the expected covariance error exceeds this."""

MEDIUM_ERROR = 0.22
"""The level is at most medium if the expected covariance error exceeds this."""

MEDIUM_SR_LOSS = 0.25
"""The level is at most medium from this expected loss of super-resolution on, dB."""

NARROW = 0.6
"""Width below which kernels are narrower than a pixel, pixels; halfway between two
pixels it is at least 0.5."""


LEAST_NORM = 0.03
"""Norm of a covariance up to which a kernel has next to no width, pixels^2."""


class Expected(NamedTuple):
    """Expected errors of a kernel, as in `Confidence`."""

    kernel_psnr: float
    covariance_error: float
    sr_loss: float


def relative_errors(own: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Relative errors of a covariance if each of many is the true one.

    That is `metrics.relative_error`, but kernels of next to no width are all the same,
    as those of nearest-neighbour downscaling.
    """
    norms = np.maximum(np.linalg.norm(covariances, axis=(1, 2)), LEAST_NORM)
    found: np.ndarray = np.linalg.norm(own - covariances, axis=(1, 2)) / norms
    return found


def level_of(
    covariance: np.ndarray, evidence: Evidence, expected: Expected
) -> tuple[Level, str]:
    """The level of a kernel of a covariance (`equivalent_gaussian`), and its reason."""
    spectral = equivalent_gaussian.covariance(evidence.kernel, scale=evidence.scale)
    distance = relative_errors(covariance, spectral[None])[0]
    _, shorter, _ = kernels.Widths.of(covariance)
    if not evidence.converged:
        return "low", "the search for the spectral kernel did not converge"
    if evidence.contrast < MIN_CONTRAST:
        return "low", "the image is almost flat or has few levels"
    if evidence.misfit > MAX_PHOTOGRAPH_MISFIT:
        return "low", "its spectrum is unlike that of photographs"
    if evidence.misfit > MAX_MISFIT:
        reason = "no usual kernel explains it: long motion, pattern, drawing or text"
        return "low", reason
    if distance > LOW_ERROR:
        return "low", "the kernel and the spectrum disagree"
    is_noisy = evidence.gray_noise_std > MAX_NOISE
    if expected.covariance_error > LOW_ERROR:
        if is_noisy:  # Without it, fewer kernels would.
            return "low", "the image is noisy"
        if shorter < NARROW:
            return "low", "the kernel is narrower than a pixel"
        return "low", "many kernels explain the spectrum"
    if distance > MEDIUM_ERROR:
        return "medium", "the kernel and the spectrum differ"
    if evidence.by_picture:
        return "medium", "its picture and its spectrum speak for different kernels"
    if evidence.jpeg:
        return "medium", "the image shows the blocks of JPEG"
    if is_noisy:
        return "medium", "the image is noisy"
    if evidence.rivalled or expected.covariance_error > MEDIUM_ERROR:
        return "medium", "several kernels explain the spectrum"
    if evidence.misfit > CLOSE_MISFIT:
        return "medium", "its spectrum is explained only roughly"
    if not expected.sr_loss < MEDIUM_SR_LOSS:
        return "medium", "small errors of this kernel would show"
    return "high", ""
