"""What KernelGAN's training works on, keeps from step to step, and shows."""

from typing import Any, NamedTuple

import jax
import optax

from kernelgan_jax import checks
from kernelgan_jax.estimators.kernelgan import schedule
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig


class Batch(NamedTuple):
    """What one step trains on: crops of the LR image, in [0, 1].

    B = `config.crops`; a gray image has three equal channels.
    """

    generator: jax.Array
    """`B x H x H x 3`, H = `config.generator_crop`."""
    discriminator: jax.Array
    """`B x h x h x 3`, h = `config.discriminator_crop`."""


class State(NamedTuple):
    """All that the next step needs."""

    step: jax.Array
    """Number of steps taken."""
    generator: Any
    """Parameters of the generator."""
    discriminator: Any
    """Parameters of the discriminator."""
    singular_vectors: Any
    """Singular vector estimates of the discriminator's spectral normalisation."""
    generator_optimizer: optax.OptState
    discriminator_optimizer: optax.OptState
    weights: schedule.Weights


class Info(NamedTuple):
    """What people look at: scalars of one step, and the kernel after it."""

    generator_loss: jax.Array
    """The adversarial term of the generator."""
    discriminator_loss: jax.Array
    bicubic_loss: jax.Array
    sum_loss: jax.Array
    boundary_loss: jax.Array
    centre_loss: jax.Array
    sparsity_loss: jax.Array
    bicubic_weight: jax.Array
    """Weight of the bicubic term that the next step will use."""
    kernel: jax.Array
    """`n x n` kernel of the updated generator."""


def check_step(state: Any, batch: Any, config: KernelGANConfig) -> None:
    """Checks what a step is given.

    Raises:
      ValueError: If they are no `State` and `Batch`, or the crops have other shapes
        than the settings ask for.
    """
    check_state(state)
    if not isinstance(batch, Batch):
        raise ValueError(f"batch is a {type(batch).__name__}; it must be a Batch")
    sides = (config.generator_crop, config.discriminator_crop)
    for name, crops, side in zip(Batch._fields, batch, sides, strict=True):
        checks.floating(f"batch.{name}", crops, (4,))
        if crops.shape[1:] != (side, side, 3):
            raise ValueError(
                f"batch.{name} has shape {crops.shape}; it must be crops x {side} x "
                f"{side} x 3"
            )


def check_state(state: Any) -> None:
    """Raises a ValueError if a value is no `State`."""
    if not isinstance(state, State):
        raise ValueError(f"state is a {type(state).__name__}; it must be a State")
