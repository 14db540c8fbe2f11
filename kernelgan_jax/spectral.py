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
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import checks, crops, images, kernels
from kernelgan_jax.confidence import SPREAD, Evidence, channel_noise, judge
from kernelgan_jax.kernel_estimate import KernelEstimate
from kernelgan_jax.prior import LEAST_VARIANCE, generalised_gaussian, motion

WINDOW = 32
"""Side of the windows that periodograms are taken of, LR pixels."""

WINDOWS = 4096
"""Windows that are taken of an image, evenly spread: large photos take no longer."""

STRIDE = 4
"""Pixels from a window to the next, where there are fewer than `WINDOWS`."""

PART = 8
"""Windows at each side of the parts whose power is averaged first."""

SHAPE = (WINDOW, WINDOW // 2 + 1)
"""Of spectra: frequencies as of `np.fft.rfft2`, of which others are the mirror."""

_RADIUS = np.hypot(np.fft.fftfreq(WINDOW)[:, None], np.fft.rfftfreq(WINDOW))

USED = (_RADIUS >= 1.5 / WINDOW - 1e-9) * np.array([1] + [2] * (SHAPE[1] - 2) + [1])
"""Weights of the frequencies: how often they count. Slower waves do not, as they are
more of the window than of the image."""

USED_OF_JPEG = USED * (_RADIUS < 0.4)
"""The same of images that JPEG has taken fast waves from."""

HEAVY_TAIL = 0.3
"""Size of `log P/M` from which on the loss grows as its size, not as its square."""

NEWTON_STEPS = 40
"""At most."""

LEAST_PROMISE = 1e-7
"""Decrease of the loss that a step must promise, or the search ends."""

FAMILIES = GAUSSIAN, GENERALISED, MOTION = 0, 1, 2
"""Families of kernels: `gaussian`, `generalised_gaussian` and `motion` of `prior`.

A generalised Gaussian is `exp(-q^b / 2)`, q the quadratic form of a Gaussian: at b = 1
that Gaussian, from b = 3 on an even ellipse, as of a lens out of focus.
"""

_KERNEL = 4
"""Parameters of the kernel."""


class Params(NamedTuple):
    """What is fitted, in the order of the vector that Newton's method sees."""

    kernel: jax.Array
    """Cholesky factor of the covariance (three values, row by row), and log b; of a
    motion its line (rows, columns), its width, and 0."""
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


def check(image: np.ndarray) -> np.ndarray:
    """Checks that an image has a spectrum.

    Args:
      image: `H x W x C` in [0, 1].

    Returns:
      It in gray, `H x W` float64, gray levels.

    Raises:
      ValueError: If it is too small, or without any structure.
    """
    gray = 255 * crops.gray(image).astype(np.float64)
    _check_size(gray)
    crops.check_structure(gray, 1e-3)  # gray levels
    return gray


def _check_size(image: np.ndarray) -> None:
    height, width = image.shape
    if min(height, width) < WINDOW:
        raise ValueError(
            f"image is {width}x{height} pixels; its spectrum needs at least {WINDOW} "
            "at each side"
        )


def periodogram(gray: Any) -> np.ndarray:
    """The mean periodogram of an image's windows (Hann's, mean removed, unit energy).

    Powers are averaged over parts of `PART x PART` windows, and their square roots over
    the parts: so a few strong edges do not stand for the whole image.

    Args:
      gray: `H x W`, at least `WINDOW` at each side.

    Returns:
      `SHAPE` float64, in the square of the image's units.

    Raises:
      ValueError: If the image is too small.
    """
    _check_size(gray)
    windows = np.lib.stride_tricks.sliding_window_view(gray, (WINDOW, WINDOW))
    rows, columns = windows.shape[:2]
    stride = max(STRIDE, math.ceil(math.sqrt(rows * columns / WINDOWS)))
    windows = windows[::stride, ::stride]
    hann = np.hanning(WINDOW + 1)[:WINDOW]
    taper = np.outer(hann, hann)
    taper /= np.sqrt((taper**2).sum())
    high, wide = (max(1, round(n / PART)) for n in windows.shape[:2])
    roots = np.zeros(SHAPE)
    for band in np.array_split(windows, high):
        for part in np.array_split(band, wide, axis=1):
            means = (part * taper).sum((2, 3), keepdims=True) / taper.sum()
            power = np.abs(np.fft.rfft2((part - means) * taper)) ** 2
            roots += np.sqrt(power.mean((0, 1)))
    return (roots / (high * wide)) ** 2


def has_blocks(gray: Any) -> bool:
    """Whether an image bears the 8 x 8 blocks of JPEG, wherever they start.

    The steps at every eighth place, in both directions, are then larger than elsewhere:
    by over 8 %, and by over 4 standard deviations of the other places.

    Args:
      gray: `H x W`, at least `WINDOW` at each side; of larger ones the middle is seen.
    """
    top, left = (max(0, side - 2048) // 2 for side in gray.shape)
    gray = gray[top : top + 2048, left : left + 2048]

    def of_rows(rows: np.ndarray) -> bool:
        # What a step has beyond the slopes at its sides.
        step = np.abs(np.diff(rows, n=3))
        means = np.array([np.sqrt(step[:, i::8]).mean() for i in range(8)])
        # Those beside the largest see something of its steps, too.
        others = np.roll(means, -means.argmax())[2:-1]
        excess = means.max() - others.mean()
        return bool(excess > max(0.08 * others.mean(), 4 * others.std()))

    return of_rows(gray) and of_rows(gray.T)


# --- The likelihood ---


class Likelihood(NamedTuple):
    """The likelihood of a kernel and a spectrum, as pure functions."""

    starts: Callable[..., jax.Array]
    """`starts(family, periodogram) -> 3 x 11`: kernels of three directions."""
    kernel: Callable[..., jax.Array]
    """`kernel(family, vector) -> n x n`, aligned for the scale, sum 1."""
    expected: Callable[..., jax.Array]
    """`expected(family, vector) -> M`, of `SHAPE`."""
    loss: Callable[..., jax.Array]
    """`loss(family, vector, periodogram, used) -> scalar`; `used` are weights."""


def whittle(scale: int) -> Likelihood:
    """The likelihood for one scale, of a periodogram in gray levels^2.

    Its loss is the mean over frequencies of `h^2 (sqrt(1 + (log(P/M) / h)^2) - 1)`, h =
    `HEAVY_TAIL` (Charbonnier's), and weak priors: alpha near 2.2 (`0.002 ((alpha - 2.2)
    / 0.2)^2`), little direction (`0.02 (c^2 + d^2 + e^2 + f^2)`), b near 1 (`0.002
    log(b)^2`), and a motion's Gaussian of the variance of a pixel (`0.002 log(12 v /
    s^2)^2`), which alone would pass for motion what is round.

    Raises:
      ValueError: If the scale is no positive integer.
    """
    checks.whole("scale", scale)
    size = 8 * scale + 9
    ellipse, line = (f(size, scale=scale) for f in (generalised_gaussian, motion))
    # The frequencies of the HR image, cycles per HR pixel, each LR one's aliases last.
    rows, columns = (
        ((f(WINDOW)[:, None] + np.arange(scale)).ravel() / scale + 0.5) % 1 - 0.5
        for f in (np.fft.fftfreq, np.fft.rfftfreq)
    )
    # All families are symmetric about their middle: there K has no imaginary part.
    place = np.arange(size) - kernels.alignment((size, size), scale)[0]
    (row_cos, row_sin), (column_cos, column_sin) = (
        [jnp.asarray(f(angle), jnp.float32) for f in (np.cos, np.sin)]
        for angle in (2 * np.pi * np.outer(x, place) for x in (rows, columns))
    )
    radius, turn = np.hypot(rows[:, None], columns), np.arctan2(rows[:, None], columns)
    log_radius = jnp.asarray(np.log(scale * np.maximum(radius, 1e-9)), jnp.float32)
    turns = [f(n * turn) for n in (2, 4) for f in (np.cos, np.sin)]
    harmonics = jnp.asarray(np.stack(turns), jnp.float32)

    def starts(family: jax.Array, periodogram: jax.Array) -> jax.Array:
        variance = 2.8 * max(scale**2 - 1, 1) / 3
        at = 2 * math.sqrt(2) / WINDOW  # the frequency (2, 2)
        amplitude = jnp.log(periodogram[2, 2] * scale**2) + 2.2 * math.log(at)
        rest = jnp.array([2.2, 0, 0, 0, 0, 0], jnp.float32)
        spectrum = jnp.concatenate([amplitude[None], rest])
        ellipses = [(1.0, 0.0, 1.0), (1.8, 0.0, 0.5), (0.5, 0.0, 1.8)]
        turns = np.pi * np.arange(3) / 3
        lines = np.stack([np.sin(turns), np.cos(turns), 0.2 + 0 * turns], 1)
        shapes = jnp.where(
            family == MOTION,
            1.5 * scale * jnp.asarray(lines, jnp.float32),
            jnp.sqrt(variance * jnp.asarray(ellipses, jnp.float32)),
        )
        return jnp.concatenate(
            [shapes, jnp.zeros_like(shapes[:, :1]), jnp.tile(spectrum, (3, 1))],
            axis=1,
        )

    def kernel(family: jax.Array, vector: jax.Array) -> jax.Array:
        shape, shift = _params(vector).kernel, jnp.zeros(2, vector.dtype)
        return jnp.where(
            family == MOTION,
            line.kernel({"line": shape[:2], "width": shape[2], "shift": shift}),
            ellipse.kernel(
                {"cholesky": shape[:3], "shift": shift, "log_power": shape[3]}
            ),
        )

    def expected(family: jax.Array, vector: jax.Array) -> jax.Array:
        p = _params(vector)
        k = kernel(family, vector)
        transfer = row_cos @ k @ column_cos.T - row_sin @ k @ column_sin.T
        log_spectrum = p.log_amplitude - p.exponent * log_radius
        log_spectrum += jnp.tensordot(p.direction, harmonics, 1)
        power = transfer**2 * jnp.exp(log_spectrum)
        power = power.reshape(SHAPE[0], scale, SHAPE[1], scale).sum((1, 3))
        return power / scale**2 + jnp.exp(p.log_noise)

    def loss(
        family: jax.Array, vector: jax.Array, periodogram: jax.Array, used: jax.Array
    ) -> jax.Array:
        p = _params(vector)
        ratio = jnp.log(periodogram) - jnp.log(expected(family, vector))
        misfit = HEAVY_TAIL**2 * (jnp.sqrt(1 + (ratio / HEAVY_TAIL) ** 2) - 1)
        priors = 0.002 * ((p.exponent - 2.2) / 0.2) ** 2
        priors += 0.02 * (p.direction**2).sum() + 0.002 * p.kernel[3] ** 2
        variance = p.kernel[2] ** 2 + LEAST_VARIANCE
        pixel = 0.002 * jnp.log(12 * variance / scale**2) ** 2
        priors += jnp.where(family == MOTION, pixel, 0)
        return (used * misfit).sum() / used.sum() + priors

    return Likelihood(starts, kernel, expected, loss)


def fit(
    periodogram: jax.Array,
    family: int | jax.Array,
    used: Any = USED,
    *,
    scale: int,
) -> Fit:
    """The best kernel of a family, and spectrum, by Newton's method.

    Eleven unknowns at most: each step solves with the Hessian, its eigenvalues made
    positive and damped until the loss falls (Levenberg, Marquardt); the best of three
    starts.

    Args:
      periodogram: As `periodogram` gives it, in gray levels^2.
      family: `GAUSSIAN`, `GENERALISED` or `MOTION`.
      used: Weights of the frequencies.
      scale: Positive integer.

    Raises:
      ValueError: If the scale is no positive integer.
    """
    likelihood = whittle(scale)
    periodogram = jnp.asarray(periodogram, jnp.float32)
    family, used = jnp.asarray(family), jnp.asarray(used, jnp.float32)
    starts = likelihood.starts(family, periodogram)
    fixed = (jnp.arange(starts.shape[1]) == _KERNEL - 1) & (family != GENERALISED)
    free = 1 - fixed.astype(jnp.float32)

    def derivatives(vector: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        def loss(vector: jax.Array) -> jax.Array:
            return likelihood.loss(family, vector, periodogram, used)

        def slope_first(vector: jax.Array) -> Any:
            value, slope = jax.value_and_grad(loss)(vector)
            return slope, (value, slope)

        curvature, (value, slope) = jax.jacfwd(slope_first, has_aux=True)(vector)
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
            return (count < NEWTON_STEPS) & ((count < 2) | ~(promise < LEAST_PROMISE))

        # The first step stays where it starts, and looks about.
        none = jnp.zeros_like(start)
        unknown = (jnp.float32(jnp.inf), none, jnp.diag(none + 1))
        first = ((start, unknown), jnp.float32(0.01), 0, jnp.float32(0))
        best, *_ = jax.lax.while_loop(running, step, first)
        vector, (least, _, curvature) = best
        return vector, least, curvature

    vectors, losses, curvatures = jax.vmap(newton)(starts)
    best = jnp.argmin(losses)
    vector = vectors[best]
    ratio = jnp.log(periodogram) - jnp.log(likelihood.expected(family, vector))
    misfit = jnp.sqrt((used * ratio**2).sum() / used.sum())
    kernel = likelihood.kernel(family, vector)
    return Fit(vector, losses[best], curvatures[best], misfit, kernel)


SAMPLES = 64
"""Kernels that the posterior is shown by."""


def sample(fit: Fit, family: int | jax.Array, *, scale: int) -> jax.Array:
    """Kernels of the posterior that `confidence` states, always of the same draws.

    Returns:
      `SAMPLES x n x n`, aligned for the scale, sum 1.
    """
    values, axes = jnp.linalg.eigh(fit.hessian)
    # A direction that hardly matters to the loss is bounded all the same.
    deviations = fit.misfit * jnp.sqrt(SPREAD / jnp.maximum(values, 1e-3))
    size = len(fit.vector)
    fixed = (jnp.arange(size) == _KERNEL - 1) & (family != GENERALISED)
    likelihood = whittle(scale)

    def one(draw: jax.Array) -> jax.Array:
        step = axes @ (draw * deviations) * ~fixed
        return likelihood.kernel(family, fit.vector + step)

    draws = jax.random.normal(jax.random.key(0), (SAMPLES, size), fit.vector.dtype)
    return jax.vmap(one)(draws)


# --- For an image ---

LEAST_GAINS = {GENERALISED: 0.0025, MOTION: 0.005}
"""By how much the loss must be less than the Gaussian's for a family to be taken."""

LEAST_POWER = 1.5
"""Of a generalised Gaussian that is taken; b under 1, with long tails, only ever fitted
what the image shows."""

SETTINGS = (WINDOW, WINDOWS, STRIDE, PART, HEAVY_TAIL, LEAST_POWER, LEAST_GAINS)
"""What the figures of a benchmark depend on."""


LEAST_POWER_DENSITY = 1e-3
"""Of a periodogram, gray levels^2; drawn images may have 0."""


class Analysis(NamedTuple):
    """What the spectrum of an image says."""

    family: int
    fit: Fit
    """Of that family; NumPy arrays."""
    evidence: Evidence
    """For `confidence.judge`."""


def analyse(gray: np.ndarray, *, scale: int) -> Analysis:
    """Fits all families to an image, and chooses.

    Args:
      gray: `H x W` float64, gray levels from 0 to 255, at least `WINDOW` at each side.
      scale: Positive integer.

    Raises:
      ValueError: If the image is too small, or the model does not fit it at all.
    """
    # Less than what rounding to 8 bits makes of an image that has nothing there.
    measured = np.maximum(periodogram(gray), LEAST_POWER_DENSITY)
    jpeg = has_blocks(gray)
    used = USED_OF_JPEG if jpeg else USED
    with _COMPILING:  # Of several threads one compiles, and the others wait for it.
        program = _compiled(scale)
    fits, samples = jax.device_get(
        program(measured.astype(np.float32), used.astype(np.float32))
    )
    family = _choose(fits)
    fit = jax.tree.map(lambda x: x[family], fits)
    if not (np.isfinite(fit.loss) and np.isfinite(fit.kernel).all()):
        raise ValueError("no spectrum of this model fits the image")
    evidence = Evidence(
        kernels.without_margin(kernels.normalise(fit.kernel.astype(np.float64))),
        samples[family].astype(np.float64),
        misfit=float(fit.misfit),
        contrast=float(gray.std()),
        noise=float(np.exp(fit.vector[-1] / 2)),
        jpeg=jpeg,
    )
    return Analysis(family, fit, evidence)


def estimate_spectral(image: Any, *, scale: int = 2) -> KernelEstimate:
    """Finds the kernel that an image was downscaled with, from its spectrum alone.

    Deterministic. Kernels are Gaussian; or generalised Gaussian (a lens out of focus)
    or a straight motion, where that fits much better. See the top of this module for
    the model and its limits, and `confidence` for how sure it is.

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
    unit = images.to_unit(images.from_array(image))
    gray = check(unit)
    family, fit, evidence = analyse(gray, scale=scale)
    kernel, x4 = evidence.kernel, None
    if scale == 4:
        half = whittle(2).kernel(
            family, jnp.asarray(_halved(family, np.asarray(fit.vector)))
        )
        x2 = kernels.normalise(np.asarray(half, np.float64))
        kernel, x4 = kernels.without_margin(x2), kernel
    confidence = judge(evidence.kernel, evidence, scale=scale)
    return KernelEstimate(
        kernel,
        x4,
        np.asarray(fit.kernel),
        history={},
        converged=True,
        reason="",
        scale=2 if scale == 4 else scale,
        confidence=confidence,
        noise=channel_noise(evidence, unit),
        sure=confidence.level != "low",
    )


def noise(image: Any, *, scale: int) -> float:
    """The noise of an image whose kernel is known; 0 if its spectrum does not tell.

    Args and result as of `estimate_spectral` and `KernelEstimate.noise`.
    """
    try:
        return estimate_spectral(image, scale=scale).noise
    except ValueError:
        return 0.0


def _choose(fits: Fit) -> int:
    """The family of the best evidence: the Gaussian, but for a much better fit."""
    losses = np.where(np.isfinite(fits.loss), fits.loss, np.inf)
    for family, gain in LEAST_GAINS.items():
        if not losses[family] < losses[GAUSSIAN] - gain:
            losses[family] = np.inf
    if fits.vector[GENERALISED, _KERNEL - 1] < math.log(LEAST_POWER):
        losses[GENERALISED] = np.inf
    return int(np.argmin(losses))


def _halved(family: int, vector: np.ndarray) -> np.ndarray:
    """An x2 kernel's parameters of an x4 kernel's, of five times its variance."""
    if family == MOTION:
        width = (vector[2] ** 2 + LEAST_VARIANCE) / 5 - LEAST_VARIANCE
        shape = [*vector[:2] / math.sqrt(5), math.sqrt(max(width, 0))]
        return np.concatenate([shape, vector[3:]]).astype(np.float32)
    lower = np.array([[vector[0], 0], [vector[1], vector[2]]], np.float64)
    least = LEAST_VARIANCE * np.eye(2)
    values, axes = np.linalg.eigh((lower @ lower.T + least) / 5 - least)
    lower = np.linalg.cholesky((axes * np.maximum(values, 1e-4)) @ axes.T)
    start = [lower[0, 0], lower[1, 0], lower[1, 1]]
    return np.concatenate([start, vector[3:]]).astype(np.float32)


# --- Compiled ---

_COMPILING = threading.Lock()


@functools.lru_cache(maxsize=16)
def _compiled(scale: int) -> Callable[[Any, Any], tuple[Fit, jax.Array]]:
    """The fits of all families, and samples of their posteriors."""

    def every(periodogram: jax.Array, used: jax.Array) -> tuple[Fit, jax.Array]:
        def one(family: jax.Array) -> tuple[Fit, jax.Array]:
            found = fit(periodogram, family, used, scale=scale)
            return found, sample(found, family, scale=scale)

        return jax.vmap(one)(jnp.arange(len(FAMILIES)))

    shape = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
    return jax.jit(every).lower(shape, shape).compile()
