"""The kernel prior of a flow: latent vectors on a sphere."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from kernelgan_jax import checks
from kernelgan_jax.priors.base import KernelPrior, Params
from kernelgan_jax.priors.flow.couplings import Flow
from kernelgan_jax.priors.flow.files import pretrained
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, bind_penalty

START_NOISE = (-0.25, 0.25)
"""Range of the multiplicative noise on the start's values, as in DIV2KRK."""


def flow(
    *,
    model: Flow | None = None,
    start: ArrayLike | None = None,
    weights: Mapping[str, Any] = PENALTY_WEIGHTS,
) -> KernelPrior:
    """Kernels of a normalising flow: latent vectors on a sphere.

    The latent vectors of random kernels lie close to the sphere of radius sqrt(d). The
    parameters are a vector of `d` numbers, of which only the direction matters. This
    prior has a density, `log_prob`.

    Args:
      model: The flow; `pretrained()` if not given.
      start: A kernel, non-negative, of the flow's shape: `init` then gives its latent
        vector, with random noise on the kernel's values. If not given, `init` gives
        random vectors.
      weights: Weights of the penalty's terms by name; see `penalty`.

    Raises:
      ValueError: If an argument is out of range.

    References:
      Liang, Zhang, Gu, Van Gool, Timofte, "Flow-based Kernel Prior with Application to
      Blind Super-Resolution", CVPR 2021, section 3.

    Example:
      >>> prior = flow()
      >>> kernel = prior.kernel(prior.init(jax.random.key(0)))
      >>> kernel.shape, bool(prior.log_prob(kernel) > prior.log_prob(jnp.eye(13)))
      ((13, 13), True)
    """
    model = pretrained() if model is None else model
    if not isinstance(model, Flow):
        raise ValueError(f"model is {model!r}; it must be a Flow")
    if start is not None:
        try:
            start = checks.matrix("start", start).astype(np.float32)
        except ValueError as error:
            raise ValueError(f"start is no kernel: {error}") from error
        if start.shape != model.shape:
            raise ValueError(f"start has shape {start.shape}; it must be {model.shape}")
        if not (start.min() >= 0 and 0 < start.sum() < math.inf):
            raise ValueError("start is no kernel; it must be at least 0, its sum not 0")

    def init(key: jax.Array) -> Params:
        if start is None:
            return jax.random.normal(key, (model.size,), jnp.float32)
        noise = jax.random.uniform(key, model.shape, jnp.float32, *START_NOISE)
        return model.latent(jnp.asarray(start) * (1 + noise))[0]

    def kernel(params: Params) -> jax.Array:
        square = params @ params
        square = jnp.where(square > 0, square, 1)  # 0 has no direction and stays 0
        return model.kernel(params * jnp.sqrt(model.size / square))

    return KernelPrior(init, kernel, bind_penalty(model.scale, weights), model.log_prob)
