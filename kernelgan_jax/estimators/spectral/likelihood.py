"""The likelihood of a kernel, given the power spectrum of an image.

The HR image has the spectrum of natural images,

    S(r, t) = A r^-alpha exp(c cos 2t + d sin 2t + e cos 4t + f sin 4t)

(r, t: polar frequency), and the LR image, blurred by a kernel of transfer function K
and subsampled by s,

    M = 1/s^2 (sum over the s^2 aliases of |K|^2 S) + sigma^2.

Frequency by frequency the measured power P is M times a random factor. Were the image a
stationary process, only sampling would move it, and `log M + P/M`, summed, would be the
negative log-likelihood (Whittle, Arkiv för Matematik, 1953). But what an image shows
moves it by far more, here and there by very much. So the likelihood is one of `log P/M`
with heavy tails, which has Whittle's curvature near its minimum.

Phase is not seen: a kernel and its mirror image are as likely.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import checks, kernels
from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral.periodogram import SHAPE, WINDOW

_RADIUS = np.hypot(np.fft.fftfreq(WINDOW)[:, None], np.fft.rfftfreq(WINDOW))


FREQUENCY_WEIGHTS = (_RADIUS >= 1.5 / WINDOW - 1e-9) * np.array(
    [1] + [2] * (SHAPE[1] - 2) + [1]
)
"""Weights of the frequencies: how often they count. Slower waves do not, as they are
more of the window than of the image."""


JPEG_FREQUENCY_WEIGHTS = FREQUENCY_WEIGHTS * (_RADIUS < 0.4)
"""The same of images that JPEG has taken fast waves from."""


HEAVY_TAIL = 0.3
"""Size of `log P/M` from which on the loss grows as its size, not as its square."""


PRIOR_WEIGHT = 0.002
"""Weight of the squares of what a prior expects, in standard deviations: they count as
1 / (2 PRIOR) = 250 frequencies that were independent would."""


class Likelihood(NamedTuple):
    """The likelihood for one scale, as pure functions. Kernels are any `n x n`, n of
    `size`, aligned for the scale, sum 1."""

    size: int
    """`8 s + 9`."""
    start: Callable[[jax.Array], Spectrum]
    """`start(periodogram)`: of a usual photograph, of this power."""
    expected: Callable[[jax.Array, Spectrum], jax.Array]
    """`expected(kernel, spectrum) -> M`, of `SHAPE`."""
    misfit: Callable[[jax.Array, Spectrum, jax.Array], jax.Array]
    """`misfit(kernel, spectrum, periodogram)`: the loss of each frequency, `SHAPE`."""
    priors: Callable[[Spectrum], jax.Array]
    """`priors(spectrum) -> scalar`."""
    sr_loss: Callable[[jax.Array, Spectrum, jax.Array], jax.Array]
    """`sr_loss(kernel, spectrum, true)`: by how many dB PSNR is lower of an image that
    is restored by the Wiener filter of `kernel` in place of that of the true kernel."""


def spectral_likelihood(scale: int) -> Likelihood:
    """The likelihood for one scale, of a periodogram in gray levels^2.

    The misfit is `h^2 (sqrt(1 + (log(P/M) / h)^2) - 1)`, h = `HEAVY_TAIL`
    (Charbonnier's). The loss is its mean over frequencies, weighted by `USED`, and
    priors: alpha is 2.2 +- 0.2, and c, d, e and f are 0 +- 0.32.

    Raises:
      ValueError: If the scale is no positive integer.
    """
    checks.whole("scale", scale)
    size = 8 * scale + 9
    # The frequencies of the HR image, cycles per HR pixel, each LR one's aliases last.
    rows, columns = (
        ((f(WINDOW)[:, None] + np.arange(scale)).ravel() / scale + 0.5) % 1 - 0.5
        for f in (np.fft.fftfreq, np.fft.rfftfreq)
    )
    place = np.arange(size) - kernels.alignment((size, size), scale)[0]
    (row_cos, row_sin), (column_cos, column_sin) = (
        [jnp.asarray(f(angle), jnp.float32) for f in (np.cos, np.sin)]
        for angle in (2 * np.pi * np.outer(x, place) for x in (rows, columns))
    )
    slowest = 0.5 / WINDOW / scale  # Only at 0, which does not count, it is less.
    radius, turn = np.hypot(rows[:, None], columns), np.arctan2(rows[:, None], columns)
    log_radius = jnp.asarray(np.log(scale * np.maximum(radius, slowest)), jnp.float32)
    turns = [f(n * turn) for n in (2, 4) for f in (np.cos, np.sin)]
    harmonics = jnp.asarray(np.stack(turns), jnp.float32)

    def start(periodogram: jax.Array) -> Spectrum:
        at = 2 * math.sqrt(2) / WINDOW  # the frequency (2, 2)
        amplitude = jnp.log(periodogram[2, 2] * scale**2) + 2.2 * math.log(at)
        return Spectrum(
            amplitude, jnp.float32(2.2), jnp.zeros(4, jnp.float32), jnp.float32(0)
        )

    def transfer(kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        """K, real and imaginary: `32 s x 17 s`."""
        even, odd = row_cos @ kernel, row_sin @ kernel
        real = even @ column_cos.T - odd @ column_sin.T
        return real, -(odd @ column_cos.T + even @ column_sin.T)

    def power(spectrum: Spectrum) -> jax.Array:
        """S, alike."""
        log_power = spectrum.log_amplitude - spectrum.exponent * log_radius
        return jnp.exp(log_power + jnp.tensordot(spectrum.direction, harmonics, 1))

    def aliased(each: jax.Array) -> jax.Array:
        """Its mean over aliases, once for each of the image's spectra: `SHAPE`."""
        return each.reshape(SHAPE[0], scale, SHAPE[1], scale).mean((1, 3))

    def expected(kernel: jax.Array, spectrum: Spectrum) -> jax.Array:
        real, imaginary = transfer(kernel)
        whole = aliased((real**2 + imaginary**2) * power(spectrum))
        return whole + jnp.exp(spectrum.log_noise)

    def misfit(
        kernel: jax.Array, spectrum: Spectrum, periodogram: jax.Array
    ) -> jax.Array:
        ratio = jnp.log(periodogram) - jnp.log(expected(kernel, spectrum))
        return HEAVY_TAIL**2 * (jnp.sqrt(1 + (ratio / HEAVY_TAIL) ** 2) - 1)

    def priors(spectrum: Spectrum) -> jax.Array:
        deviations = [(spectrum.exponent - 2.2) / 0.2, *(spectrum.direction / 0.1**0.5)]
        return PRIOR_WEIGHT * (jnp.stack(deviations) ** 2).sum()

    def spread(each: jax.Array) -> jax.Array:
        """The same value for all aliases: `32 s x 17 s`."""
        return jnp.repeat(jnp.repeat(each, scale, 0), scale, 1)

    counted = spread(jnp.asarray(FREQUENCY_WEIGHTS, jnp.float32))

    def sr_loss(kernel: jax.Array, spectrum: Spectrum, true: jax.Array) -> jax.Array:
        # Rounding to 8 bits is noise, too.
        noise = jnp.maximum(jnp.exp(spectrum.log_noise), 1 / 12)
        known = spectrum._replace(log_noise=jnp.log(noise))
        signal, seen = power(spectrum), spread(expected(true, known))
        real, imaginary = transfer(true)

        def error(believed: jax.Array) -> jax.Array:
            believed_real, believed_imaginary = transfer(believed)
            # The Wiener filter is gain * (its real - i its imaginary part) / s.
            gain = signal / spread(expected(believed, known)) / scale**2
            passed = gain * (believed_real * real + believed_imaginary * imaginary)
            turned = gain * (believed_real * imaginary - believed_imaginary * real)
            filtered = gain**2 * (believed_real**2 + believed_imaginary**2)
            others = scale**2 * seen - (real**2 + imaginary**2) * signal
            missed = ((1 - passed) ** 2 + turned**2) * signal
            return (counted * (missed + filtered * others)).sum()

        return 10 * jnp.log10(error(kernel) / error(true))

    return Likelihood(size, start, expected, misfit, priors, sr_loss)
