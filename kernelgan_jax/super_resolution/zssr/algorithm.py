"""TODO docstring."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from kernelgan_jax.config import SRConfig
from kernelgan_jax.super_resolution.zssr.network import Architecture
from kernelgan_jax.super_resolution.zssr.pairs import Father


class State(NamedTuple):
    """All that the next step needs."""

    step: jax.Array
    params: Any
    optimizer: Any
    learning_rate: jax.Array
    errors: jax.Array
    """Reconstruction errors, one every `EVERY_ERROR` steps; 0 where not yet known."""
    dropped: jax.Array
    """Step at which the learning rate was last dropped."""
    loss: jax.Array
    """Of the last step."""


EVERY_ERROR, EVERY_FIT, WINDOW = 50, 60, 256
"""Steps between errors, between fits, and the steps that a fit looks back on."""


CHUNK = 10  # divides the first two


class ZSSR(NamedTuple):
    """The algorithm as pure functions for one image."""

    init: Callable[..., State]
    """`init(key) -> state`"""
    step: Callable[..., State]
    """`step(key, state, fathers) -> state`"""
    policy: Callable[..., State]
    """`policy(state, fathers) -> state`: looks at the errors, sets the rate."""
    running: Callable[[State], jax.Array]
    """`running(state)`: whether to go on."""


def zero_shot(
    network: Architecture, config: SRConfig, *, crop: int, as_product: bool = False
) -> ZSSR:
    """ZSSR's training as pure functions.

    Args:
      network: What is trained.
      config: Settings, complete (`SRConfig.complete`).
      crop: Side of a father crop, a multiple of the scale.
      as_product: See `Conv3x3`.
    """
    scale, module = network.scale, network.module(as_product=as_product)
    adam = optax.scale_by_adam()
    cosine = config.schedule == "cosine"

    def init(key: jax.Array) -> State:
        side = crop // scale if network.fast else crop
        shape = (network.colours, side, side)
        params = module.init(key, jnp.zeros(shape, jnp.float32))
        return State(
            jnp.int32(0),
            params,
            adam.init(params),
            jnp.float32(config.learning_rate),
            jnp.zeros(config.iterations // EVERY_ERROR + 1, jnp.float32),
            jnp.int32(0),
            jnp.float32(0),
        )

    def cut(father: Father, corner: jax.Array) -> tuple[jax.Array, ...]:
        """Son, its linear enlargement, father and weight at a corner."""

        def crop_of(x: jax.Array) -> jax.Array:
            start = (*(jnp.int32(0) for _ in x.shape[:-2]), *corner)
            return jax.lax.dynamic_slice(x, start, (*x.shape[:-2], crop, crop))

        phase = corner % scale
        base = jax.lax.dynamic_slice(
            father.base,
            (phase[0] * scale + phase[1], jnp.int32(0), *corner),
            (1, network.colours, crop, crop),
        )[0]
        son = crop_of(father.blurred)[:, ::scale, ::scale]
        return son, base, crop_of(father.image), crop_of(father.weight)

    def step(key: jax.Array, state: State, fathers: tuple[Father, ...]) -> State:
        which, where = jax.random.split(key)
        place = jax.random.uniform(where, (2,), jnp.float32)

        def sample(father: Father) -> tuple[jax.Array, ...]:
            room = father.size - crop + 1
            corner = jnp.minimum((place * room).astype(jnp.int32), room - 1)
            return cut(father, corner)

        branch = jax.random.randint(which, (), 0, len(fathers), jnp.int32)
        branches = [functools.partial(sample, father) for father in fathers]
        son, base, target, weight = jax.lax.switch(branch, branches)

        def loss_of(params: Any) -> jax.Array:
            difference = jnp.abs(network.apply(module, params, son, base) - target)
            return (weight[None] * difference).mean()

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        updates, optimizer = adam.update(gradient, state.optimizer)
        rate = state.learning_rate
        if cosine:
            part = state.step.astype(jnp.float32) / config.iterations
            rate = rate * 0.5 * (1 + jnp.cos(jnp.pi * part))
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        return state._replace(
            step=state.step + 1, params=params, optimizer=optimizer, loss=loss
        )

    def reconstruction_error(params: Any, father: Father) -> jax.Array:
        """Mean squared error on five fixed crops: the corners and the middle."""
        places = jnp.float32([[0, 0], [0, 1], [0.5, 0.5], [1, 0], [1, 1]])
        room = (father.size - crop).astype(jnp.float32)

        def error(place: jax.Array) -> jax.Array:
            son, base, target, _ = cut(father, (place * room).astype(jnp.int32))
            enlarged = network.apply(module, params, son, base)
            return ((jnp.clip(enlarged, 0, 1) - target) ** 2).mean()

        return jax.lax.map(error, places).mean()

    def policy(state: State, fathers: tuple[Father, ...]) -> State:
        if cosine:
            return state
        error = jax.lax.cond(
            state.step % EVERY_ERROR == 0,
            lambda: reconstruction_error(state.params, fathers[0]),
            lambda: state.errors[state.step // EVERY_ERROR],
        )
        state = state._replace(
            errors=state.errors.at[state.step // EVERY_ERROR].set(error)
        )
        drop = (
            (state.step % EVERY_FIT == 0)
            & (state.step - state.dropped > WINDOW)
            & stalled(state.errors, state.step)
        )
        return state._replace(
            learning_rate=jnp.where(
                drop, state.learning_rate / 10, state.learning_rate
            ),
            dropped=jnp.where(drop, state.step, state.dropped),
        )

    def running(state: State) -> jax.Array:
        return (state.step < config.iterations) & (
            state.learning_rate >= config.least_learning_rate
        )

    return ZSSR(init, step, policy, running)


def stalled(errors: jax.Array, step: jax.Array) -> jax.Array:
    """Whether the errors of the last `WINDOW` steps fall no longer, beyond doubt.

    A line is fitted to them; they do not if -1.5 times its slope is under the slope's
    standard error.

    Args:
      errors: The errors at steps 0, `EVERY_ERROR`, ...
      step: The present step.
    """
    at = jnp.arange(len(errors), dtype=errors.dtype) * EVERY_ERROR
    seen = ((at <= step) & (at > step - WINDOW) & (at > 0)).astype(errors.dtype)
    count = jnp.maximum(seen.sum(), 3)
    x = (at - (seen * at).sum() / count) * seen
    y = (errors - (seen * errors).sum() / count) * seen
    spread = jnp.maximum((x**2).sum(), 1e-12)
    slope = (x * y).sum() / spread
    residual = ((y - slope * x) ** 2).sum() / (count - 2)
    return -1.5 * slope < jnp.sqrt(residual / spread)
