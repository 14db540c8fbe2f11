"""TODO docstring."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from kernelgan_jax.priors.base import KernelPrior, Params
from kernelgan_jax.priors.flow.couplings import Flow
from kernelgan_jax.priors.flow.files import pretrained
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty

START_NOISE = (-0.25, 0.25)
"""Multiplicative noise on the kernel that `flow` starts from: DIV2KRK's."""


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
    model = pretrained() if model is None else model
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

    return KernelPrior(init, kernel, bind_penalty(model.scale, weights), model.log_prob)
