"""Training of a flow on samples of kernels, by maximum likelihood."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import checks
from kernelgan_jax.priors.flow.couplings import Flow, _floored_logarithms

DITHER = 0.05
"""Standard deviation of the noise on log-ratios in training; without it the density of
kernels that fade to 0 would grow without bounds."""


def fit(
    key: jax.Array,
    kernels: np.ndarray,
    *,
    scale: int = 2,
    steps: int = 20_000,
    depth: int = 6,
    hidden: int = 32,
    batch: int = 256,
    learning_rate: float = 1e-3,
) -> tuple[Flow, np.ndarray]:
    """Trains a flow on samples of a family of kernels, by maximum likelihood.

    Args:
      key: JAX random key.
      kernels: `N x h x w`, `N > h*w >= 3`, non-negative, all aligned for `scale`. A few
        thousand would be overfitted; take tens of thousands.
      scale: Scale that the kernels are aligned for.
      steps: Training steps, positive.
      depth: Number of couplings, positive.
      hidden: Hidden units of the couplings' networks, positive.
      batch: Kernels per step, positive.
      learning_rate: Adam's first rate, positive; it falls to 0 along a cosine.

    Returns:
      The flow, and the mean log-density of each step's batch, `steps`.

    Raises:
      ValueError: If an argument is out of range.

    Example:
      >>> kernels = np.random.default_rng(0).random((50, 2, 2))
      >>> model, losses = fit(jax.random.key(0), kernels, steps=2, depth=1, hidden=4)
      >>> model.shape, losses.shape
      ((2, 2), (2,))
    """
    import optax  # imported here because training alone needs it

    from kernelgan_jax.priors.flow.networks import Couplings

    checks.key("key", key)
    checks.known("key", key)
    checks.known("kernels", kernels)
    kernels = np.asarray(kernels)
    if kernels.dtype.kind not in "fiub":
        raise ValueError(f"kernels holds {kernels.dtype}; it must be real numbers")
    if kernels.ndim != 3 or not 3 <= math.prod(kernels.shape[1:]) < len(kernels):
        raise ValueError(
            f"kernels has shape {kernels.shape}; it must be N x h x w with N over h*w, "
            "and h*w at least 3"
        )
    if not 0 <= kernels.min() <= kernels.max() < math.inf:
        raise ValueError("kernels has values that are not at least 0 and finite")
    numbers = {"scale": scale, "steps": steps, "depth": depth, "hidden": hidden}
    for name, value in {**numbers, "batch": batch}.items():
        checks.whole(name, value)
    checks.number("learning_rate", learning_rate, positive=True)
    shape = kernels.shape[1:]
    init_key, train_key = jax.random.split(key)
    logarithms = jax.vmap(lambda k: _floored_logarithms(k, shape))(
        jnp.asarray(kernels, jnp.float32)
    )
    whitening = _whitening(np.asarray(logarithms, np.float64))
    params = Couplings(depth, hidden).init(
        init_key, jnp.zeros(len(whitening[2])), backwards=False
    )["params"]
    optimizer = optax.chain(
        optax.clip_by_global_norm(10.0),
        optax.adam(optax.cosine_decay_schedule(learning_rate, steps)),
    )

    def loss(params: Any, x: jax.Array) -> jax.Array:
        return -jax.vmap(Flow(shape, scale, *whitening, params)._log_density)(x).mean()

    def step(state: Any, i: jax.Array) -> Any:
        params, opt_state = state
        pick_key, noise_key = jax.random.split(jax.random.fold_in(train_key, i))
        rows = jax.random.randint(pick_key, (batch,), 0, len(logarithms))
        noise = DITHER * jax.random.normal(noise_key, (batch, logarithms.shape[1]))
        value, gradient = jax.value_and_grad(loss)(params, logarithms[rows] + noise)
        update, opt_state = optimizer.update(gradient, opt_state)
        return (optax.apply_updates(params, update), opt_state), -value

    state = (params, optimizer.init(params))
    (params, _), history = jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(steps)))(
        state
    )
    flow = Flow(shape, scale, *whitening, jax.tree.map(np.asarray, params))
    return flow, np.asarray(history)


def _whitening(logarithms: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, principal directions and standard deviations of the dithered log-ratios."""
    ratios = logarithms - logarithms.mean(1, keepdims=True)
    variance, basis = np.linalg.eigh(np.cov(ratios.T))
    order = slice(None, 0, -1)  # all but (1, ..., 1), along which the ratios are 0
    deviations = np.sqrt(variance[order] + DITHER**2)
    single = np.float32
    return (
        ratios.mean(0).astype(single),
        basis[:, order].astype(single),
        deviations.astype(single),
    )
