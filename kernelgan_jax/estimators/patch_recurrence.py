"""The kernel from the recurrence of patches across scales (Michaeli, Irani).

Michaeli, Irani, "Nonparametric Blind Super-Resolution", ICCV 2013: small patches of a
natural image occur again in the image itself at smaller scales. Downscaled with the
right kernel, and only so, the image holds them at their best. Its authors published no
code; this is written from the paper's description, for one image, as pure functions.

Nothing above `_compiled` is jitted or placed.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import checks, kernels
from kernelgan_jax.estimate import Evidence, KernelEstimate, Progress, ProgressCallback
from kernelgan_jax.estimators.registry import PatchRecurrenceConfig
from kernelgan_jax.parallel import map_images
from kernelgan_jax.pixels import check_structure, luma, textured_window

PATCH = 5
"""Side of the patches that are compared, LR pixels."""

SIGMA = 3 / 255
"""How much patches that are the same may differ, a pixel, for images in [0, 1]."""

SMOOTHNESS = 100.0
"""Weight of the kernel's derivatives, a patch."""

QUERIES = 2000
"""Patches of the LR image that are looked for."""

MAX_SIDE = 384
"""Side of a square, LR pixels: of images with more pixels than it has, the most
textured part of so many is used."""


class Data(NamedTuple):
    """What the iteration looks at, of one LR image."""

    queries: jax.Array
    """`q x PATCH^2`: patches of the LR image, each without its mean."""
    windows: jax.Array
    """`r x c x n^2`: what the kernel sees for each pixel of the downscaled image."""


class PatchRecurrence(NamedTuple):
    """The algorithm as pure functions of one image."""

    init: Callable[[], jax.Array]
    """`init() -> kernel`: an impulse, `n x n`."""
    step: Callable[[jax.Array, Data], jax.Array]
    """`step(kernel, data) -> kernel`"""


def patch_recurrence(
    size: int, *, sigma: float = SIGMA, smoothness: float = SMOOTHNESS
) -> PatchRecurrence:
    """The iteration of Michaeli and Irani (ICCV 2013).

    A step downscales the image with the kernel at hand, weights each pair of a patch q
    of the LR image and a patch r of the downscaled one by `exp(-|q - r|^2 / 2 sigma^2)`
    (in all 1 for each q), and solves the weighted least squares for the kernel that
    makes the r equal to the q, with a penalty on the kernel's derivatives. Patches are
    compared without their means. Where the paper keeps the nearest neighbours of q
    alone, all r are kept here: that is exact, and a few matrix products.

    Args:
      size: Side n of the kernel, HR pixels.
      sigma: See `SIGMA`.
      smoothness: See `SMOOTHNESS`.

    Returns:
      `init` and `step`; kernels are non-negative, of sum 1, not centred.

    Raises:
      ValueError: If an argument is out of range.
    """
    size = checks.whole("size", size)
    checks.number("sigma", sigma, positive=True)
    checks.number("smoothness", smoothness, positive=True)
    roughness = _derivatives(size)

    def init() -> jax.Array:
        return jnp.zeros((size, size)).at[size // 2, size // 2].set(1)

    def step(kernel: jax.Array, data: Data) -> jax.Array:
        queries, windows = data
        small = windows @ kernel.ravel()
        rows, columns = (side - PATCH + 1 for side in small.shape)
        places = [
            np.s_[i : i + rows, j : j + columns] for i, j in np.ndindex(PATCH, PATCH)
        ]
        candidates = jnp.stack([small[place] for place in places], -1)
        candidates = candidates.reshape(-1, PATCH**2)
        means = candidates.mean(1, keepdims=True)
        structure = candidates - means
        # |q - r|^2 up to |q|^2, which is the same for all r.
        closeness = queries @ structure.T - (structure**2).sum(1)[None] / 2
        weights = jax.nn.softmax(closeness / sigma**2, axis=1)
        # How much each r counts in all, and what it ought to be: then pixel by pixel.
        count = weights.sum(0)[:, None]
        target = (weights.T @ queries + count * means).reshape(rows, columns, -1)
        count = count.reshape(rows, columns)
        pixel_count, pixel_target = jnp.zeros_like(small), jnp.zeros_like(small)
        for t, place in enumerate(places):
            pixel_count = pixel_count.at[place].add(count)
            pixel_target = pixel_target.at[place].add(target[..., t])
        x = windows.reshape(-1, size**2)
        products = (x * pixel_count.reshape(-1, 1)).T @ x
        penalty = sigma**2 * smoothness * len(queries) * roughness
        kernel = jnp.linalg.solve(products + penalty, x.T @ pixel_target.ravel())
        kernel = jnp.clip(kernel, 0).reshape(size, size)
        return kernel / kernel.sum()

    return PatchRecurrence(init, step)


def _derivatives(size: int) -> np.ndarray:
    """`n^2 x n^2`: k' D k is the sum of the squared differences of neighbours."""
    padded = np.pad(np.eye(size**2).reshape(-1, size, size), ((0, 0), (1, 1), (1, 1)))
    differences = np.concatenate(
        [np.diff(padded, axis=axis).reshape(size**2, -1) for axis in (1, 2)], axis=1
    )
    return (differences @ differences.T).astype(np.float32)


def _gray(image: np.ndarray) -> np.ndarray:
    """Luma of the most textured part of an image."""
    height, width = image.shape[:2]
    side = min(MAX_SIDE, height, width) // 2 * 2
    if height * width > MAX_SIDE**2:
        image = image[textured_window(image, 0, MAX_SIDE**2, side)]
    return luma(image).astype(np.float32)


def prepare(image: np.ndarray, *, scale: int) -> Data:
    """Cuts the patches of an image: `QUERIES` of the more structured half, all windows.

    Args:
      image: `H x W x C` float32 in [0, 1], of a size that `check` accepts.
      scale: The scale that is estimated.
    """
    gray = _gray(image)
    size = kernel_side(scale)

    def cut(n: int) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(gray, (n, n))

    queries = cut(PATCH).reshape(-1, PATCH**2)
    queries = queries - queries.mean(1, keepdims=True)
    energy = (queries**2).sum(1)
    structured = np.flatnonzero(energy >= np.median(energy))
    # The same ones for the same image: nothing here is left to chance.
    chosen = np.linspace(0, len(structured) - 1, min(QUERIES, len(structured)))
    windows = cut(size)[::scale, ::scale]
    return Data(
        jnp.asarray(queries[structured[chosen.astype(int)]]),
        jnp.asarray(windows.reshape(*windows.shape[:2], -1)),
    )


def check(image: np.ndarray, *, scale: int, config: PatchRecurrenceConfig) -> None:
    """Checks that an image has patches that can recur.

    Raises:
      ValueError: If it is too small or has no structure.
    """
    del config
    first = _first_scale(scale)
    gray = _gray(image)
    height, width = gray.shape
    least = kernel_side(first) + first * 2 * PATCH
    if min(height, width) < least:
        raise ValueError(
            f"image is {width}x{height} pixels; patches recur in images of at least "
            f"{least} at each side at scale {scale}"
        )
    check_structure(gray)


def estimate(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    *,
    scale: int,
    config: PatchRecurrenceConfig,
    evidence: Sequence[Evidence | None],
    progress: ProgressCallback | None = None,
) -> list[KernelEstimate]:
    """Estimates kernels; at scale 4 they follow from the x2 kernels.

    Deterministic. If the iteration finds no kernel, `failure` says so. Arguments and
    result are those of `estimators/registry.py`.
    """
    del keys, evidence
    first = _first_scale(scale)

    def one(i: int, image: np.ndarray, report: ProgressCallback) -> KernelEstimate:
        data = prepare(image, scale=first)
        run = _compiled(kernel_side(first))
        kernel, failure = np.asarray(run(data, config.iterations), np.float64), ""
        if not np.isfinite(kernel).all():  # as for some stripes of period 2
            kernel = np.full_like(kernel, 1 / kernel.size)
            failure = "no kernel was found"
        kernel = kernels.normalise(kernels.centre(kernel, first))
        report(Progress(image=i, phase="patch_recurrence", step=1, total=1))
        if first == scale:
            return KernelEstimate(kernel, scale, failure=failure)
        larger, smaller = kernels.kernel_x4(kernel), ((first, kernel),)
        return KernelEstimate(larger, scale, smaller, failure=failure)

    return map_images(one, images, progress=progress)


def kernel_side(scale: int) -> int:
    """Side of the kernel, HR pixels."""
    return 4 * scale + 3


def _first_scale(scale: int) -> int:
    """The scale that is estimated; the x4 kernel follows from it."""
    return 2 if scale == 4 else scale


@functools.lru_cache(maxsize=8)
def _compiled(size: int) -> Callable[[Data, int], jax.Array]:
    init, step = patch_recurrence(size)

    def run(data: Data, iterations: int) -> jax.Array:
        # By default GPUs and TPUs round the factors of products to fewer bits.
        with jax.default_matmul_precision("highest"):
            return jax.lax.fori_loop(0, iterations, lambda _, k: step(k, data), init())

    return jax.jit(run)
