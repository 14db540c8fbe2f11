"""Random blur kernels for training.

All of it runs under `jit` and `vmap`: every family is computed, one is taken. Kernels
are `n x n`, n = `kernels.frame_size(s)`, aligned for the scale s, sum 1. Lengths are in
HR pixels.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import blur_kernels, kernels, metrics

FAMILIES = {
    "gaussian": 0.60,
    "generalised": 0.04,
    "disk": 0.07,
    "line": 0.07,
    "shake": 0.07,
    "bicubic": 0.09,
    "lanczos": 0.02,
    "box": 0.02,
    "triangle": 0.02,
}
"""How often each is drawn. A generalised Gaussian is an ellipse with soft edges; a line
and the path of a shaken camera are seen through an even pixel of the LR image."""

POINTS = 48
"""Points that make up a line or a path."""


class Drawn(NamedTuple):
    """A kernel, and a Gaussian that passes for it."""

    kernel: jax.Array
    """`n x n`."""
    widths: jax.Array
    """Standard deviations of the Gaussian along its axes: 2."""
    angle: jax.Array
    """Direction of the first of them, radians."""
    is_gaussian: jax.Array
    """1 if the kernel's family is Gaussian, else 0."""
    is_resampler: jax.Array
    """1 if it is a resampler's, else 0."""


def gaussian(widths: jax.Array, angle: jax.Array, *, scale: int) -> jax.Array:
    """An anisotropic Gaussian, aligned.

    Args:
      widths: Standard deviations along the axes: 2, positive.
      angle: Direction of the first axis.
    """
    quadratic = _quadratic(widths, angle, scale)
    return _normalised(jnp.exp(-quadratic / 2))


def _grid(scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the values, rows and columns, from the aligned centre."""
    n = kernels.frame_size(scale)
    place = (np.arange(n) - kernels.alignment((n, n), scale)[0]).astype(np.float32)
    return place[:, None], place[None, :]


def _quadratic(widths: jax.Array, angle: jax.Array, scale: int) -> jax.Array:
    rows, columns = _grid(scale)
    along = jnp.cos(angle) * rows + jnp.sin(angle) * columns
    across = -jnp.sin(angle) * rows + jnp.cos(angle) * columns
    return (along / widths[0]) ** 2 + (across / widths[1]) ** 2


def _normalised(kernel: jax.Array) -> jax.Array:
    return kernel / kernel.sum()


def _splats(path: jax.Array, width: float, scale: int) -> jax.Array:
    """Gaussians of one width along a path, `POINTS x 2`, centred."""
    path = path - path.mean(0, keepdims=True)
    rows, columns = _grid(scale)
    down = jnp.exp(-((rows.T - path[:, :1]) ** 2) / (2 * width**2))
    right = jnp.exp(-((columns - path[:, 1:]) ** 2) / (2 * width**2))
    return down.T @ right


def _fixed(scale: int) -> np.ndarray:
    """The bicubic, Lanczos, box and triangle kernels of a scale: `4 x n x n`."""
    makers = (blur_kernels.bicubic, blur_kernels.lanczos, blur_kernels.box)
    rows, columns = (np.clip(1 - np.abs(x) / scale, 0, None) for x in _grid(scale))
    triangle = kernels.normalise(rows * columns)
    return np.stack([*(_aligned(make, scale) for make in makers), triangle])


def _aligned(make: Callable[[int], np.ndarray], scale: int) -> np.ndarray:
    kernel = metrics.pad_to_frame(kernels.centre(make(scale), scale), scale=scale)
    return kernel.astype(np.float32)


def bicubic(scale: int) -> np.ndarray:
    """The bicubic kernel of a scale, `n x n`."""
    return _aligned(blur_kernels.bicubic, scale)


def draw(key: jax.Array, *, scale: int) -> Drawn:
    """Draws a kernel of a random family.

    With 25 % of multiplicative noise in half of the cases, as in the benchmark of
    KernelGAN (DIV2KRK).
    """
    keys = iter(jax.random.split(key, 20))

    def uniform(low: float, high: float, *shape: int) -> jax.Array:
        return jax.random.uniform(next(keys), shape, minval=low, maxval=high)

    # Gaussians: variances evenly as in DIV2KRK, or evenly in their logarithm.
    unit = max(scale, 1.6) ** 2 / 4
    even = uniform(0.35, 5.0, 2)
    spread = jnp.exp(uniform(float(np.log(0.1)), float(np.log(5.0)), 2))
    round_ = jax.random.bernoulli(next(keys), 0.15)
    variances = unit * jnp.where(uniform(0, 1) < 0.65, even, spread)
    variances = jnp.where(round_, variances[0], variances)
    angle = uniform(0, np.pi)
    gaussian_widths = jnp.sqrt(variances)
    quadratic = _quadratic(gaussian_widths, angle, scale)

    power = jnp.exp(uniform(float(np.log(0.7)), float(np.log(4.0))))
    radius = uniform(0.6, 2.0) * max(scale, 1.5)
    rows, columns = _grid(scale)
    distance = jnp.sqrt(rows**2 + columns**2)
    pixel = max(scale, 1.2) / np.sqrt(12)
    length = uniform(0.5, 4.0) * max(scale, 1.5)
    reach = jnp.linspace(-0.5, 0.5, POINTS)[:, None] * length
    line = reach * jnp.stack([jnp.cos(angle), jnp.sin(angle)])[None]
    # A path: speed changes smoothly, as a hand's.
    speed = jax.random.normal(next(keys), (POINTS, 2))
    speed = jax.lax.associative_scan(lambda a, b: a + b, speed, axis=0)
    path = jnp.cumsum(speed - 0.7 * speed.mean(0, keepdims=True), 0)
    path = path - path.mean(0, keepdims=True)
    path = path / jnp.sqrt((path**2).sum(-1).mean()) * uniform(0.3, 1.1) * scale

    fixed = _fixed(scale)
    candidates = jnp.stack(
        [
            jnp.exp(-quadratic / 2),
            jnp.exp(-((quadratic / 2) ** power)),
            jnp.clip(radius - distance + 0.5, 0, 1),
            _splats(line, pixel, scale),
            _splats(path, pixel, scale),
            *jnp.asarray(fixed),
        ]
    )
    chances = np.array(list(FAMILIES.values()))
    family = jax.random.categorical(next(keys), jnp.log(jnp.asarray(chances)))
    kernel = _normalised(candidates[family])

    noisy = jax.random.bernoulli(next(keys), 0.5) & (family < 5)
    factors = 1 + 0.25 * noisy * uniform(-1, 1, *kernel.shape)
    kernel = _centred(_normalised(kernel * factors), scale)

    # The Gaussian that passes for it: same transfer at the LR image's Nyquist
    # frequency for the fixed ones, same covariance for the others.
    sigma = pixel**2
    paths = jnp.array([[1.0, 0.0], [0.0, 1.0]]) * sigma + (path.T @ path) / POINTS
    values, axes = jnp.linalg.eigh(paths)
    same = [
        gaussian_widths,
        gaussian_widths * jnp.where(power > 1, 0.9, 1.1),
        jnp.stack([radius, radius]) / 2,
        jnp.stack([jnp.sqrt(sigma + length**2 / 12), jnp.float32(pixel)]),
        jnp.sqrt(values),
        *(jnp.full(2, scale * w) for w in (0.375, 0.36, 0.3, 0.43)),
    ]
    shake_angle = jnp.arctan2(axes[1, 0], axes[0, 0])
    return Drawn(
        kernel,
        jnp.stack(same)[family],
        jnp.where(family == 4, shake_angle, angle),
        (family == 0).astype(jnp.float32),
        (family >= 5).astype(jnp.float32),
    )


def _centred(kernel: jax.Array, scale: int) -> jax.Array:
    """Moves the centre of mass, which noise has shifted a little, back to alignment."""
    rows, columns = _grid(scale)
    down = (kernel * rows).sum() / kernel.sum()
    right = (kernel * columns).sum() / kernel.sum()
    # The first order of Taylor's series: exact for the centre of mass.
    for axis, shift in ((0, down), (1, right)):
        slope = (jnp.roll(kernel, -1, axis) - jnp.roll(kernel, 1, axis)) / 2
        kernel = kernel + shift * slope
    return _normalised(kernel)
