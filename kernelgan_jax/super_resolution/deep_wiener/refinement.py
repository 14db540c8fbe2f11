"""Refits an estimated kernel with the picture that the network makes of its image.

An estimate is of a family, as Gaussians are, and no kernel is exactly of one. The
network's result knows more of the picture than second-order statistics: least squares
between it and the LR image give each value of the kernel, drawn to the estimate. The
network is told that the kernel is known and that there is more noise than there is, so
that it does not follow the image where only another kernel would explain it.

A kernel is taken only if it explains pixels that it was not fitted to clearly better.

References:
  Levin, Weiss, Durand, Freeman, "Understanding and evaluating blind deconvolution
  algorithms", CVPR 2009, section 3, for estimating the kernel and the picture in turn.
  Cho and Lee, "Fast Motion Deblurring", SIGGRAPH Asia 2009, section 4, for kernels that
  are fitted to derivatives.
"""

import operator
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kernelgan_jax import kernels, metrics, square_extremes
from kernelgan_jax.pixels import textured_window
from kernelgan_jax.super_resolution.deep_wiener.enlarge import enlarge_images
from kernelgan_jax.super_resolution.deep_wiener.request import Request
from kernelgan_jax.super_resolution.deep_wiener.weights import Weights

SCALES = (2, 3, 4)
"""Scales at which it was measured."""

DOUBT = 2 / 255
"""Standard deviation of the noise that the network is told of beside the image's."""

MAX_NOISE_STD = 1 / 255
"""Noise beyond which kernels stay as they are: the network's result follows the noise a
little, and the fit takes that for detail that a wider kernel has removed."""

VALUE_STD = 0.15
"""Relative standard deviation of a kernel's values about the estimate; that of the
noise of the kernels of DIV2KRK is 0.14."""

VALUE_FLOOR = 0.1
"""Values are that uncertain also where they are smaller than this part of the largest
one."""

CORRELATED_PIXELS = 16
"""Neighbouring errors are correlated: so many pixels count as one."""

BETTER = 0.985
"""Squared error of pixels that were left out, relative to that of the estimate, from
which on a kernel is not taken."""

MAX_PIXELS = 384**2
"""About the largest part of the image that is used, LR pixels."""

BLOCK = 16
"""Side of the squares of pixels that are left out in turn, LR pixels."""

CHUNK = 4096
"""Equations that are summed at a time."""


class _Equations(NamedTuple):
    """Normal equations of a kernel's values k: the sum of squared errors is
    `k @ matrix @ k - 2 * k @ vector + square`."""

    matrix: np.ndarray
    vector: np.ndarray
    square: float
    pixels: int
    """Number of errors."""

    def error(self, kernel: np.ndarray) -> float:
        """Mean squared error of a kernel."""
        k = kernel.ravel()
        whole = k @ self.matrix @ k - 2 * k @ self.vector + self.square
        return float(max(whole, 0.0)) / self.pixels


def refit(weights: Weights, request: Request) -> np.ndarray | None:
    """Refits the kernel of an image, where that explains it better.

    Args:
      weights: As `weights.load` gives them.
      request: The image or its `window`, with the estimate of its kernel.

    Returns:
      The new kernel, `n x n`, aligned, sum 1; None if the estimate stays: where it
      cannot be refitted, and where another kernel explains little.

    Raises:
      ValueError: If the request is out of range.
    """
    if not can_be_refitted(request):
        return None
    cautious = request._replace(
        noise_std=float(np.hypot(request.noise_std, DOUBT)),
        kernel_std=0.0,
        strength=1.0,
    )
    (picture,) = enlarge_images(weights, [cautious])
    return _fit(picture, request)


def _side(scale: int) -> int:
    """Side of the frame with the values that are fitted."""
    return 6 * scale + 1


def can_be_refitted(request: Request) -> bool:
    """Whether the kernel of an image can be refitted.

    It cannot at other scales than `SCALES`, with JPEG or noise above `MAX_NOISE_STD`,
    in images of less than `4 * BLOCK` pixels a side, and if it has more than `6 s + 1`.
    """
    if (
        request.scale not in SCALES
        or request.jpeg > 0
        or request.noise_std > MAX_NOISE_STD
        or min(request.image.shape[:2]) < 4 * BLOCK
    ):
        return False
    size = _side(request.scale)
    inside = metrics.pad_to_frame(request.kernel, scale=request.scale, size=size)
    return float(np.abs(request.kernel).sum() - np.abs(inside).sum()) < 0.01


def window(image: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the part of an image that is used: it has most detail."""
    return textured_window(image, 0, MAX_PIXELS, 4 * BLOCK)


def _fit(picture: np.ndarray, request: Request) -> np.ndarray | None:
    """The kernel between a picture and its LR image; None if it explains little."""
    scale, side = request.scale, _side(request.scale)
    estimate = kernels.normalise(
        metrics.pad_to_frame(request.kernel, scale=scale, size=side)
    )
    # The same second differences of both: neighbouring errors of a picture are much the
    # same, and most of what they have in common goes.
    fine = _second_differences(picture.mean(-1), step=scale)
    coarse = _second_differences(request.image.mean(-1), step=1)
    halves = [
        _equations(fine, coarse, kept, side=side, scale=scale)
        for kept in _halves(request)
    ]
    if min(half.pixels for half in halves) < side**2:
        return None
    whole = _Equations(*map(operator.add, *halves))
    # The error of the estimate stands for all that the fit does not explain.
    noise = CORRELATED_PIXELS * whole.error(estimate)
    least = VALUE_FLOOR * np.abs(estimate).max()
    inverse = noise / (VALUE_STD * (np.abs(estimate) + least)) ** 2
    ratios = [
        other.error(_solve(one, estimate, inverse)) / max(other.error(estimate), 1e-12)
        for one, other in (halves, halves[::-1])
    ]
    if not np.mean(ratios) < BETTER:
        return None
    return kernels.normalise(kernels.centre(_solve(whole, estimate, inverse), scale))


def _solve(
    equations: _Equations, estimate: np.ndarray, inverse: np.ndarray
) -> np.ndarray:
    """The most likely kernel, sum 1: a Gaussian prior about the estimate.

    `inverse` is the variance of the error over that of each value, `n x n`.
    """
    start = estimate.ravel()
    system = equations.matrix + np.diag(inverse.ravel())
    step = np.linalg.solve(system, equations.vector - equations.matrix @ start)
    return kernels.normalise((start + step).reshape(estimate.shape))


def _halves(request: Request) -> Iterator[np.ndarray]:
    """The usable LR pixels of each colour of a chessboard, `H x W`."""
    image, scale = request.image, request.scale
    # What is clipped does not follow the kernel. It is at an end of the image's own
    # range, wherever that lies in the type's.
    step = 1 / 512
    edge = -(-_side(scale) // (2 * scale)) + 4  # where the network lacks a picture
    inner = image[edge:-edge, edge:-edge]
    inside = np.asarray(((inner > step) & (inner < 1 - step)).all(-1))
    usable = np.pad(square_extremes.minimum(inside, 3), edge)
    if request.unusable is not None:
        usable &= ~square_extremes.maximum(request.unusable, 2 * edge + 1)
    rows, columns = np.indices(usable.shape) // BLOCK
    for colour in (0, 1):
        yield usable & ((rows + columns) % 2 == colour)


def _second_differences(image: np.ndarray, *, step: int) -> np.ndarray:
    """The Laplacian of an image, between pixels `step` apart; wrong at its edges."""
    shifts = ((step, 0), (-step, 0), (0, step), (0, -step))
    return 4 * image - sum(np.roll(image, shift, (0, 1)) for shift in shifts)


def _equations(
    picture: np.ndarray, image: np.ndarray, kept: np.ndarray, *, side: int, scale: int
) -> _Equations:
    """The equations of a kernel's values, from some LR pixels.

    Args:
      picture: `sH x sW`, second differences.
      image: `H x W`, the same of the LR image.
      kept: `H x W`, which of its pixels.
    """
    views = np.lib.stride_tricks.sliding_window_view(picture, (side, side))
    matrix, vector = np.zeros((side**2, side**2)), np.zeros(side**2)
    square, rows, columns = 0.0, *np.nonzero(kept)
    start = side // 2
    for some in np.array_split(np.arange(len(rows)), max(-(-len(rows) // CHUNK), 1)):
        at = rows[some], columns[some]
        places = (scale * n - start for n in at)
        patches = views[tuple(places)].reshape(-1, side**2)
        values = image[at]
        matrix += patches.T @ patches
        vector += patches.T @ values
        square += float(values @ values)
    return _Equations(matrix, vector, square, len(rows))
