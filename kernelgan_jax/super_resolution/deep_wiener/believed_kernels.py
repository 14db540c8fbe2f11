"""What an estimator takes random kernels for, in training.

It runs under `jit` and `vmap`, as `random_kernels.py` does.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.super_resolution.deep_wiener.random_kernels import (
    Drawn,
    bicubic,
    gaussian,
)

NARROW = 0.45
"""Gaussians are as narrow as a resampler's kernel if both standard deviations are below
this part of the scale."""


def is_narrow(drawn: Drawn, *, scale: int) -> jax.Array:
    """Whether a kernel is a resampler's, or a Gaussian as narrow as these."""
    narrow = drawn.widths.max() < NARROW * scale
    return (drawn.is_resampler > 0) | (drawn.is_gaussian > 0) & narrow


class Believed(NamedTuple):
    """What the network is told of a kernel."""

    kernel: jax.Array
    kernel_std: jax.Array
    """Standard deviation of its log widths as a posterior states it; 0: it is known."""


def believe(key: jax.Array, drawn: Drawn, *, scale: int, trust: float) -> Believed:
    """Imitates the estimate of a kernel.

    In 45 % of the cases the kernel is known. Otherwise it is taken for a Gaussian whose
    widths are wrong; 60 % of these say of themselves what the spectral posterior says
    of photographs, 0.07 to 0.12, and the others 0.03 to 0.4. One error in eight is
    three times what is stated, as posteriors are of a model that images do not follow.
    Four resamplers in five are found, which is not quite certain (0.003 to 0.1), and
    every other narrow Gaussian is taken for the bicubic kernel.

    Args:
      trust: Errors are this much of what is stated: the posterior is cautious.
    """
    keys = iter(jax.random.split(key, 10))
    known = jax.random.bernoulli(next(keys), 0.45)
    usual = jax.random.uniform(next(keys), minval=0.07, maxval=0.12)
    other = jnp.exp(
        jax.random.uniform(next(keys), minval=np.log(0.03), maxval=np.log(0.4))
    )
    stated = jnp.where(jax.random.bernoulli(next(keys), 0.6), usual, other)
    # What is no Gaussian is not known that well.
    stated = jnp.maximum(stated, 0.08 * (1 - drawn.is_gaussian))
    wrong = jnp.where(jax.random.bernoulli(next(keys), 1 / 8), 3.0, 1.0)
    wrong = jnp.where(stated < 0.15, wrong, 1.0)
    errors = wrong * trust * stated * jax.random.normal(next(keys), (2,))
    widths = drawn.widths * jnp.exp(errors)
    ratio = jnp.abs(jnp.log(drawn.widths[0] / drawn.widths[1]))
    turn = trust * stated * jax.random.normal(next(keys)) / (ratio + 0.2)
    estimated = gaussian(widths, drawn.angle + turn, scale=scale)
    narrow = is_narrow(drawn, scale=scale) & (drawn.is_gaussian > 0)
    quite = jnp.exp(
        jax.random.uniform(next(keys), minval=np.log(0.003), maxval=np.log(0.1))
    )
    part = jax.random.uniform(next(keys))
    found = (drawn.is_resampler > 0) & (part < 0.8)
    mistaken = narrow & (part < 0.5)
    estimated = jnp.where(found, drawn.kernel, estimated)
    estimated = jnp.where(mistaken, jnp.asarray(bicubic(scale)), estimated)
    stated = jnp.where(found | mistaken, quite, stated)
    return Believed(
        jnp.where(known, drawn.kernel, estimated), jnp.where(known, 0.0, stated)
    )


def misbelieve(key: jax.Array, drawn: Drawn, *, scale: int) -> Believed:
    """Imitates the estimate of a kernel where a camera has changed the spectrum.

    A third are taken for a resampler's kernel, the others for a Gaussian whose widths
    are 15 % too small on average, as sharpening does, and wrong by 30 %, whatever is
    stated.
    """
    keys = jax.random.split(key, 3)
    errors = 0.3 * jax.random.normal(keys[0], (2,)) - 0.15
    estimated = gaussian(drawn.widths * jnp.exp(errors), drawn.angle, scale=scale)
    resampled = jax.random.bernoulli(keys[1], 1 / 3)
    stated = jax.random.uniform(keys[2], minval=np.log(0.02), maxval=np.log(0.4))
    return Believed(
        jnp.where(resampled, jnp.asarray(bicubic(scale)), estimated), jnp.exp(stated)
    )
