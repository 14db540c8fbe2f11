"""KernelGAN for one image, as a pair of pure functions (init, step).

Nothing here is compiled, batched or placed: `train.py` does that, or your own loop:

    init, step = kernelgan(KernelGANConfig())
    state = init(key)
    for i in range(3000):
        state, info = step(jax.random.fold_in(key, i), state, batch)
    kernel = generator_kernel(state)

The generator is a kernel prior (`kernelgan_jax.priors`): KernelGAN's deep linear
network or, by `config.prior`, another one, as the flow of KernelGAN-FKP (Liang et al.,
CVPR 2021).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from kernelgan_jax import checks
from kernelgan_jax.estimators.kernelgan import schedule, start
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.kernelgan.generators import (
    check_generator,
    generator_prior,
)
from kernelgan_jax.estimators.kernelgan.losses import (
    adversarial,
    bicubic_target,
    total_penalty,
)
from kernelgan_jax.estimators.kernelgan.networks import PatchDiscriminator, downscale_x2
from kernelgan_jax.estimators.kernelgan.state import (
    Batch,
    Info,
    State,
    check_state,
    check_step,
)
from kernelgan_jax.priors.base import KernelPrior
from kernelgan_jax.priors.penalties import KERNEL_TERMS


class KernelGAN(NamedTuple):
    """The pair `init(key) -> State` and `step(key, State, Batch) -> (State, Info)`."""

    init: Callable[[jax.Array], State]
    step: Callable[[jax.Array, State, Batch], tuple[State, Info]]


def kernelgan(
    config: KernelGANConfig,
    *,
    generator: KernelPrior | None = None,
    penalty: Callable[[jax.Array], Mapping[str, jax.Array]] | None = None,
) -> KernelGAN:
    """KernelGAN with the given settings (paper, algorithm in section 4).

    Each step updates the generator, then the discriminator against the new generator.
    The discriminator takes three passes a step, one fake for the generator, and its
    spectral norms three power iterations.

    Args:
      config: Settings.
      generator: A kernel prior to use in place of the one that the settings name; its
        kernels are `n x n`, n = `config.kernel_size`, aligned for scale 2.
      penalty: Further terms of the generator's loss: a function of the `n x n` kernel
        that returns weighted scalars by name, as `KernelPrior.penalty` does.

    Raises:
      ValueError: If an argument is none of these. So do `init` and `step`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from kernelgan_jax.estimators.kernelgan import (
      ...     Batch, KernelGANConfig, kernelgan,
      ... )
      >>> init, step = kernelgan(KernelGANConfig())
      >>> state = jax.eval_shape(init, jax.random.key(0))
      >>> batch = Batch(jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 26, 26, 3)))
      >>> state, info = jax.eval_shape(step, jax.random.key(1), state, batch)
      >>> info.kernel.shape
      (13, 13)
    """
    chosen = generator_prior(config)  # It also checks the settings.
    if generator is not None:
        check_generator(generator, config.kernel_size)
    generator = chosen if generator is None else generator
    if penalty is not None and not callable(penalty):
        raise ValueError(f"penalty is {penalty!r}; it must be a function of a kernel")
    discriminator = PatchDiscriminator(
        config.discriminator_channels,
        config.discriminator_kernel,
        config.discriminator_blocks,
    )
    generator_adam = schedule.adam(config, config.generator_learning_rate)
    discriminator_adam = schedule.adam(config, config.discriminator_learning_rate)

    def init(key: jax.Array) -> State:
        checks.key("key", key)
        generator_key, discriminator_key = jax.random.split(key)
        variables = start.variables(discriminator_key, discriminator, config)
        generator_params = generator.init(generator_key)
        return State(
            step=jnp.zeros((), jnp.int32),
            generator=generator_params,
            discriminator=variables["params"],
            singular_vectors=variables["singular_vectors"],
            generator_optimizer=generator_adam.init(generator_params),
            discriminator_optimizer=discriminator_adam.init(variables["params"]),
            weights=schedule.Weights(
                bicubic=jnp.asarray(config.bicubic_weight),
                centre=jnp.zeros(()),
                sparsity=jnp.zeros(()),
                streak=jnp.zeros((), jnp.int32),
            ),
        )

    def discriminate(params: Any, singular_vectors: Any, crops: jax.Array) -> Any:
        variables = {"params": params, "singular_vectors": singular_vectors}
        probability, updated = discriminator.apply(
            variables, crops, mutable=["singular_vectors"]
        )
        return probability, updated["singular_vectors"]

    def generator_objective(
        params: Any, state: State, crops: jax.Array
    ) -> tuple[jax.Array, Any]:
        kernel = generator.kernel(params)
        fake = downscale_x2(crops, kernel)
        probability, singular_vectors = discriminate(
            state.discriminator, state.singular_vectors, fake
        )
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
            total += total_penalty(penalty(kernel))
        return total, (terms, singular_vectors)

    def discriminator_objective(
        params: Any, singular_vectors: Any, real: jax.Array, fake: jax.Array
    ) -> tuple[jax.Array, Any]:
        on_real, singular_vectors = discriminate(params, singular_vectors, real)
        on_fake, singular_vectors = discriminate(params, singular_vectors, fake)
        loss = adversarial(on_real, True) + adversarial(on_fake, False)
        return loss / 2, singular_vectors

    def step(key: jax.Array, state: State, batch: Batch) -> tuple[State, Info]:
        checks.key("key", key)
        check_step(state, batch, config)
        crops = 2 * jnp.moveaxis(batch.generator, -1, 1) - 1
        real = jnp.moveaxis(batch.discriminator, -1, 1)
        noise = config.discriminator_noise_std * jax.random.normal(
            key, (2, *real.shape), real.dtype
        )
        real = 2 * (real + noise[0]) - 1

        gradient, (terms, singular_vectors) = jax.grad(
            generator_objective, has_aux=True
        )(state.generator, state, crops)
        update, generator_optimizer = generator_adam.update(
            gradient, state.generator_optimizer
        )
        generator_params = optax.apply_updates(state.generator, update)

        kernel = generator.kernel(generator_params)
        fake = downscale_x2(crops, kernel) + noise[1]
        (loss, singular_vectors), gradient = jax.value_and_grad(
            discriminator_objective, has_aux=True
        )(state.discriminator, singular_vectors, real, fake)
        update, discriminator_optimizer = discriminator_adam.update(
            gradient, state.discriminator_optimizer
        )
        weights = schedule.update_weights(
            config, state.step, state.weights, terms["bicubic_loss"]
        )
        state = State(
            step=state.step + 1,
            generator=generator_params,
            discriminator=optax.apply_updates(state.discriminator, update),
            singular_vectors=singular_vectors,
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


def generator_kernel(
    state: State, *, config: KernelGANConfig | None = None
) -> jax.Array:
    """The raw `n x n` kernel of the generator in a state of a training with `config`.

    Raises:
      ValueError: If the state is of a training with other settings.

    Example:
      >>> import jax
      >>> from kernelgan_jax.estimators.kernelgan import (
      ...     KernelGANConfig, generator_kernel, kernelgan,
      ... )
      >>> init, step = kernelgan(KernelGANConfig())
      >>> state = jax.eval_shape(init, jax.random.key(0))
      >>> jax.eval_shape(generator_kernel, state).shape
      (13, 13)
    """
    check_state(state)
    prior = generator_prior(KernelGANConfig() if config is None else config)
    expected = jax.eval_shape(prior.init, jax.random.key(0))
    if _shapes(state.generator) != _shapes(expected):
        raise ValueError("state is of a training with other settings; pass its config")
    return prior.kernel(state.generator)


def _shapes(params: Any) -> Any:
    return jax.tree.map(jnp.shape, params)
