"""How sure a kernel is: what the spectrum of the image has to say of it.

Near its minimum the loss of `spectral.py` is a parabola, so that the posterior of
kernel and spectrum is a Gaussian (Laplace's approximation) with covariance

    V = SPREAD misfit^2 H^-1                  (H: the Hessian; misfit: rms of log P/M)

The misfit is what the image's own content does to its spectrum. It is no white noise:
neighbouring frequencies err together, and so the errors found on images with known
kernels set its weight, `SPREAD`. A kernel of another estimator is as far off, at least,
as it is from the spectral one.
"""

from typing import NamedTuple

import numpy as np

from kernelgan_jax import crops, kernels, metrics
from kernelgan_jax.kernel_estimate import Confidence, Level

SPREAD = 0.15
"""Of the posterior, see above: chosen on Kodak and scikit-image photographs that were
downscaled with random Gaussians, motions and disks."""


class Evidence(NamedTuple):
    """What the spectrum says, beside its kernel."""

    kernel: np.ndarray
    """The spectral kernel, `n x n`, aligned for the scale."""
    samples: np.ndarray
    """`S x n x n` kernels of the posterior."""
    misfit: float
    """Root mean square of `log P/M`."""
    contrast: float
    """Standard deviation of the gray image, gray levels."""
    noise: float
    """Standard deviation of its white noise, gray levels; in gray, so that each of
    three channels has 1.5 times as much."""
    jpeg: bool
    """Whether it bears the blocks of JPEG."""


UNLIKE, FLAT, NOISY = 0.55, 2.0, 2.5
"""Least misfit of unusual spectra; contrast of flat images, and noise of noisy ones, in
gray levels."""

LOW, MEDIUM = 0.45, 0.22
"""Least expected covariance errors of these levels."""

WIDE = 2.2
"""Least area of a wide x2 kernel, the root of its covariance's determinant, pixels^2;
that of other scales is in proportion to (s^2 - 1) / 3, as repeated downscaling makes
it. What a wide kernel has taken away comes back only with the very kernel."""

SETTINGS = (SPREAD, UNLIKE, FLAT, NOISY, LOW, MEDIUM, WIDE)
"""What the figures of a benchmark depend on."""


def judge(kernel: np.ndarray, evidence: Evidence, *, scale: int) -> Confidence:
    """What is to be expected of an estimated kernel.

    Args:
      kernel: `h x w`, aligned for the scale, sum 1; the spectral kernel or another
        estimator's.
      evidence: Of the image that it was estimated from.
      scale: Positive integer.
    """
    samples = evidence.samples
    good = np.isfinite(samples).all((1, 2))
    if not good.all():  # The posterior is none: a spectrum like that of no photograph.
        samples = samples[good] if good.any() else kernel[None]
    errors = [metrics.covariance_error(kernel, sample) for sample in samples]
    psnr = [metrics.kernel_psnr(kernel, sample, scale=scale) for sample in samples]
    widths = np.array([kernels.widths(sample) for sample in samples])
    error = float(np.sqrt(np.mean(np.square(errors)))) if good.all() else np.inf
    apart = metrics.covariance_error(kernel, evidence.kernel)
    area = float(np.sqrt(max(np.linalg.det(kernels.covariance(kernel)), 0)))
    _, shorter, _ = kernels.widths(kernel)

    def level() -> tuple[Level, str]:
        if evidence.contrast < FLAT:
            return "low", "the image is almost flat"
        if evidence.misfit > UNLIKE:
            return "low", "its spectrum is unlike that of photographs"
        if apart > LOW:
            return "low", "spectrum and GAN disagree"
        if error > LOW:
            if shorter < 0.6:  # 0.5 is the least between two pixels.
                return "low", "the kernel is narrower than a pixel"
            return "low", "many kernels explain the spectrum"
        if apart > MEDIUM:
            return "medium", "spectrum and GAN differ"
        if evidence.jpeg:
            return "medium", "the image bears the blocks of JPEG"
        if evidence.noise > NOISY:
            return "medium", "the image is noisy"
        if error > MEDIUM:
            return "medium", "several kernels explain the spectrum"
        if area > WIDE * max(scale**2 - 1, 1) / 3:
            return "medium", "the kernel is wide, and hard to undo"
        return "high", ""

    return Confidence(
        *level(),
        kernel_psnr=float(-10 * np.log10(np.mean(10 ** (-np.array(psnr) / 10)))),
        covariance_error=error,
        longer=float(widths[:, 0].std()),
        shorter=float(widths[:, 1].std()),
        angle=_spread(widths[:, 2]),
        samples=samples,
    )


def _spread(angles: np.ndarray) -> float:
    """Standard deviation of directions, in degrees; 180 degrees are 0."""
    together = np.abs(np.exp(2j * np.radians(angles)).mean())
    radians = np.sqrt(-2 * np.log(np.clip(together, 1e-6, 1))) / 2
    return float(min(np.degrees(radians), ANY_ANGLE))


ANY_ANGLE = 52.0
"""Standard deviation, degrees, of directions that are all as likely."""

JPEG_NOISE = 3.0
"""What JPEG does to an image at least, gray levels: of quality 90 and 75, noise of this
size on the sons gave the best of four images (2, 3, 4 and 6 were tried)."""


def channel_noise(evidence: Evidence, image: np.ndarray) -> float:
    """Standard deviation of the noise in each channel, as a fraction of the range.

    Args:
      evidence: Of the image.
      image: `H x W x C`. Noise of colours that differ is taken for independent: luma
        has 0.67 of it.
    """
    gray = bool((image == image[..., :1]).all())
    noise = evidence.noise / (1 if gray else np.linalg.norm(crops.LUMA))
    return float(max(noise, JPEG_NOISE if evidence.jpeg else 0)) / 255
