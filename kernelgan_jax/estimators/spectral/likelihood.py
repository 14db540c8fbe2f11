"""The likelihood of a kernel, given the power spectrum of an image.

The HR image has the spectrum of natural images (r, t: radius and direction of a
frequency, in cycles per LR pixel),

    S(r, t) = A r^-alpha exp(c cos 2t + d sin 2t + e cos 4t + f sin 4t)              (1)

The LR image is the HR image blurred by a kernel with transfer function K and subsampled
by s, plus white noise. Its spectrum is

    M = 1/s^2 (sum over the s^2 aliases of |K|^2 S) + sigma^2                        (2)

JPEG changes M once more (`observation.py`). At each frequency the measured power P is M
times a random factor. If the image were a stationary process, this factor would come
from sampling alone, and the sum of `log M + P / M` would be the negative log-likelihood
(Whittle 1953). In photographs the content moves P much further from M, and at some
frequencies by a large factor. The misfit of a frequency is therefore a function of u =
log(P / M) with heavy tails, which has the curvature of Whittle's near its minimum
(Charbonnier 1994):

    misfit(u) = h^2 (sqrt(1 + (u / h)^2) - 1),   h = HEAVY_TAIL                      (3)

Power does not depend on phase, so a kernel and its mirror image are equally likely.

References:
  Whittle, "Estimation and information in stationary time series", Arkiv foer
    Matematik, 1953.
  Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for
    computed imaging", ICIP 1994.
  Field, "Relations between the statistics of natural images and the response properties
    of cortical cells", JOSA A, 1987 (the power law).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from kernelgan_jax import checks, kernels
from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral.observation import (
    FREQUENCY_WEIGHTS,
    UNCOMPRESSED,
    Observation,
)
from kernelgan_jax.estimators.spectral.periodogram import SHAPE, WINDOW
from kernelgan_jax.exact_products import matmul, tensordot

HEAVY_TAIL = 0.3
"""h of the misfit (3): from about this |log(P / M)| on it grows linearly."""

USUAL_EXPONENT, EXPONENT_STD = 2.2, 0.2
"""Expected exponent alpha of (1) and its standard deviation."""

DIRECTION_STD = 0.1**0.5
"""Standard deviation of c, d, e and f of (1), whose expected value is 0."""

PRIOR_WEIGHT = 0.002
"""Weight of a penalty, for each squared deviation from the expected value in standard
deviations. The mean misfit of 1 / (2 PRIOR_WEIGHT) = 250 independent frequencies would
count as much as such a prior."""

QUANTISATION_VARIANCE = 1 / 12
"""Variance of the rounding to 8 bits, gray levels^2."""

export.register_namedtuple_serialization(
    Spectrum, serialized_name="kernelgan_jax.Spectrum"
)


class Likelihood(NamedTuple):
    """The likelihood for one scale as pure functions of one kernel and one spectrum.

    Kernels are of any form, `size x size`, aligned for the scale, sum 1.
    """

    size: int
    """Side of the kernels, `kernels.frame_size(scale)`."""
    start: Callable[[jax.Array], Spectrum]
    """`start(periodogram)`: spectrum of a usual photograph of the same power."""
    expected: Callable[..., jax.Array]
    """`expected(kernel, spectrum, observation=UNCOMPRESSED)`: M of (2) as it is
    observed, `SHAPE`."""
    misfit: Callable[..., jax.Array]
    """`misfit(kernel, spectrum, periodogram, observation=UNCOMPRESSED)`: (3) for each
    frequency, `SHAPE`."""
    penalty: Callable[[Spectrum], jax.Array]
    """`penalty(spectrum) -> scalar`: `PRIOR_WEIGHT` times the squared deviations of
    alpha, c, d, e and f from their expected values."""
    sr_loss: Callable[[jax.Array, Spectrum, jax.Array], jax.Array]
    """`sr_loss(kernel, spectrum, true) -> scalar`: by how many dB the PSNR of an image
    restored by the Wiener filter of `kernel` is below that of the filter of `true`."""


def spectral_likelihood(scale: int) -> Likelihood:
    """The likelihood of kernels at one scale, for periodograms in gray levels^2.

    The loss that `fit` minimises is the mean misfit over the frequencies, weighted by
    `FREQUENCY_WEIGHTS`, plus the penalty.

    Args:
      scale: Positive integer.

    Raises:
      ValueError: If the scale is no positive integer.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.estimate import Spectrum
      >>> from kernelgan_jax.estimators.spectral import spectral_likelihood
      >>> likelihood = spectral_likelihood(1)
      >>> impulse = np.zeros((17, 17), np.float32)
      >>> impulse[8, 8] = 1
      >>> flat = Spectrum(np.float32(0), np.float32(0), np.zeros(4, np.float32),
      ...                 np.float32(0))
      >>> power = likelihood.expected(impulse, flat)  # signal 1 and noise 1
      >>> power.shape, round(float(power.mean()), 3)
      ((32, 17), 2.0)
    """
    scale = checks.scale(scale, maximum=kernels.MAX_SCALE)
    size = kernels.frame_size(scale)
    # Constants are NumPy's: JAX would compile a program for the shape of each.
    # Frequencies of the HR image in cycles per HR pixel; the aliases of one frequency
    # of the LR image are neighbours.
    rows, columns = (
        ((f(WINDOW)[:, None] + np.arange(scale)).ravel() / scale + 0.5) % 1 - 0.5
        for f in (np.fft.fftfreq, np.fft.rfftfreq)
    )
    place = np.arange(size) - kernels.alignment((size, size), scale)[0]
    (row_cos, row_sin), (column_cos, column_sin) = (
        [f(angle).astype(np.float32) for f in (np.cos, np.sin)]
        for angle in (2 * np.pi * np.outer(x, place) for x in (rows, columns))
    )
    # The limit avoids the pole of (1) at frequency 0, which has no weight.
    slowest = 0.5 / WINDOW / scale
    radius, turn = np.hypot(rows[:, None], columns), np.arctan2(rows[:, None], columns)
    log_radius = np.log(scale * np.maximum(radius, slowest)).astype(np.float32)
    turns = [f(n * turn) for n in (2, 4) for f in (np.cos, np.sin)]
    harmonics = np.stack(turns).astype(np.float32)

    def start(periodogram: jax.Array) -> Spectrum:
        at = 2 * math.sqrt(2) / WINDOW  # radius of the frequency (2, 2)
        amplitude = jnp.log(periodogram[2, 2] * scale**2)
        return Spectrum(
            amplitude + USUAL_EXPONENT * math.log(at),
            jnp.float32(USUAL_EXPONENT),
            jnp.zeros(4, jnp.float32),
            jnp.float32(0),
        )

    def transfer(kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Real and imaginary part of K: `32 s x 17 s`."""
        if (shape := jnp.shape(kernel)) != (size, size):
            raise ValueError(f"kernel has shape {shape}; it must be {(size, size)}")
        even, odd = matmul(row_cos, kernel), matmul(row_sin, kernel)
        real = matmul(even, column_cos.T) - matmul(odd, column_sin.T)
        return real, -(matmul(odd, column_cos.T) + matmul(even, column_sin.T))

    def power(spectrum: Spectrum) -> jax.Array:
        """S of (1): `32 s x 17 s`."""
        log_power = spectrum.log_amplitude - spectrum.exponent * log_radius
        turned = tensordot(spectrum.direction, harmonics, 1)
        return jnp.exp(log_power + turned)

    def mean_of_aliases(values: jax.Array) -> jax.Array:
        """`32 s x 17 s` to `SHAPE`."""
        return values.reshape(SHAPE[0], scale, SHAPE[1], scale).mean((1, 3))

    def expected(
        kernel: jax.Array, spectrum: Spectrum, observation: Observation = UNCOMPRESSED
    ) -> jax.Array:
        real, imaginary = transfer(kernel)
        signal = mean_of_aliases((real**2 + imaginary**2) * power(spectrum))
        noise = jnp.exp(spectrum.log_noise)
        observed = observation.kept * signal + observation.noise_kept * noise  # (2)
        return observed + observation.added

    def misfit(
        kernel: jax.Array,
        spectrum: Spectrum,
        periodogram: jax.Array,
        observation: Observation = UNCOMPRESSED,
    ) -> jax.Array:
        seen = expected(kernel, spectrum, observation)
        ratio = jnp.log(periodogram) - jnp.log(seen)
        return HEAVY_TAIL**2 * (jnp.sqrt(1 + (ratio / HEAVY_TAIL) ** 2) - 1)  # (3)

    def penalty(spectrum: Spectrum) -> jax.Array:
        exponent = (spectrum.exponent - USUAL_EXPONENT) / EXPONENT_STD
        deviations = jnp.stack([exponent, *(spectrum.direction / DIRECTION_STD)])
        return PRIOR_WEIGHT * (deviations**2).sum()

    def repeat_for_aliases(values: jax.Array) -> jax.Array:
        """`SHAPE` to `32 s x 17 s`."""
        return jnp.repeat(jnp.repeat(values, scale, 0), scale, 1)

    weights = np.kron(FREQUENCY_WEIGHTS, np.ones((scale, scale))).astype(np.float32)

    def sr_loss(kernel: jax.Array, spectrum: Spectrum, true: jax.Array) -> jax.Array:
        noise = jnp.maximum(jnp.exp(spectrum.log_noise), QUANTISATION_VARIANCE)
        noisy = spectrum._replace(log_noise=jnp.log(noise))
        signal, measured = power(spectrum), repeat_for_aliases(expected(true, noisy))
        real, imaginary = transfer(true)

        def error(believed: jax.Array) -> jax.Array:
            """Mean squared error of the HR image, restored with the Wiener filter of
            `believed`, up to a factor."""
            believed_real, believed_imaginary = transfer(believed)
            # The Wiener filter is gain * conj(believed transfer function) / s.
            gain = signal / repeat_for_aliases(expected(believed, noisy)) / scale**2
            # Filter times true transfer function: what remains of each frequency.
            kept_real = gain * (believed_real * real + believed_imaginary * imaginary)
            kept_imaginary = gain * (
                believed_real * imaginary - believed_imaginary * real
            )
            filtered = gain**2 * (believed_real**2 + believed_imaginary**2)
            # The other aliases and the noise also pass the filter.
            others = scale**2 * measured - (real**2 + imaginary**2) * signal
            missed = ((1 - kept_real) ** 2 + kept_imaginary**2) * signal
            return (weights * (missed + filtered * others)).sum()

        return 10 * jnp.log10(error(kernel) / error(true))

    return Likelihood(size, start, expected, misfit, penalty, sr_loss)
