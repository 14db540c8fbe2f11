"""Confidence in an estimated kernel, from the spectrum of its image.

The posterior of the spectral kernel (`posterior.py`) gives 64 kernels that could be the
true one. The expected errors of an estimated kernel are its mean errors against these.
So a kernel of another estimator is expected to be at least as far off as it is from the
spectral kernel. What matters in the end is the super-resolved image, so one of these
errors is the expected loss of its PSNR.

The level follows from the expected errors and from what is known about the image
(`rating.py`).
"""

import jax
import numpy as np

from kernelgan_jax import checks, equivalent_gaussian, kernels, metrics, programs
from kernelgan_jax.estimate import Confidence, Evidence, Spectrum
from kernelgan_jax.estimators.spectral.likelihood import spectral_likelihood
from kernelgan_jax.estimators.spectral.noise import jpeg_noise_std
from kernelgan_jax.estimators.spectral.posterior import SAMPLES
from kernelgan_jax.estimators.spectral.rating import (
    Expected,
    level_of,
    relative_errors,
)
from kernelgan_jax.settings import shown

SR_LOSS_FACTORS = {1: 2.0, 2: 3.0, 3: 2.5, 4: 2.0}
"""How many times as much the trained network loses by the errors of a kernel as a
Wiener filter does, by scale; above 4 as at 4. Measured on photographs at 1, 2 and 4
(docs/spectral.md, "Confidence"); assumed at 3."""

PICTURE_SR_LOSSES = {1: 2.5, 2: 1.1, 3: 1.1, 4: 0.7}
"""By how much the best of the kernels that the second look compares is better than the
one it takes, dB, by scale: no less is lost, whatever the spectrum says."""

ANY_ANGLE = 52.0
"""Standard deviation of directions that are all equally likely, degrees."""


def judge(kernel: np.ndarray, evidence: Evidence) -> Confidence:
    """Rates an estimated kernel by the spectrum of its image.

    Args:
      kernel: `h x w`, aligned for `evidence.scale`, sum 1; the spectral kernel or that
        of another estimator.
      evidence: Result of `analyse` for the image.

    Returns:
      The confidence. If the posterior could not be computed, its level is low and the
      expected errors are infinite.

    Raises:
      ValueError: If the kernel is no matrix of finite numbers of sum 1, or the evidence
        is something else.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.blur_kernels import gaussian
      >>> from kernelgan_jax.estimate import Evidence, Spectrum
      >>> from kernelgan_jax.estimators.spectral import judge
      >>> kernel = gaussian(25, variances=(2.0, 1.0), scale=2)
      >>> spectrum = Spectrum(np.float32(4), np.float32(2.2), np.zeros(4, np.float32),
      ...                     np.float32(-2))
      >>> evidence = Evidence(
      ...     scale=2, kernel=kernel, raw_kernel=kernel, intermediate=(),
      ...     samples=gaussian(25, variances=(2.2, 0.9), scale=2)[None],
      ...     spectrum=spectrum, misfit=0.2, contrast=1.0,
      ...     noise_std=0.002, jpeg=False, converged=True)
      >>> judge(kernel, evidence)[:2]
      ('low', 'the image is almost flat or has few levels')
    """
    if not isinstance(evidence, Evidence):
        raise ValueError(
            f"evidence is {shown(evidence)}; it must be what analyse returns"
        )
    checks.known("evidence", evidence.samples)
    kernel = checks.matrix("kernel", kernel)
    checks.unit_sum("kernel", kernel)
    scale = evidence.scale
    framed = metrics.pad_to_frame(kernel, scale=scale)
    finite = np.isfinite(evidence.samples).all((1, 2))
    samples = evidence.samples[finite] if finite.any() else framed[None]
    covariances = equivalent_gaussian.covariances(samples, scale=scale)
    own = equivalent_gaussian.covariances(kernel[None], scale=scale)[0]
    errors = relative_errors(own, covariances)
    losses = np.asarray(
        _sr_losses(
            framed.astype(np.float32),
            samples.astype(np.float32),
            _spectrum(evidence),
            scale=scale,
        )
    )
    expected = Expected(
        kernel_psnr=_psnr(float(((framed - samples) ** 2).mean())),
        covariance_error=float(np.sqrt(np.mean(np.square(errors)))),
        sr_loss=_network_loss(float(losses.mean()), evidence),
    )
    # Samples can be infinite or NaN for spectra unlike any photograph's.
    if not finite.all():
        expected = Expected(-np.inf, np.inf, np.inf)
    longer, shorter, angles = _widths(covariances)
    level, reason = level_of(own, evidence, expected)
    return Confidence(
        level,
        reason,
        **expected._asdict(),
        longer_std=float(longer.std()),
        shorter_std=float(shorter.std()),
        angle_std=_angle_std(angles),
        samples=samples,
    )


def preload(scale: int, *, compiling: bool = False) -> None:
    """Loads the program of `judge`; arguments as of `analysis.preload`."""
    side = kernels.frame_size(scale)

    def array(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, np.float32)

    spectrum = Spectrum(array(), array(), array(4), array())
    shapes = array(side, side), array(SAMPLES, side, side), spectrum
    _sr_losses.preload(*shapes, compiling=compiling, scale=scale)


def _spectrum(evidence: Evidence) -> Spectrum:
    """The spectrum of an image, with the noise that its super-resolution assumes: what
    JPEG has hidden is lost with the true kernel, too."""
    spectrum = evidence.spectrum
    if not (assumed := jpeg_noise_std(evidence.jpeg_strength)):
        return spectrum
    noise = np.maximum(spectrum.log_noise, np.float32(2 * np.log(assumed)))
    return spectrum._replace(log_noise=noise)


def _network_loss(loss: float, evidence: Evidence) -> float:
    """What the trained network is expected to lose where a Wiener filter loses this."""
    found = SR_LOSS_FACTORS[min(evidence.scale, max(SR_LOSS_FACTORS))] * loss
    return max(found, PICTURE_SR_LOSSES[evidence.scale] if evidence.by_picture else 0)


def _losses(
    kernel: jax.Array, samples: jax.Array, spectrum: Spectrum, *, scale: int
) -> jax.Array:
    """`Likelihood.sr_loss` of one kernel for each sample as the true one."""
    loss = spectral_likelihood(scale).sr_loss
    return jax.vmap(lambda true: loss(kernel, spectrum, true))(samples)


_sr_losses = programs.jit(_losses, name="super-resolution losses")


def _widths(covariances: np.ndarray) -> np.ndarray:
    """`kernels.Widths.of` many covariances: rows of longer, shorter and angle."""
    variances, axes = np.linalg.eigh(covariances)
    shorter, longer = np.sqrt(np.clip(variances, 0, None)).T
    angles = np.degrees(np.arctan2(-axes[:, 0, 1], axes[:, 1, 1]))
    return np.stack([longer, shorter, angles])


def _psnr(mse: float) -> float:
    """The PSNR of a mean squared error, dB; infinite if there is no error."""
    return float(-10 * np.log10(mse)) if mse > 0 else np.inf


def _angle_std(angles: np.ndarray) -> float:
    """Circular standard deviation of directions, with a period of 180 degrees."""
    resultant = np.abs(np.exp(2j * np.radians(angles)).mean())
    radians = np.sqrt(-2 * np.log(np.clip(resultant, 1e-6, 1))) / 2
    return float(min(np.degrees(radians), ANY_ANGLE))
