"""How sure a kernel is: what the spectrum of the image has to say of it.

Near its minimum the loss of `spectral.py` is a parabola, and the posterior of kernel
and spectrum a Gaussian (Laplace's approximation). Its covariance is Huber's "sandwich"
(5th Berkeley Symposium, 1967), which holds also where the model is not quite true:

    V = H^-1 (SPREAD J + PRIORS P) H^-1 + SHARPNESS^2 t t' / 4

H: the Hessian of the loss, its eigenvalues at least 0.001; J: the sum over pairs of
frequencies of their slopes' products, less by distance as of Newey and West
(Econometrica, 1987), as neighbours err together; P: the Hessian of the priors; t: the
kernel's widths. Measured residuals say in J what the image's own content does to its
spectrum: much where there is signal, next to nothing where there is noise alone. What
they cannot say is how sharp the image was before it was downscaled: SHARPNESS. A kernel
of another estimator is as far off, at least, as it is from the spectral one.

What matters in the end is the image: a kernel errs by little where the images that are
restored with it, if any of the posterior's kernels is the true one, lose little.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from kernelgan_jax import kernels, metrics
from kernelgan_jax.estimate import Confidence, Evidence, Level, Spectrum
from kernelgan_jax.estimators.spectral.likelihood import spectral_likelihood
from kernelgan_jax.estimators.spectral.posterior import PRIORS, SHARPNESS, SPREAD
from kernelgan_jax.pixels import LUMA

MAX_MISFIT, MIN_CONTRAST, MAX_NOISE = 0.55, 2.0, 2.5
"""Least misfit of unusual spectra; contrast of flat images, and noise of noisy ones, in
gray levels."""


LOW_ERROR, MEDIUM_ERROR = 0.45, 0.22
"""Least expected covariance errors of these levels."""


MEDIUM_SR_LOSS = 0.2
"""Least expected loss of super-resolution of the level `medium`, dB."""


SETTINGS = (
    SPREAD,
    PRIORS,
    SHARPNESS,
    MAX_MISFIT,
    MIN_CONTRAST,
    MAX_NOISE,
    LOW_ERROR,
    MEDIUM_ERROR,
    MEDIUM_SR_LOSS,
)
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
    framed = metrics.pad_to_frame(kernel, scale=scale)
    good = np.isfinite(samples).all((1, 2))
    if not good.all():  # The posterior is none: a spectrum like that of no photograph.
        samples = samples[good] if good.any() else framed[None]
    errors = [metrics.covariance_error(kernel, sample) for sample in samples]
    psnr = [metrics.kernel_psnr(kernel, sample, scale=scale) for sample in samples]
    widths = np.array([kernels.widths(sample) for sample in samples])
    error = float(np.sqrt(np.mean(np.square(errors)))) if good.all() else np.inf
    apart = metrics.covariance_error(kernel, evidence.kernel)
    pair = (x.astype(np.float32) for x in (framed, samples))
    losses = _sr_losses(scale)(*pair, evidence.spectrum)
    loss = float(np.mean(losses)) if good.all() else np.inf
    _, shorter, _ = kernels.widths(kernel)

    def level() -> tuple[Level, str]:
        if not evidence.ended:
            return "low", "the search for the spectral kernel did not end"
        if evidence.contrast < MIN_CONTRAST:
            return "low", "the image is almost flat"
        if evidence.misfit > MAX_MISFIT:
            return "low", "its spectrum is unlike that of photographs"
        if apart > LOW_ERROR:
            return "low", "spectrum and GAN disagree"
        if error > LOW_ERROR:
            if shorter < 0.6:  # 0.5 is the least between two pixels.
                return "low", "the kernel is narrower than a pixel"
            return "low", "many kernels explain the spectrum"
        if apart > MEDIUM_ERROR:
            return "medium", "spectrum and GAN differ"
        if evidence.jpeg:
            return "medium", "the image bears the blocks of JPEG"
        if evidence.noise > MAX_NOISE:
            return "medium", "the image is noisy"
        if error > MEDIUM_ERROR:
            return "medium", "several kernels explain the spectrum"
        if not loss < MEDIUM_SR_LOSS:
            return "medium", "small errors of this kernel would show"
        return "high", ""

    return Confidence(
        *level(),
        kernel_psnr=_mean_psnr(psnr) if good.all() else -np.inf,
        covariance_error=error,
        sr_loss=loss,
        longer=float(widths[:, 0].std()),
        shorter=float(widths[:, 1].std()),
        angle=_spread(widths[:, 2]),
        samples=samples,
    )


@functools.lru_cache(maxsize=16)
def _sr_losses(scale: int) -> Callable[..., Any]:
    """Of a kernel `Likelihood.sr_loss`, were each sample the true one; compiled."""
    loss = spectral_likelihood(scale).sr_loss

    @jax.jit
    def losses(kernel: jax.Array, samples: jax.Array, spectrum: Spectrum) -> jax.Array:
        return jax.vmap(lambda true: loss(kernel, spectrum, true))(samples)

    return losses


def _mean_psnr(psnr: list[float]) -> float:
    """That of the mean squared error, dB."""
    return float(-10 * np.log10(np.mean(10 ** (-np.array(psnr) / 10))))


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
    noise = evidence.noise / (1 if gray else np.linalg.norm(LUMA))
    return float(max(noise, JPEG_NOISE if evidence.jpeg else 0)) / 255
