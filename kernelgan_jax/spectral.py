"""The kernel from the image's power spectrum, by maximum likelihood.

Kernel and spectrum of `whittle.py`'s model are found together, for three families of
kernels, by Newton's method; the posterior is a Gaussian around what is found. Phase is
not seen: a kernel that is not symmetric is taken for one that is.

From `families` to `sample` all is pure, for one image, may be jitted and vmapped;
nothing above `_compiled` is jitted or placed.
"""

import functools
import math
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import checks, images, kernels
from kernelgan_jax.confidence import (
    PRIORS,
    SHARPNESS,
    SPREAD,
    Evidence,
    channel_noise,
    judge,
)
from kernelgan_jax.kernel_estimate import KernelEstimate
from kernelgan_jax.prior import LEAST_VARIANCE, generalised_gaussian, motion
from kernelgan_jax.whittle import (
    HEAVY_TAIL,
    PART,
    PRIOR,
    SHAPE,
    STRIDE,
    USED,
    USED_OF_JPEG,
    WINDOW,
    WINDOWS,
    Spectrum,
    check,
    has_blocks,
    periodogram,
    whittle,
)

# --- Families of kernels ---

FAMILIES = GAUSSIAN, GENERALISED, MOTION = 0, 1, 2
"""`gaussian`, `generalised_gaussian` and `motion` of `prior`.

A generalised Gaussian is `exp(-q^b / 2)`, q the quadratic form of a Gaussian: at b = 1
that Gaussian, from b = 3 on an even ellipse, as of a lens out of focus.
"""

_KERNEL = 4
"""Parameters of a kernel: the Cholesky factor of the covariance (three values, row by
row), and log b; of a motion its line (rows, columns), its width, and 0."""


class Families(NamedTuple):
    """All of them as pure functions; which one is an argument, and may be traced."""

    starts: Callable[[int | jax.Array], jax.Array]
    """`starts(family) -> 3 x 4`: kernels of three directions."""
    kernel: Callable[[int | jax.Array, jax.Array], jax.Array]
    """`kernel(family, parameters) -> n x n`, aligned for the scale, sum 1."""
    priors: Callable[[int | jax.Array, jax.Array], jax.Array]
    """`priors(family, parameters) -> scalar`, to add to the likelihood's loss."""


def families(scale: int) -> Families:
    """The families at one scale.

    Their priors are weak, as those of `whittle`: the log of the area (root of the
    covariance's determinant) is that of 2 (s^2 - 1) / 3 pixels^2 +- 1; at scale 1, of
    2 / 3. Ellipses are round (`3 PRIOR log(mean variance / area)`, as one standard
    deviation where a width is 2.4 times the other), and log b is 0 +- 1. The Gaussian
    of a motion has the variance of a pixel, s^2 / 12, its log +- 1; alone it would pass
    for motion what is round.

    Raises:
      ValueError: If the scale is no positive integer.
    """
    size = whittle(scale).size
    ellipse, line = (f(size, scale=scale) for f in (generalised_gaussian, motion))
    usual = max(scale**2 - 1, 1) / 3  # Variances grow like this by repeated x2.

    def starts(family: int | jax.Array) -> jax.Array:
        ellipses = [(1.0, 0.0, 1.0), (1.8, 0.0, 0.5), (0.5, 0.0, 1.8)]
        turns = np.pi * np.arange(3) / 3
        lines = np.stack([np.sin(turns), np.cos(turns), 0.2 + 0 * turns], 1)
        shapes = jnp.where(
            family == MOTION,
            1.5 * scale * jnp.asarray(lines, jnp.float32),
            jnp.sqrt(2.8 * usual * jnp.asarray(ellipses, jnp.float32)),
        )
        return jnp.pad(shapes, ((0, 0), (0, 1)))

    def kernel(family: int | jax.Array, parameters: jax.Array) -> jax.Array:
        shape, shift = parameters[:3], jnp.zeros(2, parameters.dtype)
        return jnp.where(
            family == MOTION,
            line.kernel({"line": shape[:2], "width": shape[2], "shift": shift}),
            ellipse.kernel(
                {"cholesky": shape, "shift": shift, "log_power": parameters[3]}
            ),
        )

    def priors(family: int | jax.Array, parameters: jax.Array) -> jax.Array:
        top, corner, bottom, log_power = parameters
        a, b = top**2 + LEAST_VARIANCE, top * corner
        c = corner**2 + bottom**2 + LEAST_VARIANCE
        # A line of length l has variance l^2 / 12.
        across = bottom**2 + LEAST_VARIANCE
        along = across + (top**2 + corner**2) / 12
        is_motion = family == MOTION
        area = jnp.sqrt(jnp.where(is_motion, along * across, a * c - b**2))
        of_ellipse = 3 * jnp.log((a + c) / 2 / area) + log_power**2
        of_motion = jnp.log(12 * across / scale**2) ** 2
        of_all = jnp.log(area / (2 * usual)) ** 2
        return PRIOR * (of_all + jnp.where(is_motion, of_motion, of_ellipse))

    return Families(starts, kernel, priors)


# --- Kernel and spectrum together ---

NEWTON_STEPS = 40
"""At most."""

LEAST_PROMISE = 1e-7
"""Decrease of the loss that a step must promise, or the search ends."""


class Fit(NamedTuple):
    """A minimum of the loss."""

    vector: jax.Array
    """Parameters of the kernel (4) and of the spectrum (7, as `Spectrum` has them)."""
    loss: jax.Array
    """Mean misfit over frequencies, and the priors."""
    hessian: jax.Array
    """Of the loss by the vector, of the free parameters alone: others are 0, 1 on the
    diagonal."""
    ended: jax.Array
    """Whether the search came to its end."""
    misfit: jax.Array
    """Root mean square over frequencies of `log P/M`."""
    kernel: jax.Array
    """`n x n`, aligned for the scale."""


def _spectrum(vector: jax.Array) -> Spectrum:
    amplitude, exponent, c, d, e, f, noise = vector[_KERNEL:]
    return Spectrum(amplitude, exponent, jnp.stack([c, d, e, f]), noise)


def _free(family: int | jax.Array) -> jax.Array:
    """1 for parameters that the family has, 0 for the others: `11`."""
    fixed = (jnp.arange(_KERNEL + 7) == _KERNEL - 1) & (family != GENERALISED)
    return 1 - fixed.astype(jnp.float32)


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
      periodogram: As `whittle.periodogram` gives it, in gray levels^2.
      family: `GAUSSIAN`, `GENERALISED` or `MOTION`.
      used: Weights of the frequencies.
      scale: Positive integer.

    Raises:
      ValueError: If the scale is no positive integer.
    """
    likelihood, kinds = whittle(scale), families(scale)
    periodogram = jnp.asarray(periodogram, jnp.float32)
    family, used = jnp.asarray(family), jnp.asarray(used, jnp.float32)
    free = _free(family)

    def loss(vector: jax.Array) -> jax.Array:
        shape, spectrum = vector[:_KERNEL], _spectrum(vector)
        kernel = kinds.kernel(family, shape)
        misfit = likelihood.misfit(kernel, spectrum, periodogram)
        mean = (used * misfit).sum() / used.sum()
        return mean + likelihood.priors(spectrum) + kinds.priors(family, shape)

    def derivatives(vector: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        def slope_first(vector: jax.Array) -> Any:
            value, slope = jax.value_and_grad(loss)(vector)
            return slope, (value, slope)

        curvature, (value, slope) = jax.jacfwd(slope_first, has_aux=True)(vector)
        curvature = (curvature + curvature.T) / 2 * free[:, None] * free[None, :]
        return value, free * slope, curvature + jnp.diag(1 - free)

    def newton(start: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        def step(state: Any) -> Any:
            best, damping, count, _ = state
            vector, (least, slope, curvature) = best
            values, axes = jnp.linalg.eigh(curvature)
            ahead = (axes.T @ slope) / (jnp.abs(values) + damping)
            there = vector - axes @ ahead
            found = (there, derivatives(there))
            whole = jnp.isfinite(found[1][2]).all()
            better = whole & (found[1][0] < least)  # NaN is not.
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
        best, *_, promise = jax.lax.while_loop(running, step, first)
        vector, (least, _, curvature) = best
        return vector, least, curvature, promise < LEAST_PROMISE

    usual = jnp.concatenate([jnp.ravel(x) for x in likelihood.start(periodogram)])
    starts = jnp.concatenate([kinds.starts(family), jnp.tile(usual, (3, 1))], axis=1)
    vectors, losses, curvatures, ended = jax.vmap(newton)(starts)
    best = jnp.argmin(losses)
    # Of starts that lead to one minimum any may be the lowest, by rounding.
    ended = (ended & (losses < losses[best] + LEAST_PROMISE)).any()
    vector = vectors[best]
    kernel = kinds.kernel(family, vector[:_KERNEL])
    expected = likelihood.expected(kernel, _spectrum(vector))
    square = jnp.log(periodogram / expected) ** 2
    misfit = jnp.sqrt((used * square).sum() / used.sum())
    return Fit(vector, losses[best], curvatures[best], ended, misfit, kernel)


# --- How sure it is ---

NEIGHBOURS = 8
"""Frequencies that are as far apart as this err independently of each other."""

SAMPLES = 64
"""Kernels that the posterior is shown by."""


def posterior(
    fit: Fit,
    periodogram: jax.Array,
    family: int | jax.Array,
    used: Any = USED,
    *,
    scale: int,
) -> jax.Array:
    """The covariance of the vector, as `confidence.py` states it: `11 x 11`.

    Of neighbours beyond the vertical edges of the half-plane of frequencies nothing is
    counted.

    Args:
      fit: Of the same arguments.
    """
    likelihood, kinds = whittle(scale), families(scale)
    free, used = _free(family), jnp.asarray(used, jnp.float32)

    def misfit(vector: jax.Array) -> jax.Array:
        kernel = kinds.kernel(family, vector[:_KERNEL])
        each = likelihood.misfit(kernel, _spectrum(vector), periodogram)
        return used * each / used.sum()

    def priors(vector: jax.Array) -> jax.Array:
        of_kernel = kinds.priors(family, vector[:_KERNEL])
        return of_kernel + likelihood.priors(_spectrum(vector))

    slopes = jax.jacfwd(misfit)(fit.vector)
    rows, columns = np.fft.fftfreq(WINDOW, 1 / WINDOW), np.arange(SHAPE[1])
    near_rows, near_columns = (
        jnp.asarray(np.maximum(1 - x / NEIGHBOURS, 0), jnp.float32)
        for x in (
            np.abs((rows[:, None] - rows + WINDOW / 2) % WINDOW - WINDOW / 2),
            np.abs(columns[:, None] - columns),
        )
    )
    together = jnp.einsum("rs,cd,sdj->rcj", near_rows, near_columns, slopes)
    moved = SPREAD * jnp.einsum("rci,rcj->ij", slopes, together)
    moved += PRIORS * jax.hessian(priors)(fit.vector)
    values, axes = jnp.linalg.eigh(fit.hessian)
    # A direction that hardly matters to the loss is bounded all the same.
    inverse = (axes / jnp.maximum(values, 1e-3)[None]) @ axes.T
    # All widths by the same part, half as much as variances.
    wider = jnp.where(jnp.arange(len(fit.vector)) < 3, SHARPNESS / 2 * fit.vector, 0)
    covariance = inverse @ moved @ inverse + jnp.outer(wider, wider)
    return covariance * free[:, None] * free[None, :]


def sample(
    fit: Fit, covariance: jax.Array, family: int | jax.Array, *, scale: int
) -> jax.Array:
    """Kernels of a posterior, always of the same draws.

    Returns:
      `SAMPLES x n x n`, aligned for the scale, sum 1.
    """
    values, axes = jnp.linalg.eigh(covariance)
    root = axes * jnp.sqrt(jnp.maximum(values, 0))[None]
    kinds = families(scale)
    from scipy.stats import qmc  # Slow to import.

    zeros = np.zeros(len(fit.vector))
    even = qmc.MultivariateNormalQMC(zeros, rng=np.random.default_rng(0))
    draws = jnp.asarray(even.random(SAMPLES), fit.vector.dtype)
    return jax.vmap(lambda vector: kinds.kernel(family, vector[:_KERNEL]))(
        fit.vector[None] + draws @ root.T
    )


# --- For an image ---

LEAST_GAINS = {GENERALISED: 0.0025, MOTION: 0.005}
"""By how much the loss must be less than the Gaussian's for a family to be taken."""

LEAST_POWER = 1.5
"""Of a generalised Gaussian that is taken; b under 1, with long tails, only ever fitted
what the image shows."""

SETTINGS = (
    NEIGHBOURS,
    SAMPLES,
    NEWTON_STEPS,
    LEAST_PROMISE,
    WINDOW,
    WINDOWS,
    STRIDE,
    PART,
    HEAVY_TAIL,
    PRIOR,
    LEAST_POWER,
    LEAST_GAINS,
)
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
        spectrum=jax.tree.map(np.asarray, _spectrum(fit.vector)),
        jpeg=jpeg,
        ended=bool(fit.ended),
    )
    return Analysis(family, fit, evidence)


def estimate_spectral(image: Any, *, scale: int = 2) -> KernelEstimate:
    """Finds the kernel that an image was downscaled with, from its spectrum alone.

    Deterministic. Kernels are Gaussian; or generalised Gaussian (a lens out of focus)
    or a straight motion, where that fits much better. See `whittle` for the model, the
    top of this module for its limits, and `confidence` for how sure it is.

    Args:
      image: `H x W`, `H x W x 1` or `H x W x 3`: uint8, uint16, or floating point in
        [0, 1]. Both sides at least `WINDOW` pixels.
      scale: Positive integer; at 1 the kernel is a plain blur.

    Returns:
      The estimate. Its `kernel` is of `scale`; but at scale 4 it is the x2 kernel that
      leads to `kernel_x4` as far as variances go. `raw_kernel` is what was fitted,
      `history` empty; it is not `converged` if the search did not end.

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
        half = families(2).kernel(
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
        converged=evidence.ended,
        reason="" if evidence.ended else confidence.reason,
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
    log_power = vector[_KERNEL - 1]
    if family == MOTION:
        width = (vector[2] ** 2 + LEAST_VARIANCE) / 5 - LEAST_VARIANCE
        shape = [*vector[:2] / math.sqrt(5), math.sqrt(max(width, 0))]
        return np.array([*shape, log_power], np.float32)
    lower = np.array([[vector[0], 0], [vector[1], vector[2]]], np.float64)
    least = LEAST_VARIANCE * np.eye(2)
    values, axes = np.linalg.eigh((lower @ lower.T + least) / 5 - least)
    lower = np.linalg.cholesky((axes * np.maximum(values, 1e-4)) @ axes.T)
    return np.array([lower[0, 0], *lower[1], log_power], np.float32)


# --- Compiled ---

_COMPILING = threading.Lock()


@functools.lru_cache(maxsize=16)
def _compiled(scale: int) -> Callable[[Any, Any], tuple[Fit, jax.Array]]:
    """The fits of all families, and samples of their posteriors."""

    def every(periodogram: jax.Array, used: jax.Array) -> tuple[Fit, jax.Array]:
        def one(family: jax.Array) -> tuple[Fit, jax.Array]:
            found = fit(periodogram, family, used, scale=scale)
            covariance = posterior(found, periodogram, family, used, scale=scale)
            return found, sample(found, covariance, family, scale=scale)

        return jax.vmap(one)(jnp.arange(len(FAMILIES)))

    shape = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
    return jax.jit(every).lower(shape, shape).compile()
