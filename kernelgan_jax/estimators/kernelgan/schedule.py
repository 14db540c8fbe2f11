"""What changes in the course of training: the learning rates and the loss weights."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig


class Weights(NamedTuple):
    """The weights of the loss terms that change in training (scalars)."""

    bicubic: jax.Array
    centre: jax.Array
    sparsity: jax.Array
    streak: jax.Array
    """Steps in a row whose bicubic loss was under the threshold; stays at 3."""


def adam(config: KernelGANConfig, rate: float) -> optax.GradientTransformation:
    """Adam, its rate divided by 10 every `config.decay_every` steps."""
    schedule = optax.exponential_decay(
        rate, config.decay_every, 0.1, transition_begin=1, staircase=True
    )
    return optax.adam(schedule, config.adam_b1, config.adam_b2)


def update_weights(
    config: KernelGANConfig, step: jax.Array, weights: Weights, bicubic_loss: jax.Array
) -> Weights:
    """The weights after a step (the warm start); step 0 does not count."""
    near = bicubic_loss < config.bicubic_threshold
    streak = jnp.where(near, weights.streak + 1, 0)
    streak = jnp.where(weights.streak == 3, 3, streak)
    reduced = jnp.maximum(weights.bicubic / 100, config.min_bicubic_weight)
    due = (streak == 3) & (step % config.bicubic_every == 0)
    bicubic = jnp.where(due, reduced, weights.bicubic)
    constrained = bicubic < config.constraints_below
    counts = step > 0
    return Weights(
        bicubic=jnp.where(counts, bicubic, weights.bicubic),
        centre=jnp.where(constrained, config.centre_weight, weights.centre),
        sparsity=jnp.where(constrained, config.sparsity_weight, weights.sparsity),
        streak=jnp.where(counts, streak, weights.streak),
    )
