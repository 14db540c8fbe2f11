"""Models of the SR kernel as differentiable components, for KernelGAN and for others.

A `KernelPrior` is a NamedTuple of pure functions: parameters come from `init`, a kernel
comes of them by `kernel`, and `penalty` and `log_prob` say how plausible a kernel is.
Minimise over the parameters whatever depends on the kernel:

    model = prior.simplex(13)

    def loss(params):
        kernel = model.kernel(params)
        misfit = ((downscale(hr, kernel, 2) - lr) ** 2).sum() / (2 * sigma**2)
        return misfit + sum(model.penalty(kernel).values())

    params = model.init(key)
    gradient = jax.grad(loss)(params)

Nothing here is jitted; all of it can be, under `vmap`, `grad` (twice), `checkpoint` and
in `scan`. Kernels are as `kernelgan_jax.kernels` states, and aligned for the prior's
scale where the prior knows of an alignment. Computation is in the precision of the
parameters: for float64, cast what `init` gives.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from kernelgan_jax import checks, kernels, losses
from kernelgan_jax.config import DEFAULT
from kernelgan_jax.flow import Flow, shipped
from kernelgan_jax.networks import DeepLinearGenerator

Params = Any
"""A pytree of arrays."""

PENALTY_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {name: getattr(DEFAULT, f"{name}_weight") for name in losses.KERNEL_TERMS}
)
"""KernelGAN's, at the end of its schedule (Bell-Kligler et al. 2019, equation 3)."""

LEAST_VARIANCE = 0.1
"""Of `gaussian`, pixels^2: narrower Gaussians fall between the pixels."""

START_NOISE = (-0.25, 0.25)
"""Multiplicative noise on the kernel that `flow` starts from: DIV2KRK's."""


class KernelPrior(NamedTuple):
    """A model of the kernel: pure functions, of one kernel each."""

    init: Callable[[jax.Array], Params]
    """Random parameters from a JAX key, float32."""
    kernel: Callable[[Params], jax.Array]
    """The `h x w` kernel of parameters."""
    penalty: Callable[[jax.Array], dict[str, jax.Array]]
    """Weighted penalties of an `h x w` kernel by name; see `penalty`."""
    log_prob: Callable[[jax.Array], jax.Array] | None = None
    """Logarithm of the density of an `h x w` kernel, where the prior has one."""


def penalty(
    kernel: ArrayLike, *, scale: int = 2, weights: Mapping[str, Any] = PENALTY_WEIGHTS
) -> dict[str, jax.Array]:
    """KernelGAN's penalties of a kernel (Bell-Kligler et al. 2019, equation 3).

    `sum`: distance of the sum from 1. `boundary`: mean absolute value, weighted by the
    closeness to the boundary. `centre`: mean squared distance, pixels^2, of the centre
    of mass from the alignment. `sparsity`: mean of `|k|^0.2`. Gradients are finite
    everywhere, also at 0.

    Args:
      kernel: `h x w`, floating point; its sum need not be 1.
      scale: The scale that the kernel is to be aligned for, a positive integer.
      weights: Weights of the terms by name, at least 0, or traced scalars; a term that
        is left out is not computed.

    Returns:
      Each term times its weight, by name, scalars.

    Raises:
      ValueError: If the kernel has not 2 axes or is not floating point, the scale or a
        weight is out of range, or a name is unknown.
    """
    kernel = jnp.asarray(kernel)
    checks.floating("kernel", kernel, (2,))
    _check(scale, weights)
    terms: dict[str, Callable[[jax.Array], jax.Array]] = {
        **losses.KERNEL_TERMS,
        "centre": functools.partial(losses.centralised, scale=scale),
    }
    return {name: weight * terms[name](kernel) for name, weight in weights.items()}


def deep_linear(
    filters: Sequence[int | tuple[int, int]] = (7, 5, 3, 1, 1, 1),
    *,
    strides: Sequence[int] | None = None,
    channels: int = 64,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """KernelGAN's prior: the kernel that a deep linear network stands for.

    Gradient descent on the factors prefers simple kernels (Bell-Kligler et al. 2019,
    section 4.1); its sum is free, and `penalty` draws it to 1. The parameters are the
    filters, `filter_0` to `filter_(n-1)`, each `h x w x in x out`.

    Args:
      filters: Side, or (height, width), of the filter of each layer, input to output.
      strides: Stride of each layer; their product is the scale. By default all are 1
        but the last, which is 2.
      channels: Hidden channels, positive.
      weights: Of `penalty`.

    Returns:
      A prior for kernels of side `1 + sum_i (h_i - 1) s_0 ... s_(i-1)`.

    Raises:
      ValueError: If an argument is out of range.
    """
    if not isinstance(filters, Sequence) or not filters:
        raise ValueError(f"filters is {filters!r}; it must be a sequence, not empty")
    sizes = tuple(_shape("filters", size) for size in filters)
    if strides is None:
        strides = [1] * (len(sizes) - 1) + [2]
    if not isinstance(strides, Sequence) or len(strides) != len(sizes):
        raise ValueError(
            f"strides is {strides!r}; it must be a sequence of {len(sizes)} integers"
        )
    for stride in strides:
        checks.whole("strides", stride)
    checks.whole("channels", channels)
    generator = DeepLinearGenerator(sizes, channels, tuple(strides))

    def init(key: jax.Array) -> Params:
        return generator.init(key)["params"]

    def kernel(params: Params) -> jax.Array:
        return cast(jax.Array, generator.apply({"params": params}))

    return KernelPrior(init, kernel, _penalty(math.prod(strides), weights))


def simplex(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """Any non-negative kernel of sum 1: the softmax of free parameters, `h x w`.

    It assumes nothing else, so that it also fits motion and disk kernels, and starts
    close to a uniform kernel.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that `penalty` wants the kernel aligned for.
      weights: Of `penalty`.

    Raises:
      ValueError: If an argument is out of range.
    """
    shape = _shape("shape", shape)

    def init(key: jax.Array) -> Params:
        return 0.01 * jax.random.normal(key, shape)

    def kernel(params: Params) -> jax.Array:
        if params.shape != shape:
            raise ValueError(f"params has shape {params.shape}; it must be {shape}")
        return jax.nn.softmax(params, axis=(0, 1))

    return KernelPrior(init, kernel, _penalty(scale, weights))


def gaussian(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """An anisotropic Gaussian of sum 1: three parameters, and two of a shift.

    The covariance is `L L' + LEAST_VARIANCE I` (pixels^2, rows first). The parameters
    are a dictionary: `cholesky`, the three values of the lower triangle L row by row,
    and `shift`, (rows, columns) in pixels from the alignment for the scale.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that the kernel is aligned for.
      weights: Of `penalty`.

    Raises:
      ValueError: If an argument is out of range.
    """
    shape = _shape("shape", shape)
    bound_penalty = _penalty(scale, weights)
    square = _quadratic_form(shape, scale)

    def init(key: jax.Array) -> Params:
        noise = 0.1 * jax.random.normal(key, (3,))
        return {
            "cholesky": jnp.array([1.5, 0.0, 1.5]) + noise,
            "shift": jnp.zeros(2),
        }

    def kernel(params: Params) -> jax.Array:
        q = square(params["cholesky"], params["shift"])
        return jax.nn.softmax(-q / 2, axis=(0, 1))

    return KernelPrior(init, kernel, bound_penalty)


def generalised_gaussian(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """`exp(-q^b / 2)` of sum 1, q the quadratic form of a Gaussian.

    With b = 1 that Gaussian; the larger b, the flatter and the sharper its rim: an even
    ellipse, which is a disk or, when thin, the line of a motion. The parameters are
    those of `gaussian` and `log_power`, the logarithm of b, which starts at 0.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that the kernel is aligned for.
      weights: Of `penalty`.

    Raises:
      ValueError: If an argument is out of range.
    """
    normal = gaussian(shape, scale=scale, weights=weights)
    square = _quadratic_form(_shape("shape", shape), scale)

    def init(key: jax.Array) -> Params:
        return {**normal.init(key), "log_power": jnp.zeros(())}

    def kernel(params: Params) -> jax.Array:
        q = square(params["cholesky"], params["shift"])
        # Away from 0, where a power has no derivative.
        power = jnp.maximum(q, 1e-6) ** jnp.exp(params["log_power"])
        return jax.nn.softmax(-power / 2, axis=(0, 1))

    return KernelPrior(init, kernel, normal.penalty)


def motion(
    shape: int | tuple[int, int],
    *,
    scale: int = 2,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """An even line, blurred by a round Gaussian, of sum 1: a straight motion.

    The parameters are a dictionary: `line`, (rows, columns) in pixels from one end of
    the line to the other, of which the sign does not matter; `width`, whose square and
    `LEAST_VARIANCE` are the Gaussian's variance (the pixels of a scale of s have
    s^2 / 12 of it, pixels^2); and `shift` as in `gaussian`.

    Args:
      shape: Side, or (height, width), of the kernel.
      scale: Scale that the kernel is aligned for.
      weights: Of `penalty`.

    Raises:
      ValueError: If an argument is out of range.
    """
    shape = _shape("shape", shape)
    rows, columns = np.indices(shape) - kernels.alignment(shape, scale)[:, None, None]

    def init(key: jax.Array) -> Params:
        line = scale * jax.random.normal(key, (2,))
        return {"line": line, "width": jnp.asarray(0.3 * scale), "shift": jnp.zeros(2)}

    def kernel(params: Params) -> jax.Array:
        line, width, shift = params["line"], params["width"], params["shift"]
        row = jnp.asarray(rows, line.dtype) - shift[0]
        column = jnp.asarray(columns, line.dtype) - shift[1]
        length = jnp.sqrt((line**2).sum() + 1e-4)  # Its root has no derivative at 0.
        along = (row * line[0] + column * line[1]) / length
        across = (row * line[1] - column * line[0]) / length
        root = jnp.sqrt(2 * (width**2 + LEAST_VARIANCE))
        ends = [jax.lax.erf((along + end * length / 2) / root) for end in (1, -1)]
        values = (ends[0] - ends[1]) * jnp.exp(-((across / root) ** 2))
        return values / values.sum()

    return KernelPrior(init, kernel, _penalty(scale, weights))


def _quadratic_form(
    shape: tuple[int, int], scale: int
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Of (cholesky, shift) as in `gaussian`: the squared distance of each pixel."""
    rows, columns = np.indices(shape) - kernels.alignment(shape, scale)[:, None, None]

    def square(cholesky: jax.Array, shift: jax.Array) -> jax.Array:
        top, corner, bottom = cholesky
        dtype, v = top.dtype, LEAST_VARIANCE
        a = top**2 + v
        b = top * corner
        c = corner**2 + bottom**2 + v
        # a c - b^2, without its cancellation.
        determinant = (top * bottom) ** 2 + v * (top**2 + corner**2 + bottom**2 + v)
        row = jnp.asarray(rows, dtype) - shift[0]
        column = jnp.asarray(columns, dtype) - shift[1]
        return (c * row**2 - 2 * b * row * column + a * column**2) / determinant

    return square


def flow(
    model: Flow | None = None,
    *,
    start: ArrayLike | None = None,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """A normalising flow: the latent code of a kernel, on a sphere (Liang et al. 2021).

    The latent vectors of random kernels lie close to the sphere of radius sqrt(d). The
    parameters are a vector of `d` numbers, of which only the direction matters.

    Args:
      model: The flow; by default the one that comes with the package: 13 x 13, x2,
        trained on anisotropic Gaussians of variances 0.35 to 5 pixels^2 with
        multiplicative noise of up to 25 %.
      start: A kernel, non-negative, of the flow's shape: `init` then gives codes of it
        with random noise on its values; otherwise random ones.
      weights: Of `penalty`.

    Raises:
      ValueError: If an argument is out of range.
    """
    model = shipped() if model is None else model
    if start is not None:
        start = np.asarray(start, np.float32)
        if start.shape != model.shape:
            raise ValueError(f"start has shape {start.shape}; it must be {model.shape}")
        if not (start.min() >= 0 and 0 < start.sum() < math.inf):
            raise ValueError("start is no kernel; it must be at least 0, its sum not 0")

    def init(key: jax.Array) -> Params:
        if start is None:
            return jax.random.normal(key, (model.size,))
        noise = jax.random.uniform(key, model.shape, jnp.float32, *START_NOISE)
        return model.latent(jnp.asarray(start) * (1 + noise))[0]

    def kernel(params: Params) -> jax.Array:
        square = params @ params
        square = jnp.where(square > 0, square, 1)  # 0 has no direction: it stays 0
        return model.kernel(params * jnp.sqrt(model.size / square))

    return KernelPrior(init, kernel, _penalty(model.scale, weights), model.log_prob)


def _penalty(
    scale: int, weights: Mapping[str, Any]
) -> Callable[[jax.Array], dict[str, jax.Array]]:
    _check(scale, weights)
    return functools.partial(penalty, scale=scale, weights=dict(weights))


def _check(scale: int, weights: Mapping[str, Any]) -> None:
    checks.whole("scale", scale)
    for name, weight in weights.items():
        if name not in losses.KERNEL_TERMS:
            legal = ", ".join(losses.KERNEL_TERMS)
            raise ValueError(f"weights names {name!r}; it must name some of: {legal}")
        checks.number(f"weights[{name!r}]", weight)


def _shape(name: str, shape: int | tuple[int, int]) -> tuple[int, int]:
    pair = tuple(shape) if isinstance(shape, Sequence) else (shape, shape)
    if len(pair) != 2:
        raise ValueError(f"{name} is {shape!r}; it must be an integer or two of them")
    for side in pair:
        checks.whole(name, side)
    return int(pair[0]), int(pair[1])
