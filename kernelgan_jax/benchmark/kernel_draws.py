"""Draws of kernels, one function for each of `protocols.PROTOCOLS`.

That of `varying` makes a map of kernels (`varying_blur`). All kernels are aligned as
`kernelgan_jax.kernels` states, of sum 1; those of resamplers and `unsharp` have
negative lobes. Lengths are in HR pixels.
"""

import math
from collections.abc import Callable

import numpy as np
import scipy.signal

from kernelgan_jax import blur_kernels, kernels

Draw = Callable[[np.random.Generator, int, float | None], np.ndarray]
"""`draw(rng, scale, noise)` makes one kernel, or a map; with `noise` None it has the
noise of the protocol."""


def _div2krk(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
    # 11 x 11 at x2 and 31 x 31 at x4 as in DIV2KRK; widths grow with the scale.
    size = {2: 11, 3: 21, 4: 31}.get(scale, 8 * scale - 1)
    kernel = blur_kernels.random_gaussian(
        rng,
        size,
        scale=scale,
        variances=(0.6 * scale**2 / 4, 5 * scale**2 / 4),
        noise=0.25 if noise is None else noise,
    )
    return _aligned(kernel, scale)


def _div2krk_composed(
    rng: np.random.Generator, scale: int, noise: float | None
) -> np.ndarray:
    if scale not in (2, 4):
        raise ValueError("kernels are composed for the scales 2 and 4")
    kernel = _div2krk(rng, 2, noise)
    if scale == 2:
        return kernel
    # The same as kernels.compose(kernel, kernel, scale=2), up to the last bit: SciPy
    # adds in another order, and test sets must come out as they always did.
    dilated = np.zeros([2 * side - 1 for side in kernel.shape])
    dilated[::2, ::2] = kernel
    return scipy.signal.convolve2d(kernel, dilated)


def _gaussians(variances: Callable[[int], tuple[float, float]]) -> Draw:
    """Gaussians whose smallest and largest variance are a function of the scale."""

    def draw(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
        kernel = blur_kernels.random_gaussian(
            rng,
            4 * scale + 3,
            scale=scale,
            variances=variances(scale),
            noise=noise or 0.0,
        )
        return _aligned(kernel, scale)

    return draw


def _motion(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
    length, angle = rng.uniform(1, 4) * scale, rng.uniform(0, math.pi)
    kernel = blur_kernels.motion(6 * scale + 1, length=length, angle=angle, scale=scale)
    return _aligned(_noisy(rng, kernel, noise), scale)


def _disk(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
    radius = rng.uniform(0.75, 2) * scale
    kernel = blur_kernels.disk(6 * scale + 1, radius=radius, scale=scale)
    return _aligned(_noisy(rng, kernel, noise), scale)


def _shake(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
    # A hand's acceleration is random; what is left of the mean speed gives a direction.
    speed = np.cumsum(rng.standard_normal((_PATH_POINTS, 2)), 0)
    points = np.cumsum(speed - rng.uniform(0.5, 1) * speed.mean(0), 0)
    points -= points.mean(0)
    reach = rng.uniform(1, 2.5) * scale
    points *= reach / np.abs(points).max()
    kernel = blur_kernels.path(8 * scale + 1, points=points, scale=scale)
    return _aligned(_noisy(rng, kernel, noise), scale)


_PATH_POINTS = 200
"""Number of points of a camera's path."""


def _unsharp(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
    size, unit = 8 * scale + 1, scale**2 / 4
    first, second = rng.uniform(0.6 * unit, 5 * unit, 2)
    angle, amount = rng.uniform(0, math.pi), rng.uniform(0.3, 1)
    made, blurred = (
        blur_kernels.gaussian(
            size, variances=(first + more, second + more), angle=angle, scale=scale
        )
        for more in (0.0, 4 * unit)
    )
    sharpened = (1 + amount) * made - amount * blurred
    return _centred(_noisy(rng, sharpened, noise), scale)


def _varying(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
    is_lens, least, more = rng.random() < 0.5, *rng.uniform(0.35, 0.55, 2)
    direction = rng.uniform(0, 2 * math.pi)
    across, down = math.cos(direction), math.sin(direction)

    def kernel(i: int, j: int) -> np.ndarray:
        y, x = ((place + 0.5) / _PARTS - 0.5 for place in (i, j))
        growth = 0.5 + (across * x + down * y) / (abs(across) + abs(down))
        if is_lens:  # From the middle to the corners, longer along the radius.
            growth = 2 * (x**2 + y**2)
        ratio = 1 + 0.3 * growth if is_lens else 1.0
        variance = ((least + more * growth) * scale) ** 2
        made = blur_kernels.gaussian(
            8 * scale + 1,
            variances=(variance * ratio, variance / ratio),
            angle=math.atan2(-y, x),
            scale=scale,
        )
        return _aligned(_noisy(rng, made, noise), scale) if noise else made

    return np.array([[kernel(i, j) for j in range(_PARTS)] for i in range(_PARTS)])


_PARTS = 5
"""Number of kernels of a map along each axis."""


def _resampler(make: Callable[[int], np.ndarray]) -> Draw:
    def draw(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
        return _centred(_noisy(rng, make(scale), noise), scale)

    return draw


def _centred(kernel: np.ndarray, scale: int) -> np.ndarray:
    """The kernel, which may have negative lobes, moved to its alignment."""
    moved = kernels.centre(kernel, scale)
    # What the spline leaves where there was nothing.
    return kernels.normalise(np.where(np.abs(moved) < 1e-9, 0, moved))


def _noisy(
    rng: np.random.Generator, kernel: np.ndarray, noise: float | None
) -> np.ndarray:
    return kernel * (1 + (noise or 0.0) * rng.uniform(-1, 1, kernel.shape))


def _aligned(kernel: np.ndarray, scale: int) -> np.ndarray:
    """The kernel moved back to its alignment, which noise has changed, at its size."""
    moved = kernels.centre(kernel, scale)
    pads = (np.array(moved.shape) - kernel.shape) // 2
    rows, columns = (
        slice(pad, pad + n) for pad, n in zip(pads, kernel.shape, strict=True)
    )
    return kernels.normalise(np.clip(moved[rows, columns], 0, None))


DRAWS: dict[str, Draw] = {
    "div2krk": _div2krk,
    "div2krk_composed": _div2krk_composed,
    "liang": _gaussians(lambda s: (0.175 * s, 2.5 * s)),
    "motion": _motion,
    "disk": _disk,
    "narrow": _gaussians(lambda s: (0.35 * s**2 / 4, s**2 / 4)),
    "shake": _shake,
    "unsharp": _unsharp,
    "varying": _varying,
    "bicubic": _resampler(blur_kernels.bicubic),
    "lanczos": _resampler(blur_kernels.lanczos),
    "box": _resampler(blur_kernels.box),
    "nearest": _resampler(blur_kernels.nearest),
}
"""The functions by the names of the protocols."""
