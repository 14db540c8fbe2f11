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

from kernelgan_jax import checks, kernels
from kernelgan_jax.estimate import Evidence, KernelEstimate
from kernelgan_jax.estimators.spectral.confidence import channel_noise, judge
from kernelgan_jax.estimators.spectral.families import (
    FAMILIES,
    GAUSSIAN,
    GENERALISED,
    KERNEL_PARAMETERS,
    MOTION,
    families,
    halve,
)
from kernelgan_jax.estimators.spectral.fit import (
    LEAST_PROMISE,
    NEWTON_STEPS,
    Fit,
    fit,
    unpack_spectrum,
)
from kernelgan_jax.estimators.spectral.likelihood import (
    FREQUENCY_WEIGHTS,
    HEAVY_TAIL,
    JPEG_FREQUENCY_WEIGHTS,
    PRIOR_WEIGHT,
)
from kernelgan_jax.estimators.spectral.periodogram import (
    PART,
    SHAPE,
    STRIDE,
    WINDOW,
    WINDOWS,
    has_blocks,
    periodogram,
    to_gray,
)
from kernelgan_jax.estimators.spectral.posterior import (
    NEIGHBOURS,
    SAMPLES,
    posterior,
    sample,
)
from kernelgan_jax.pixels import from_array, to_unit

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
    PRIOR_WEIGHT,
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
    used = JPEG_FREQUENCY_WEIGHTS if jpeg else FREQUENCY_WEIGHTS
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
        kernels.trim(kernels.normalise(fit.kernel.astype(np.float64))),
        samples[family].astype(np.float64),
        misfit=float(fit.misfit),
        contrast=float(gray.std()),
        spectrum=jax.tree.map(np.asarray, unpack_spectrum(fit.vector)),
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
    unit = to_unit(from_array(image))
    gray = to_gray(unit)
    family, fit, evidence = analyse(gray, scale=scale)
    kernel, x4 = evidence.kernel, None
    if scale == 4:
        half = families(2).kernel(
            family, jnp.asarray(halve(family, np.asarray(fit.vector)))
        )
        x2 = kernels.normalise(np.asarray(half, np.float64))
        kernel, x4 = kernels.trim(x2), kernel
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
    if fits.vector[GENERALISED, KERNEL_PARAMETERS - 1] < math.log(LEAST_POWER):
        losses[GENERALISED] = np.inf
    return int(np.argmin(losses))


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
