"""KernelGAN for one image, as a pair of pure functions (init, step).

Nothing here is compiled, batched or placed: `estimate.py` does that, or your own loop:

    init, step = kernelgan(Config())
    state = init(key)
    for i in range(3000):
        state, info = step(jax.random.fold_in(key, i), state, batch)
    kernel = generator_kernel(state)

The generator is a kernel prior (`prior.py`): KernelGAN's deep linear network or, by
`config.prior`, another one, as the flow of KernelGAN-FKP (Liang et al., CVPR 2021).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from kernelgan_jax.config import DEFAULT, Config
from kernelgan_jax.estimators.kernelgan.generators import generator_prior
from kernelgan_jax.estimators.kernelgan.losses import adversarial, bicubic_target
from kernelgan_jax.estimators.kernelgan.networks import PatchDiscriminator, downscale_x2
from kernelgan_jax.priors.base import KernelPrior
from kernelgan_jax.priors.penalties import KERNEL_TERMS


class Batch(NamedTuple):
    """What one step trains on: crops of the LR image, in [0, 1].

    B = `config.crops`.
    """

    generator: jax.Array
    """`B x H x H x C`, H = `config.generator_crop`."""
    discriminator: jax.Array
    """`B x h x h x C`, h = `config.discriminator_crop`."""


class Weights(NamedTuple):
    """The weights of the loss terms that change in training (scalars)."""

    bicubic: jax.Array
    centre: jax.Array
    sparsity: jax.Array
    streak: jax.Array
    """Steps in a row whose bicubic loss was under the threshold; stays at 3."""


class State(NamedTuple):
    """All that the next step needs."""

    step: jax.Array
    """Number of steps taken."""
    generator: Any
    """Parameters of the generator."""
    discriminator: Any
    """Parameters of the discriminator."""
    spectral: Any
    """Singular vector estimates of the discriminator's spectral normalisation."""
    generator_optimizer: optax.OptState
    discriminator_optimizer: optax.OptState
    weights: Weights


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


class KernelGAN(NamedTuple):
    """The pair `init(key) -> State` and `step(key, State, Batch) -> (State, Info)`."""

    init: Callable[[jax.Array], State]
    step: Callable[[jax.Array, State, Batch], tuple[State, Info]]


def kernelgan(
    config: Config,
    *,
    generator: KernelPrior | None = None,
    penalty: Callable[[jax.Array], jax.Array] | None = None,
) -> KernelGAN:
    """KernelGAN with the given settings (paper, algorithm in section 4).

    Each step updates the generator, then the discriminator against the new generator.
    The discriminator takes three passes a step (fake for the generator; real and fake
    for itself), and its spectral norms three power iterations.

    Args:
      config: Settings.
      generator: In place of the one that the settings name; its kernels are `n x n`,
        n = `config.kernel_size`.
      penalty: Of the `n x n` kernel, a scalar: a further term of the generator's loss.
    """
    generator = generator_prior(config) if generator is None else generator
    discriminator = PatchDiscriminator(
        config.discriminator_channels,
        config.discriminator_kernel,
        config.discriminator_blocks,
    )
    generator_adam = _adam(config, config.generator_learning_rate)
    discriminator_adam = _adam(config, config.discriminator_learning_rate)

    def init(key: jax.Array) -> State:
        generator_key, discriminator_key = jax.random.split(key)
        size = config.discriminator_crop
        variables = discriminator.init(discriminator_key, jnp.zeros((1, 3, size, size)))
        generator_params = generator.init(generator_key)
        return State(
            step=jnp.zeros((), jnp.int32),
            generator=generator_params,
            discriminator=variables["params"],
            spectral=variables["spectral"],
            generator_optimizer=generator_adam.init(generator_params),
            discriminator_optimizer=discriminator_adam.init(variables["params"]),
            weights=Weights(
                bicubic=jnp.asarray(config.bicubic_weight),
                centre=jnp.zeros(()),
                sparsity=jnp.zeros(()),
                streak=jnp.zeros((), jnp.int32),
            ),
        )

    def discriminate(params: Any, spectral: Any, crops: jax.Array) -> Any:
        variables = {"params": params, "spectral": spectral}
        probability, updated = discriminator.apply(
            variables, crops, mutable=["spectral"]
        )
        return probability, updated["spectral"]

    def generator_objective(
        params: Any, state: State, crops: jax.Array
    ) -> tuple[jax.Array, Any]:
        kernel = generator.kernel(params)
        fake = downscale_x2(crops, kernel)
        probability, spectral = discriminate(state.discriminator, state.spectral, fake)
        target = bicubic_target(crops, config.kernel_size, config.warm_start)
        terms = {
            "generator_loss": adversarial(probability, real=True),
            "bicubic_loss": ((fake - target) ** 2).mean(),
            **{f"{n}_loss": term(kernel) for n, term in KERNEL_TERMS.items()},
        }
        total = (
            terms["generator_loss"]
            + state.weights.bicubic * terms["bicubic_loss"]
            + config.sum_weight * terms["sum_loss"]
            + config.boundary_weight * terms["boundary_loss"]
            + state.weights.centre * terms["centre_loss"]
            + state.weights.sparsity * terms["sparsity_loss"]
        )
        if penalty is not None:
            total += penalty(kernel)
        return total, (terms, spectral)

    def discriminator_objective(
        params: Any, spectral: Any, real: jax.Array, fake: jax.Array
    ) -> tuple[jax.Array, Any]:
        on_real, spectral = discriminate(params, spectral, real)
        on_fake, spectral = discriminate(params, spectral, fake)
        loss = adversarial(on_real, True) + adversarial(on_fake, False)
        return loss / 2, spectral

    def step(key: jax.Array, state: State, batch: Batch) -> tuple[State, Info]:
        crops = 2 * jnp.moveaxis(batch.generator, -1, 1) - 1
        real = jnp.moveaxis(batch.discriminator, -1, 1)
        noise = config.noise * jax.random.normal(key, (2, *real.shape), real.dtype)
        real = 2 * (real + noise[0]) - 1

        gradient, (terms, spectral) = jax.grad(generator_objective, has_aux=True)(
            state.generator, state, crops
        )
        update, generator_optimizer = generator_adam.update(
            gradient, state.generator_optimizer
        )
        generator_params = optax.apply_updates(state.generator, update)

        kernel = generator.kernel(generator_params)
        fake = downscale_x2(crops, kernel) + noise[1]
        (loss, spectral), gradient = jax.value_and_grad(
            discriminator_objective, has_aux=True
        )(state.discriminator, spectral, real, fake)
        update, discriminator_optimizer = discriminator_adam.update(
            gradient, state.discriminator_optimizer
        )
        weights = _update_weights(
            config, state.step, state.weights, terms["bicubic_loss"]
        )
        state = State(
            step=state.step + 1,
            generator=generator_params,
            discriminator=optax.apply_updates(state.discriminator, update),
            spectral=spectral,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            weights=weights,
        )
        info = Info(
            discriminator_loss=loss,
            bicubic_weight=weights.bicubic,
            kernel=kernel,
            **terms,
        )
        return state, info

    return KernelGAN(init, step)


def generator_kernel(state: State, *, config: Config = DEFAULT) -> jax.Array:
    """The raw `n x n` kernel of the generator in a state, given the settings."""
    return generator_prior(config).kernel(state.generator)


def _adam(config: Config, rate: float) -> optax.GradientTransformation:
    schedule = optax.exponential_decay(
        rate, config.decay_every, 0.1, transition_begin=1, staircase=True
    )
    return optax.adam(schedule, config.adam_b1, config.adam_b2)


def _update_weights(
    config: Config, step: jax.Array, weights: Weights, bicubic_loss: jax.Array
) -> Weights:
    """The schedule of the warm start (SPEC section 1); step 0 does not count."""
    near = bicubic_loss < config.bicubic_threshold
    streak = jnp.where(near, weights.streak + 1, 0)
    streak = jnp.where(weights.streak == 3, 3, streak)
    reduced = jnp.maximum(weights.bicubic / 100, config.bicubic_floor)
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
