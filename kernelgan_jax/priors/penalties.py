"""KernelGAN's penalty on a kernel (Bell-Kligler et al., NeurIPS 2019, equation 3).

Each term is a function of an `h x w` kernel that returns a scalar; the kernel is as it
comes from a generator, and its sum need not be 1. First and second derivatives are
finite everywhere, also at k = 0. `penalty` gives all terms by name, with their weights.
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from kernelgan_jax import checks, kernels
from kernelgan_jax.priors.base import Penalty


def sum_to_one(kernel: jax.Array) -> jax.Array:
    """Distance of the kernel's sum from 1.

    Example:
      >>> float(sum_to_one(jnp.full((2, 2), 0.5)))
      1.0
    """
    return jnp.abs(1 - kernel.sum())


def boundaries(kernel: jax.Array) -> jax.Array:
    """Mean absolute value of the kernel, weighted by closeness to the boundary.

    Example:
      >>> float(boundaries(jnp.zeros((13, 13)).at[6, 6].set(1.0)))
      0.0
    """
    return jnp.abs(kernel * boundary_mask(kernel.shape).astype(kernel.dtype)).mean()


def boundary_mask(shape: tuple[int, ...]) -> np.ndarray:
    """Weight of each kernel value in `boundaries`, `h x w`.

    It is `30 (1 - g / max g)` for a Gaussian g of standard deviation 13 in the two
    pixels along each side, and 0 elsewhere.

    Example:
      >>> boundary_mask((7, 7)).round(1)[3].tolist()
      [0.8, 0.4, 0.0, 0.0, 0.0, 0.4, 0.8]
    """
    rows, columns = (
        np.exp(-((np.arange(side) - (side - 1) / 2) ** 2) / (2 * 13.0**2))
        for side in shape
    )
    mask = 30 * (1 - np.outer(rows, columns) / (rows.max() * columns.max()))
    mask[2:-2, 2:-2] = 0
    return mask


def centralised(kernel: jax.Array, *, scale: int = 2) -> jax.Array:
    """Mean squared distance, pixels^2, of the centre of mass from the alignment.

    Args:
      kernel: `h x w`.
      scale: Scale that the kernel is to be aligned for.

    Example:
      >>> float(centralised(jnp.ones((4, 4)), scale=2))  # (1.5, 1.5), not (2.5, 2.5)
      1.0
    """
    target = jnp.asarray(kernels.alignment(kernel.shape, scale), kernel.dtype)
    return ((kernels.centre_of_mass(kernel) - target) ** 2).mean()


def sparsity(kernel: jax.Array) -> jax.Array:
    """Mean of `|k|^0.2`, where values under 1e-19 (in float32) count as 0.

    Example:
      >>> float(sparsity(jnp.array([[1.0, 0.0]])))
      0.5
    """
    magnitude = jnp.abs(kernel)
    # Below that, the second derivative, of the order of k^-1.8, overflows.
    counts = magnitude > float(jnp.finfo(kernel.dtype).tiny ** 0.5)
    return jnp.where(counts, jnp.where(counts, magnitude, 1) ** 0.2, 0).mean()


KERNEL_TERMS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "sum": sum_to_one,
    "boundary": boundaries,
    "centre": centralised,
    "sparsity": sparsity,
}
"""The terms by the names of their weights; `centre` for scale 2."""
PENALTY_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"sum": 0.5, "boundary": 0.5, "centre": 1.0, "sparsity": 5.0}
)
"""KernelGAN's weights, as they are at the end of its schedule."""


def penalty(
    kernel: ArrayLike, *, scale: int = 2, weights: Mapping[str, Any] = PENALTY_WEIGHTS
) -> dict[str, jax.Array]:
    """KernelGAN's penalty on a kernel: weighted terms by name.

    `sum` is the distance of the sum from 1; `boundary` the mean absolute value,
    weighted by the closeness to the boundary; `centre` the mean squared distance,
    pixels^2, of the centre of mass from the alignment; `sparsity` the mean of
    `|k|^0.2`.

    Args:
      kernel: `h x w`, floating point; its sum need not be 1.
      scale: Scale that the kernel is to be aligned for, a positive integer.
      weights: Weights of the terms by name, at least 0, or traced scalars; a term that
        is left out is not computed.

    Returns:
      Each term times its weight, by name, scalars; their sum is what is minimised.

    Raises:
      ValueError: If the kernel has not 2 axes or is not floating point, the scale or a
        weight is out of range, or a name is unknown.

    References:
      Bell-Kligler, Shocher, Irani, "Blind Super-Resolution Kernel Estimation using an
      Internal-GAN", NeurIPS 2019, equation 3.

    Example:
      >>> kernel = jnp.full((13, 13), 2 / 169)
      >>> terms = penalty(kernel, weights={"sum": 0.5, "centre": 1})
      >>> {name: round(float(value), 3) for name, value in terms.items()}
      {'sum': 0.5, 'centre': 0.25}
    """
    kernel = checks.jax_array("kernel", kernel)
    checks.floating("kernel", kernel, (2,))
    check_weights(scale, weights)
    terms: dict[str, Callable[[jax.Array], jax.Array]] = {
        **KERNEL_TERMS,
        "centre": functools.partial(centralised, scale=scale),
    }
    return {name: weight * terms[name](kernel) for name, weight in weights.items()}


def bind_penalty(scale: int, weights: Mapping[str, Any]) -> Penalty:
    """`penalty` with its options fixed and checked: a function of the kernel alone."""
    check_weights(scale, weights)
    return functools.partial(penalty, scale=scale, weights=dict(weights))


def check_weights(scale: int, weights: Mapping[str, Any]) -> None:
    """Checks the options of `penalty`.

    Raises:
      ValueError: If the scale or a weight is out of range, or a name is unknown.
    """
    scale = checks.scale(scale)
    if not isinstance(weights, Mapping):
        raise ValueError(f"weights is {weights!r}; it must map names to numbers")
    for name, weight in weights.items():
        if name not in KERNEL_TERMS:
            legal = ", ".join(KERNEL_TERMS)
            raise ValueError(f"weights names {name!r}; it must name some of: {legal}")
        checks.number(f"weights[{name!r}]", weight)
