"""Meta-learning of KernelGAN's start, as a pair of pure functions (init, step).

The idea is that of MetaKernelGAN (Lee et al., WACV 2024): over many images whose kernel
is known, both networks are trained as KernelGAN trains them, a few steps from a common
start, and the start is moved so that the kernel comes out nearer to the truth. All
gradients are of first order: they are taken at the weights that a task has reached, and
applied to the start.

- The generator's start follows the gradient of the kernel's error at the end.
- The discriminator's start follows the gradient of how far the generator's adversarial
  gradient is from the direction of the true kernel, at several times of the task.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from kernelgan_jax.estimators.kernelgan.algorithm import kernelgan
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.kernelgan.generators import generator_prior
from kernelgan_jax.estimators.kernelgan.losses import adversarial
from kernelgan_jax.estimators.kernelgan.networks import PatchDiscriminator, downscale_x2
from kernelgan_jax.estimators.kernelgan.start import Start
from kernelgan_jax.estimators.kernelgan.state import Batch, State

PARTS = 2
"""Times of a task at which the discriminator learns, evenly spread."""

PROBES = 8
"""Crops on which the generator's gradient is judged."""

SUM_WEIGHT = 10.0
"""Weight of the squared distance of a kernel's sum from 1, beside the log error."""

FITTING = 600
"""Steps that fit the generator to its first kernel."""

GENERATOR_RATE, DISCRIMINATOR_RATE = 1e-4, 3e-4
"""Adam's rates for the two starts."""

AVERAGED = 50
"""Steps that the moving average remembers."""


class Tasks(NamedTuple):
    """Images with their kernels; all arrays have a leading axis of tasks."""

    keys: jax.Array
    crops: Batch
    """The crops of all steps: `tasks x steps x B x ...`."""
    kernels: jax.Array
    """`tasks x n x n`, the true kernels, sum 1, aligned for scale 2."""


class MetaState(NamedTuple):
    """All that the next step needs."""

    step: jax.Array
    start: Start
    average: Start
    """Moving average of the starts: what is used."""
    generator_optimizer: optax.OptState
    discriminator_optimizer: optax.OptState


class MetaInfo(NamedTuple):
    """What people look at: one value for each of the `PARTS` of the tasks, means."""

    log_error: jax.Array
    """Log of the sum of squared errors of the kernel."""
    alignment: jax.Array
    """Cosine between what the adversarial loss makes of the generator and what would
    lead to the true kernel."""
    discriminator_loss: jax.Array


class MetaLearning(NamedTuple):
    """The pair `init(key, kernel) -> MetaState` and
    `step(MetaState, Tasks, rate) -> (MetaState, MetaInfo)`."""

    init: Callable[[jax.Array, jax.Array], MetaState]
    step: Callable[[MetaState, Tasks, Any], tuple[MetaState, MetaInfo]]


def meta_learning(
    config: KernelGANConfig,
    *,
    each: Callable[..., Any] = jax.vmap,
) -> MetaLearning:
    """Meta-learning for trainings with the given settings.

    Args:
      config: Settings of the trainings; `iterations` is a multiple of `PARTS`.
      each: Turns a function of one task into one of many, as `jax.vmap` does.
    """
    config = dataclasses.replace(config, start="random")
    fresh, step_once = kernelgan(config)
    kernel_of = generator_prior(config).kernel
    discriminator = PatchDiscriminator(
        config.discriminator_channels,
        config.discriminator_kernel,
        config.discriminator_blocks,
    )
    adam = optax.scale_by_adam(0.9, 0.99)

    def init(key: jax.Array, kernel: jax.Array) -> MetaState:
        state = fresh(key)
        start = Start(
            fitted(state.generator, kernel), state.discriminator, state.singular_vectors
        )
        return MetaState(
            step=jnp.zeros((), jnp.int32),
            start=start,
            average=start,
            generator_optimizer=adam.init(start.generator),
            discriminator_optimizer=adam.init(start.discriminator),
        )

    def fitted(params: Any, kernel: jax.Array) -> Any:
        fitter = optax.adam(optax.cosine_decay_schedule(1e-3, FITTING))

        def body(carry: Any, _: None) -> Any:
            params, optimizer = carry
            gradient = jax.grad(lambda p: ((kernel_of(p) - kernel) ** 2).sum())(params)
            update, optimizer = fitter.update(gradient, optimizer)
            return (optax.apply_updates(params, update), optimizer), None

        carry, _ = jax.lax.scan(body, (params, fitter.init(params)), None, FITTING)
        return carry[0]

    def log_error(params: Any, truth: jax.Array) -> jax.Array:
        kernel = kernel_of(params)
        total = kernel.sum()
        error = ((kernel / total - truth) ** 2).sum()
        return jnp.log(error) + SUM_WEIGHT * (total - 1) ** 2

    def adversarial_loss(params: Any, weights: Any, vectors: Any, crops: Any) -> Any:
        kernel = kernel_of(params)

        def of_one(crop: jax.Array) -> jax.Array:  # batch statistics are of one crop
            probability, _ = discriminator.apply(
                {"params": weights, "singular_vectors": vectors},
                downscale_x2(crop[None], kernel),
                mutable=["singular_vectors"],
            )
            return adversarial(probability, real=True)

        return jax.vmap(of_one)(crops).mean()

    def part_of_task(
        key: jax.Array, state: State, crops: Batch, truth: jax.Array
    ) -> Any:
        """Trains on, and returns the state, the two meta-gradients and what to show."""

        def body(state: State, batch: Batch) -> Any:
            state, info = step_once(jax.random.fold_in(key, state.step), state, batch)
            return state, info.discriminator_loss

        state, losses = jax.lax.scan(body, state, crops)
        error, target = jax.value_and_grad(log_error)(state.generator, truth)
        every = max(1, len(crops.generator) // PROBES)
        probes = jnp.moveaxis(2 * crops.generator[::every][:PROBES, 0] - 1, -1, 1)

        def misalignment(weights: Any) -> jax.Array:
            found = jax.grad(adversarial_loss)(
                state.generator, weights, state.singular_vectors, probes
            )
            return -_cosine(found, target)

        minus, gradient = jax.value_and_grad(misalignment)(state.discriminator)
        shown = MetaInfo(error, -minus, losses.mean())
        return state, _clipped(target), _clipped(gradient), shown

    def step(state: MetaState, tasks: Tasks, rate: Any) -> tuple[MetaState, MetaInfo]:
        count = len(tasks.keys)
        begun = each(fresh)(tasks.keys)
        everywhere = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (count, *x.shape)), state.start
        )
        begun = begun._replace(**everywhere._asdict())

        def in_parts(x: jax.Array) -> jax.Array:
            return jnp.moveaxis(x.reshape(count, PARTS, -1, *x.shape[2:]), 1, 0)

        def part(carry: Any, crops: Batch) -> Any:
            trained, weights, optimizer, _ = carry
            trained, *gradients, shown = each(part_of_task)(
                tasks.keys, trained, crops, tasks.kernels
            )
            to_kernel, to_alignment = _mean(gradients)
            update, optimizer = adam.update(to_alignment, optimizer)
            weights = _moved(weights, update, rate * DISCRIMINATOR_RATE)
            return (trained, weights, optimizer, to_kernel), _mean(shown)

        carry = (
            begun,
            state.start.discriminator,
            state.discriminator_optimizer,
            jax.tree.map(jnp.zeros_like, state.start.generator),
        )
        carry, shown = jax.lax.scan(part, carry, jax.tree.map(in_parts, tasks.crops))
        trained, weights, discriminator_optimizer, to_kernel = carry
        update, generator_optimizer = adam.update(to_kernel, state.generator_optimizer)
        start = Start(
            _moved(state.start.generator, update, rate * GENERATOR_RATE),
            weights,
            _mean(trained.singular_vectors),
        )
        weight = jnp.maximum(1 / AVERAGED, 1 / (state.step + 1))
        after = MetaState(
            step=state.step + 1,
            start=start,
            average=optax.incremental_update(start, state.average, weight),
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
        )
        return after, shown

    return MetaLearning(init, step)


def _cosine(a: Any, b: Any) -> jax.Array:
    return optax.tree.vdot(a, b) / (optax.tree.norm(a) * optax.tree.norm(b) + 1e-10)


def _clipped(tree: Any) -> Any:
    """A gradient, no longer than 1: tasks differ by orders of magnitude."""
    return optax.tree.scale(1 / jnp.maximum(1, optax.tree.norm(tree)), tree)


def _moved(weights: Any, direction: Any, rate: Any) -> Any:
    return jax.tree.map(lambda x, y: x - rate * y, weights, direction)


def _mean(tree: Any) -> Any:
    return jax.tree.map(lambda x: x.mean(0), tree)
