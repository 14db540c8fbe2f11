"""The kernel from the image's power spectrum: a likelihood in closed form.

The HR image has the spectrum of natural images,

    S(r, t) = A r^-alpha exp(c cos 2t + d sin 2t + e cos 4t + f sin 4t)

(r, t: polar frequency), and the LR image, blurred by a kernel of transfer function K
and subsampled by s,

    M = 1/s^2 (sum over the s^2 aliases of |K|^2 S) + sigma^2.

Frequency by frequency the measured power P is M times a random factor. Were the image a
stationary process, only sampling would move it, and `log M + P/M`, summed, would be the
negative log-likelihood (Whittle, Arkiv för Matematik, 1953). But what an image shows
moves it by far more, here and there by very much. So the likelihood is one of `log P/M`
with heavy tails, which has Whittle's curvature near its minimum. Kernel and spectrum
are found together, by Newton's method. Phase is not seen: a kernel that is not
symmetric is taken for one that is.

From `whittle` to `fit` all is pure, for one image, may be jitted and vmapped; nothing
above `_compiled` is jitted or placed.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import checks, crops, images, kernels
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.prior import LEAST_VARIANCE, generalised_gaussian

WINDOW = 32
"""Side of the windows that periodograms are taken of, LR pixels."""

WINDOWS = 4096
"""Windows that are taken of an image, evenly spread: large photos take no longer."""

STRIDE = 4
"""Pixels from a window to the next, where there are fewer than `WINDOWS`."""

PART = 8
"""Windows at each side of the parts whose power is averaged first."""

_LEAST_RADIUS = 1.5 / WINDOW
"""Cycles per LR pixel; slower waves are more of the window than of the image."""

HEAVY_TAIL = 0.3
"""Size of `log P/M` from which on the loss grows as its size, not as its square."""

NEWTON_STEPS = 40
"""At most."""

LEAST_PROMISE = 1e-7
"""Decrease of the loss that a step must promise, or the search ends."""

GAUSSIAN, GENERALISED = 3, 4
"""How many of the kernel's parameters are fitted, the first ones; others stay at 0.

The fourth is log b of the generalised Gaussian `exp(-q^b / 2)`, q the quadratic form of
a Gaussian: at b = 1 that Gaussian, from b = 3 on an even ellipse, which is a disk or,
when thin, a line.
"""

_KERNEL = 4
"""Parameters of the kernel."""


class Params(NamedTuple):
    """What is fitted, in the order of the vector that Newton's method sees."""

    kernel: jax.Array
    """Cholesky factor of the covariance (three values, row by row), and log b."""
    log_amplitude: jax.Array
    exponent: jax.Array
    """alpha."""
    direction: jax.Array
    """c, d, e, f."""
    log_noise: jax.Array
    """log sigma^2, gray levels^2."""


def _params(vector: jax.Array) -> Params:
    amplitude, exponent, c, d, e, f, noise = vector[_KERNEL:]
    direction = jnp.stack([c, d, e, f])
    return Params(vector[:_KERNEL], amplitude, exponent, direction, noise)


class Fit(NamedTuple):
    """A minimum of the likelihood."""

    vector: jax.Array
    """`Params`, flat."""
    loss: jax.Array
    """Mean over frequencies, and the priors."""
    hessian: jax.Array
    """Of the loss by the vector, of the free parameters alone: others are 0, 1 on the
    diagonal."""
    misfit: jax.Array
    """Root mean square over frequencies of `log P/M`."""
    kernel: jax.Array
    """`n x n`, aligned for the scale."""


# --- The periodogram ---


def periodogram(gray: Any) -> np.ndarray:
    """The mean periodogram of an image's windows (Hann's, mean removed, unit energy).

    Powers are averaged over parts of `PART x PART` windows, and their square roots over
    the parts: so a few strong edges do not stand for the whole image.

    Args:
      gray: `H x W`, at least `WINDOW` at each side.

    Returns:
      `WINDOW x WINDOW` float64, frequencies in the order of `np.fft.fft2`, in the
      square of the image's units.

    Raises:
      ValueError: If the image is too small.
    """
    if min(gray.shape) < WINDOW:
        raise ValueError(
            f"image is {gray.shape[1]}x{gray.shape[0]} pixels; its spectrum needs at "
            f"least {WINDOW} at each side"
        )
    windows = np.lib.stride_tricks.sliding_window_view(gray, (WINDOW, WINDOW))
    rows, columns = windows.shape[:2]
    stride = max(STRIDE, math.ceil(math.sqrt(rows * columns / WINDOWS)))
    windows = windows[::stride, ::stride]
    hann = np.hanning(WINDOW + 1)[:WINDOW]
    taper = np.outer(hann, hann)
    taper /= np.sqrt((taper**2).sum())
    high, wide = (max(1, round(n / PART)) for n in windows.shape[:2])
    roots = np.zeros((WINDOW, WINDOW))
    for band in np.array_split(windows, high):
        for part in np.array_split(band, wide, axis=1):
            means = (part * taper).sum((2, 3), keepdims=True) / taper.sum()
            power = np.abs(np.fft.fft2((part - means) * taper)) ** 2
            roots += np.sqrt(power.mean((0, 1)))
    return (roots / (high * wide)) ** 2


# --- The likelihood ---


class Likelihood(NamedTuple):
    """Whittle's likelihood of a kernel and a spectrum, as pure functions."""

    starts: Callable[[jax.Array], jax.Array]
    """`starts(periodogram) -> 3 x 11`: round, upright and level kernels."""
    kernel: Callable[[jax.Array], jax.Array]
    """`kernel(vector) -> n x n`, aligned for the scale, sum 1."""
    expected: Callable[[jax.Array], jax.Array]
    """`expected(vector) -> M`, `WINDOW x WINDOW`."""
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    """`loss(vector, periodogram) -> scalar`."""
    used: np.ndarray
    """Frequencies that count, `WINDOW x WINDOW` bool."""


def whittle(scale: int) -> Likelihood:
    """The likelihood for one scale, of a periodogram in gray levels^2.

    Its loss is the mean over frequencies of `h^2 (sqrt(1 + (log(P/M) / h)^2) - 1)`, h =
    `HEAVY_TAIL` (Charbonnier's), and weak priors: alpha near 2.2 (`0.002 ((alpha - 2.2)
    / 0.2)^2`), little direction (`0.02 (c^2 + d^2 + e^2 + f^2)`), and b near 1 (`0.002
    log(b)^2`).

    Raises:
      ValueError: If the scale is no positive integer.
    """
    checks.whole("scale", scale)
    size = 8 * scale + 9
    prior = generalised_gaussian(size, scale=scale)
    slow = np.fft.fftfreq(WINDOW)
    used = np.hypot(slow[:, None], slow) >= _LEAST_RADIUS - 1e-9
    # The frequencies of the HR image, cycles per HR pixel, each LR one's aliases last.
    fast = (slow[:, None] + np.arange(scale)).ravel() / scale
    fast = (fast + 0.5) % 1 - 0.5
    angle = -2 * np.pi * np.outer(fast, np.arange(size))
    cos, sin = (jnp.asarray(f(angle), jnp.float32) for f in (np.cos, np.sin))
    radius, turn = np.hypot(fast[:, None], fast), np.arctan2(fast[:, None], fast)
    log_radius = jnp.asarray(np.log(scale * np.maximum(radius, 1e-9)), jnp.float32)
    turns = [f(n * turn) for n in (2, 4) for f in (np.cos, np.sin)]
    harmonics = jnp.asarray(np.stack(turns), jnp.float32)
    counts = jnp.asarray(used / used.sum(), jnp.float32)

    def starts(periodogram: jax.Array) -> jax.Array:
        variance = 2.8 * max(scale**2 - 1, 1) / 3
        at = 2 * math.sqrt(2) / WINDOW  # the frequency (2, 2)
        amplitude = jnp.log(periodogram[2, 2] * scale**2) + 2.2 * math.log(at)
        rest = jnp.array([2.2, 0, 0, 0, 0, 0], jnp.float32)
        return jnp.stack(
            [
                jnp.concatenate(
                    [
                        jnp.sqrt(variance * jnp.array([upright, 0, level])),
                        jnp.stack([jnp.zeros(()), amplitude]),
                        rest,
                    ]
                )
                for upright, level in ((1.0, 1.0), (1.8, 0.5), (0.5, 1.8))
            ]
        )

    def kernel(vector: jax.Array) -> jax.Array:
        shape = _params(vector).kernel
        params = {"cholesky": shape[:3], "shift": jnp.zeros(2), "log_power": shape[3]}
        return prior.kernel(params)

    def expected(vector: jax.Array) -> jax.Array:
        p = _params(vector)
        k = kernel(vector)
        rows_cos, rows_sin = cos @ k, sin @ k
        real = rows_cos @ cos.T - rows_sin @ sin.T
        imaginary = rows_cos @ sin.T + rows_sin @ cos.T
        log_spectrum = p.log_amplitude - p.exponent * log_radius
        log_spectrum += jnp.tensordot(p.direction, harmonics, 1)
        power = (real**2 + imaginary**2) * jnp.exp(log_spectrum)
        power = power.reshape(WINDOW, scale, WINDOW, scale).sum((1, 3))
        return power / scale**2 + jnp.exp(p.log_noise)

    def loss(vector: jax.Array, periodogram: jax.Array) -> jax.Array:
        p = _params(vector)
        ratio = jnp.log(periodogram) - jnp.log(expected(vector))
        misfit = HEAVY_TAIL**2 * (jnp.sqrt(1 + (ratio / HEAVY_TAIL) ** 2) - 1)
        priors = 0.002 * ((p.exponent - 2.2) / 0.2) ** 2
        priors += 0.02 * (p.direction**2).sum() + 0.002 * p.kernel[3] ** 2
        return (counts * misfit).sum() + priors

    return Likelihood(starts, kernel, expected, loss, used)


def fit(periodogram: jax.Array, family: int | jax.Array, *, scale: int) -> Fit:
    """The best kernel of a family, and spectrum, by Newton's method.

    Eleven unknowns at most: each step solves with the Hessian, its eigenvalues made
    positive and damped until the loss falls (Levenberg, Marquardt); the best of three
    starts.

    Args:
      periodogram: As `periodogram` gives it, in gray levels^2.
      family: `GAUSSIAN` or `GENERALISED`.
      scale: Positive integer.

    Raises:
      ValueError: If the scale is no positive integer.
    """
    likelihood = whittle(scale)
    periodogram = jnp.asarray(periodogram, jnp.float32)
    starts = likelihood.starts(periodogram)
    place = jnp.arange(starts.shape[1])
    free = ((place < family) | (place >= _KERNEL)).astype(jnp.float32)

    def derivatives(vector: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        def loss(vector: jax.Array) -> jax.Array:
            return likelihood.loss(vector, periodogram)

        value, slope = jax.value_and_grad(loss)(vector)
        curvature = jax.hessian(loss)(vector)
        curvature = (curvature + curvature.T) / 2 * free[:, None] * free[None, :]
        return value, free * slope, curvature + jnp.diag(1 - free)

    def newton(start: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        def step(state: Any) -> Any:
            best, damping, count, _ = state
            vector, (least, slope, curvature) = best
            values, axes = jnp.linalg.eigh(curvature)
            ahead = (axes.T @ slope) / (jnp.abs(values) + damping)
            there = vector - axes @ ahead
            found = (there, derivatives(there))
            better = found[1][0] < least  # NaN is not.
            best = jax.tree.map(lambda a, b: jnp.where(better, a, b), found, best)
            damping = jnp.where(better, damping / 3, damping * 4)
            # What a step promises: where that is next to nothing, the search is over.
            promise = (ahead**2 * jnp.abs(values)).sum()
            return best, jnp.clip(damping, 1e-6, 1e3), count + 1, promise

        def running(state: Any) -> jax.Array:
            _, _, count, promise = state
            return (count < NEWTON_STEPS) & ~(promise < LEAST_PROMISE)

        first = ((start, derivatives(start)), jnp.float32(0.01), 0, jnp.inf)
        best, *_ = jax.lax.while_loop(running, step, first)
        vector, (least, _, curvature) = best
        return vector, least, curvature

    vectors, losses, curvatures = jax.vmap(newton)(starts)
    best = jnp.argmin(losses)
    vector = vectors[best]
    ratio = jnp.log(periodogram / likelihood.expected(vector))
    misfit = jnp.sqrt((ratio**2).mean(where=jnp.asarray(likelihood.used)))
    kernel = likelihood.kernel(vector)
    return Fit(vector, losses[best], curvatures[best], misfit, kernel)


# --- For an image ---

LEAST_POWER, LEAST_GAIN = 1.5, 0.0025
"""Where the generalised Gaussian has at least this b and this much less loss, it is
taken; else the Gaussian. (b under 1, with long tails, only ever fitted the image.)"""

SETTINGS = (WINDOW, WINDOWS, STRIDE, PART, HEAVY_TAIL, LEAST_POWER, LEAST_GAIN)


def estimate_spectral(image: Any, *, scale: int = 2) -> KernelEstimate:
    """Finds the kernel that an image was downscaled with, from its spectrum alone.

    Deterministic. Kernels are Gaussian, or generalised Gaussian where that fits much
    better: disks, motions. See the top of this module for the model and its limits.

    Args:
      image: `H x W`, `H x W x 1` or `H x W x 3`: uint8, uint16, or floating point in
        [0, 1]. Both sides at least `WINDOW` pixels.
      scale: Positive integer; at 1 the kernel is a plain blur.

    Returns:
      The estimate. Its `kernel` is of `scale`; but at scale 4 it is the x2 kernel that
      leads to `kernel_x4` as far as variances go. `raw_kernel` is what was fitted,
      `history` empty.

    Raises:
      ValueError: If the scale is out of range, or the image of a wrong shape or type,
        too small, or without any structure, or the model does not fit it at all.
    """
    checks.whole("scale", scale)
    gray = 255 * crops.gray(images.to_unit(images.from_array(image))).astype(np.float64)
    measured = periodogram(gray)
    crops.check_structure(gray, 1e-3)  # gray levels
    fits = _compiled(scale)(measured.astype(np.float32))
    found, other = (jax.tree.map(lambda x, i=i: np.asarray(x[i]), fits) for i in (0, 1))
    gain = float(found.loss - other.loss)
    if other.vector[3] > math.log(LEAST_POWER) and gain > LEAST_GAIN:
        found = other
    raw = np.asarray(found.kernel)
    if not (np.isfinite(found.loss) and np.isfinite(raw).all()):
        raise ValueError("no spectrum of this model fits the image")
    kernel = kernels.normalise(raw.astype(np.float64))
    if scale != 4:
        return KernelEstimate(kernel, None, raw, {}, True, "", scale)
    half = whittle(2).kernel(jnp.asarray(_halved(found.vector)))
    x2 = kernels.normalise(np.asarray(half, np.float64))
    return KernelEstimate(x2, kernel, raw, {}, True, "")


def _halved(vector: np.ndarray) -> np.ndarray:
    """An x2 kernel's parameters of an x4 kernel's, of five times its variance."""
    lower = np.array([[vector[0], 0], [vector[1], vector[2]]], np.float64)
    least = LEAST_VARIANCE * np.eye(2)
    values, axes = np.linalg.eigh((lower @ lower.T + least) / 5 - least)
    lower = np.linalg.cholesky((axes * np.maximum(values, 1e-4)) @ axes.T)
    start = [lower[0, 0], lower[1, 0], lower[1, 1]]
    return np.concatenate([start, vector[3:]]).astype(np.float32)


# --- Compiled ---


@functools.lru_cache(maxsize=16)
def _compiled(scale: int) -> Callable[[Any], Fit]:
    """The fits of both families."""
    both = jax.vmap(functools.partial(fit, scale=scale), in_axes=(None, 0))
    return jax.jit(lambda p: both(p, jnp.array([GAUSSIAN, GENERALISED])))
