"""Kernels of several places or images together: their widths, smoothed.

The logarithms of the kernels' covariances (matrices, Arsigny et al.) are the values of
a Gaussian process on the places, each seen with the error that its posterior states and
that of its own content. Errors have Student's distribution: what is far off counts for
little. Many images with one kernel are many values at one place.

References:
  Arsigny, Fillard, Pennec, Ayache, "Log-Euclidean metrics for fast and simple calculus
    on diffusion tensors", Magnetic Resonance in Medicine 2006.
  Rasmussen, Williams, "Gaussian Processes for Machine Learning", 2006, section 2.2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kernelgan_jax import equivalent_gaussian, kernels
from kernelgan_jax.estimators.spectral.resamplers import RESAMPLERS, resampler_kernel

CHANGE = 0.8
"""Standard deviation of the logarithm of the variances over an image, away from their
mean."""

DISTANCE = 0.5
"""Distance over which the blur changes, of the image's longer side."""

OWN_ERROR = 0.3
"""Standard deviation of the logarithm of the variances that a part has beside its
posterior: its own content, of which its spectrum tells nothing."""

COMMON = 2.0
"""Standard deviation of the logarithm of the variances of all parts together: next to
nothing is known of it before."""

FREEDOM = 3.0
"""Degrees of freedom of Student's distribution, which the errors of parts have: one
that is far off counts for little."""

ROUNDS = 5
"""Number of rounds, each of new weights and a fit."""

_LEAST_VARIANCE = 0.02
"""Smallest variance that is told from none, pixels^2."""


class Pooled(NamedTuple):
    """One kernel for many images."""

    kernel: np.ndarray
    """`n x n`, aligned for the scale, sum 1."""
    width_std: float
    """Relative standard deviation of its widths."""


def pool(
    values: np.ndarray,
    variances: np.ndarray,
    *,
    resamplers: Sequence[str] = (),
    scale: int,
) -> Pooled:
    """The kernel of many images that were blurred alike, as by one camera.

    Their covariances are averaged as those of a map's parts, all at one place: an image
    that says little, or is far off, counts for little. If more than two thirds are
    taken for images of one resampler, the kernel is its.

    Args:
      values: `log_covariance` of what each image says without resamplers, `N x 3`.
      variances: Their variances, `N x 3`.
      resamplers: For each image the resampler whose kernel is likelier, or nothing.
      scale: Scale of the kernels.

    Raises:
      ValueError: If there is no image.
    """
    if not len(values):
        raise ValueError("values is empty; there must be at least one image")
    for name in RESAMPLERS:
        # So many do not happen by chance: narrow Gaussians are often taken for one.
        if 3 * list(resamplers).count(name) > 2 * len(values):
            kernel = np.asarray(resampler_kernel(name, scale), np.float64)
            return Pooled(kernels.trim(kernel), 0.0)
    mean, noise = np.median(values, 0), variances
    for _ in range(ROUNDS):
        mean = (values / noise).sum(0) / (1 / noise).sum(0)
        noise = _heavy_tailed(variances, values - mean)
    kernel = gaussian_of(covariance_of(mean), scale)
    error = 1 / (1 / noise).sum(0)
    return Pooled(kernel, float(np.sqrt(error.mean()) / 2))


def _heavy_tailed(variance: np.ndarray, off: np.ndarray) -> np.ndarray:
    """What errors count as that are off by so much: the weights of Student's
    distribution, as variances."""
    found: np.ndarray = variance * (FREEDOM + off**2 / variance) / (FREEDOM + 1)
    return found


def log_covariance(
    kernel: np.ndarray, samples: np.ndarray, *, scale: int
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of the covariance of a kernel, and its variances: 3 numbers each.

    Args:
      kernel: The kernel of a part or an image.
      samples: Kernels of its posterior; those that are not finite do not count.
      scale: Their scale.
    """

    def log(kernel: np.ndarray) -> np.ndarray:
        covariance = equivalent_gaussian.covariance(kernel, scale=scale)
        values, axes = np.linalg.eigh(covariance)
        matrix = (axes * np.log(np.maximum(values, _LEAST_VARIANCE))) @ axes.T
        return np.array([matrix[0, 0], matrix[1, 1], np.sqrt(2) * matrix[0, 1]])

    value = log(kernel)
    finite = samples[np.isfinite(samples).all((1, 2))]
    others = np.array([log(sample) for sample in finite]).reshape(-1, 3)
    square = ((others - value) ** 2).sum(0) / max(len(others), 1)
    return value, square + OWN_ERROR**2


def covariance_of(value: np.ndarray) -> np.ndarray:
    """The covariance whose logarithm is these 3 numbers: `2 x 2`."""
    both = value[2] / np.sqrt(2)
    values, axes = np.linalg.eigh(np.array([[value[0], both], [both, value[1]]]))
    covariance: np.ndarray = (axes * np.exp(values)) @ axes.T
    return covariance


def smooth(
    values: np.ndarray, variances: np.ndarray, at: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a Gaussian process, for each column of values.

    Args:
      values: `N x 3`.
      variances: Variances of their errors, `N x 3`.
      at: Where they were seen, `N x 2`.
      places: Where they are wanted, `M x 2`.

    Returns:
      Means and variances, `M x 3` each.
    """

    def covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        square = ((a[:, None] - b[None, :]) ** 2).sum(-1)
        same: np.ndarray = CHANGE**2 * np.exp(-square / (2 * DISTANCE**2))
        return same

    own, cross = covariance(at, at), covariance(places, at)
    means, errors = [], []
    for value, variance in zip(values.T, variances.T, strict=True):
        level = float(np.median(value))
        noise = variance
        for _ in range(ROUNDS):
            gram = own + COMMON**2 + np.diag(noise)
            solved = np.linalg.solve(gram, value - level)
            noise = _heavy_tailed(variance, noise * solved)
        gain = np.linalg.solve(gram, cross.T + COMMON**2).T
        means.append(level + gain @ (value - level))
        left = CHANGE**2 + COMMON**2 - (gain * (cross + COMMON**2)).sum(1)
        errors.append(np.maximum(left, 0))
    return np.stack(means, 1), np.stack(errors, 1)


def gaussian_of(covariance: np.ndarray, scale: int) -> np.ndarray:
    """The Gaussian of a covariance (rows first), as large as a frame."""
    return equivalent_gaussian.gaussian(
        kernels.frame_size(scale), covariance=covariance, scale=scale
    )
