"""ZSSR's training on one image, as pure functions: nothing here is compiled or placed.

A step takes a random crop of a random pair and makes the L1 distance between the
enlarged LR input and the HR target smaller; the learning rate falls when the
reconstruction error stalls (Shocher, Cohen, Irani, CVPR 2018, section 3.1).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from kernelgan_jax.super_resolution.zssr.network import Architecture
from kernelgan_jax.super_resolution.zssr.pairs import Pair

STEPS_PER_CHUNK = 10
"""Steps between calls of the policy; it divides the next two."""

STEPS_PER_ERROR = 50
"""Steps between measurements of the reconstruction error."""

STEPS_PER_FIT = 60
"""Steps between line fits to the errors."""

FIT_STEPS = 256
"""Steps that a line fit looks back on."""


class State(NamedTuple):
    """All that the next step needs."""

    step: jax.Array
    """Steps done."""
    params: Any
    """Parameters of the network."""
    optimizer: Any
    """State of Adam."""
    learning_rate: jax.Array
    """The present learning rate, before a cosine schedule."""
    errors: jax.Array
    """Reconstruction errors, one every `STEPS_PER_ERROR` steps; 0 where not measured
    yet."""
    dropped: jax.Array
    """Step at which the learning rate was last divided by 10."""
    loss: jax.Array
    """Loss of the last step."""


class Training(NamedTuple):
    """What the training depends on, besides the network and the pairs; hashable."""

    iterations: int
    """Steps at most."""
    schedule: str
    """`plateau` or `cosine`; see `ZSSRConfig.schedule`."""
    learning_rate: float
    """Initial learning rate."""
    min_learning_rate: float
    """With `plateau`, training stops below this learning rate."""
    crop: int
    """Side of a crop of the HR target, a multiple of the scale."""


class ZSSR(NamedTuple):
    """The algorithm as pure functions for one image."""

    init: Callable[..., State]
    """`init(params) -> state`, with the parameters of `Architecture.init(key)`."""
    step: Callable[..., State]
    """`step(key, state, pairs) -> state`: one training step."""
    policy: Callable[..., State]
    """`policy(state, pairs) -> state`: measures the error and sets the learning rate;
    to be called every `STEPS_PER_CHUNK` steps."""
    running: Callable[[State], jax.Array]
    """`running(state)`: whether training goes on."""


def zero_shot(
    network: Architecture, training: Training, *, as_product: bool = False
) -> ZSSR:
    """ZSSR's training as pure functions.

    Args:
      as_product: As in `Conv3x3`.
    """
    scale, module = network.scale, network.module(as_product=as_product)
    adam = optax.scale_by_adam()
    crop = training.crop
    cosine = training.schedule == "cosine"

    def init(params: Any) -> State:
        return State(
            jnp.int32(0),
            params,
            adam.init(params),
            jnp.float32(training.learning_rate),
            jnp.zeros(training.iterations // STEPS_PER_ERROR + 1, jnp.float32),
            jnp.int32(0),
            jnp.float32(0),
        )

    def cut(pair: Pair, corner: jax.Array) -> tuple[jax.Array, ...]:
        """LR input, its linear enlargement, HR target and weight of a crop."""

        def crop_of(x: jax.Array) -> jax.Array:
            start = (*(jnp.int32(0) for _ in x.shape[:-2]), *corner)
            return jax.lax.dynamic_slice(x, start, (*x.shape[:-2], crop, crop))

        phase = corner % scale
        base = jax.lax.dynamic_slice(
            pair.base,
            (phase[0] * scale + phase[1], jnp.int32(0), *corner),
            (1, network.colours, crop, crop),
        )[0]
        lr = crop_of(pair.blurred)[:, ::scale, ::scale]
        return lr, base, crop_of(pair.target), crop_of(pair.weight)

    def step(key: jax.Array, state: State, pairs: tuple[Pair, ...]) -> State:
        which, where = jax.random.split(key)
        place = jax.random.uniform(where, (2,), jnp.float32)

        def sample(pair: Pair) -> tuple[jax.Array, ...]:
            room = pair.size - crop + 1
            corner = jnp.minimum((place * room).astype(jnp.int32), room - 1)
            return cut(pair, corner)

        branch = jax.random.randint(which, (), 0, len(pairs), jnp.int32)
        branches = [functools.partial(sample, pair) for pair in pairs]
        lr, base, target, weight = jax.lax.switch(branch, branches)

        def loss_of(params: Any) -> jax.Array:
            difference = jnp.abs(network.apply(module, params, lr, base) - target)
            return (weight[None] * difference).mean()

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        updates, optimizer = adam.update(gradient, state.optimizer)
        rate = state.learning_rate
        if cosine:
            part = state.step.astype(jnp.float32) / training.iterations
            rate = rate * 0.5 * (1 + jnp.cos(jnp.pi * part))
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        return state._replace(
            step=state.step + 1, params=params, optimizer=optimizer, loss=loss
        )

    def reconstruction_error(params: Any, pair: Pair) -> jax.Array:
        """Mean squared error on five fixed crops: in the corners and in the middle."""
        places = jnp.float32([[0, 0], [0, 1], [0.5, 0.5], [1, 0], [1, 1]])
        room = (pair.size - crop).astype(jnp.float32)

        def error(place: jax.Array) -> jax.Array:
            lr, base, target, _ = cut(pair, (place * room).astype(jnp.int32))
            enlarged = network.apply(module, params, lr, base)
            return ((jnp.clip(enlarged, 0, 1) - target) ** 2).mean()

        return jax.lax.map(error, places).mean()

    def policy(state: State, pairs: tuple[Pair, ...]) -> State:
        if cosine:
            return state
        error = jax.lax.cond(
            state.step % STEPS_PER_ERROR == 0,
            lambda: reconstruction_error(state.params, pairs[0]),
            lambda: state.errors[state.step // STEPS_PER_ERROR],
        )
        state = state._replace(
            errors=state.errors.at[state.step // STEPS_PER_ERROR].set(error)
        )
        drop = (
            (state.step % STEPS_PER_FIT == 0)
            & (state.step - state.dropped > FIT_STEPS)
            & stalled(state.errors, state.step)
        )
        return state._replace(
            learning_rate=jnp.where(
                drop, state.learning_rate / 10, state.learning_rate
            ),
            dropped=jnp.where(drop, state.step, state.dropped),
        )

    def running(state: State) -> jax.Array:
        return (state.step < training.iterations) & (
            state.learning_rate >= training.min_learning_rate
        )

    return ZSSR(init, step, policy, running)


def stalled(errors: jax.Array, step: jax.Array) -> jax.Array:
    """Whether the errors of the last `FIT_STEPS` steps no longer fall significantly.

    A line is fitted to them. They have stalled if -1.5 times its slope is below the
    slope's standard error.

    Args:
      errors: The errors at steps 0, `STEPS_PER_ERROR`, ...
      step: The present step.
    """
    at = jnp.arange(len(errors), dtype=errors.dtype) * STEPS_PER_ERROR
    seen = ((at <= step) & (at > step - FIT_STEPS) & (at > 0)).astype(errors.dtype)
    count = jnp.maximum(seen.sum(), 3)
    x = (at - (seen * at).sum() / count) * seen
    y = (errors - (seen * errors).sum() / count) * seen
    spread = jnp.maximum((x**2).sum(), 1e-12)
    slope = (x * y).sum() / spread
    residual = ((y - slope * x) ** 2).sum() / (count - 2)
    return -1.5 * slope < jnp.sqrt(residual / spread)
