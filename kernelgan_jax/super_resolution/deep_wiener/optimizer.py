"""One training step: loss, optimizers by scale, moving average of the weights.

Scales share the blocks of their trunk; stems and heads belong to one each. A step
trains one scale; the other parameters, and their optimizer's state, stay as they are.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from kernelgan_jax.pixels import LUMA
from kernelgan_jax.super_resolution.deep_wiener.degradation import Pair, degrade
from kernelgan_jax.super_resolution.deep_wiener.model import apply, init
from kernelgan_jax.super_resolution.deep_wiener.network import (
    TRUNKS,
    DeepWiener,
    Params,
)

EMA_DECAY = 0.999
"""Decay of the moving average of the weights; less in the first steps."""

FLOOR = 1e-5
"""Squared error below which a patch no longer counts (50 dB): flat ones."""

EDGE = 3
"""LR pixels at the borders of patches that wrap which do not count."""


class State(NamedTuple):
    """All that training needs to go on."""

    step: jax.Array
    """Steps done."""
    groups: dict[str, Params]
    """Parameters: of the trunks, and `x1` to `x4`."""
    optimizers: dict[str, Any]
    """State of each group's optimizer."""
    ema: dict[str, Params]
    """Moving averages of the parameters."""


class Info(NamedTuple):
    """What happened in a step."""

    loss: jax.Array
    psnr: jax.Array
    """Mean over the patches, dB, of luma."""
    gradient: jax.Array
    """Norm of the gradient."""


class Training(NamedTuple):
    """Training as pure functions."""

    init: Callable[[jax.Array], State]
    """`init(key)`"""
    step: Callable[..., tuple[State, Info]]
    """`step(key, state, patches, learning_rate, scale=, wraps=)`: patches are
    `B x p x p x 3` uint8, `wraps` as in `degradation.degrade`."""


def split(params: Params) -> dict[str, Params]:
    """Groups parameters by the trunk or scale that they belong to."""
    groups: dict[str, Params] = {}
    for name, value in params.items():
        groups.setdefault(name.rpartition("_")[2], {})[name] = value
    return groups


def merge(groups: dict[str, Params]) -> Params:
    """The parameters of all groups together."""
    return {name: value for group in groups.values() for name, value in group.items()}


def learning_rate(step: int, *, progress: float, largest: float, decay: float) -> float:
    """The learning rate of a step.

    It rises in the first 200 steps, stays, and falls to 0 by a straight line in the
    last part.

    Args:
      step: Steps done, from 0.
      progress: Part of the training that is done, 0 to 1.
      largest: The largest rate.
      decay: Part of the training in which it falls, 0 to 1.
    """
    left = max(1 - progress, 0)
    return largest * min((step + 1) / 200, 1, left / decay if decay else 1)


def training(
    *, network: DeepWiener, muon: bool = True, make_pair: Callable[..., Pair] = degrade
) -> Training:
    """Training as pure functions.

    Args:
      network: The network.
      muon: Whether matrices are updated by Muon (Jordan 2024), else by Adam.
      make_pair: Makes a training pair of a patch, as `degrade` does.
    """

    def matrices(params: Params) -> Any:
        # Convolutions are matrices of what they sum over and what they give.
        return jax.tree.map(
            lambda x: (
                contrib.MuonDimensionNumbers((0, 1, 2), 3) if x.ndim == 4 else None
            ),
            params,
        )

    # The learning rate is an argument of each step, so that no program depends on it.
    if muon:
        direction = contrib.muon(
            1.0,
            consistent_rms=0.2,
            adam_learning_rate=0.4,
            adam_b1=0.9,
            adam_b2=0.99,
            muon_weight_dimension_numbers=matrices,
        )
    else:
        direction = optax.adam(1.0, b1=0.9, b2=0.99)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), direction)

    def init_state(key: jax.Array) -> State:
        groups = split(init(key, network=network))
        states = {name: optimizer.init(group) for name, group in groups.items()}
        return State(jnp.int32(0), groups, states, groups)

    def step(
        key: jax.Array,
        state: State,
        patches: jax.Array,
        learning_rate: jax.Array | float,
        *,
        scale: int,
        wraps: bool = False,
    ) -> tuple[State, Info]:
        keys = jax.random.split(key, len(patches))
        make = functools.partial(make_pair, scale=scale, wraps=wraps)
        # On a GPU, numbers of the default would round off more than 8 bits do.
        with jax.default_matmul_precision("highest"):
            pairs = jax.vmap(make)(keys, patches)
        names = (TRUNKS[scale], f"x{scale}")

        def loss(used: dict[str, Params]) -> tuple[jax.Array, jax.Array]:
            results = enlarge(
                merge(used), pairs, scale=scale, wraps=wraps, network=network
            )
            # Where a patch wraps there is a step, which no photograph has.
            edge = EDGE * scale if wraps else 0
            inner = slice(edge, results.shape[1] - edge)
            return _loss(results[:, inner, inner], pairs.hr[:, inner, inner])

        used = {name: state.groups[name] for name in names}
        (value, psnr), slopes = jax.value_and_grad(loss, has_aux=True)(used)
        groups, states, ema = (
            dict(x) for x in (state.groups, state.optimizers, state.ema)
        )
        kept = jnp.minimum(EMA_DECAY, (1 + state.step) / (10 + state.step))
        for name in names:
            updates, states[name] = optimizer.update(
                slopes[name], states[name], groups[name]
            )
            updates = jax.tree.map(lambda u: learning_rate * u, updates)
            groups[name] = optax.apply_updates(groups[name], updates)
            ema[name] = jax.tree.map(
                lambda a, b: kept * a + (1 - kept) * b, ema[name], groups[name]
            )
        squares = jax.tree.map(lambda x: (x**2).sum(), slopes)
        norm = jnp.sqrt(jax.tree.reduce(jnp.add, squares))
        info = Info(value, psnr, norm)
        return State(state.step + 1, groups, states, ema), info

    return Training(init_state, step)


def enlarge(
    params: Params, pairs: Pair, *, scale: int, network: DeepWiener, wraps: bool = False
) -> jax.Array:
    """The network's results of a batch of pairs, `B x sn x sn x 3`."""

    def one(pair: Pair) -> jax.Array:
        return apply(
            params,
            pair.lr,
            pair.kernel,
            scale=scale,
            noise_std=pair.noise_std,
            kernel_std=pair.kernel_std,
            jpeg=pair.jpeg,
            wraps=wraps,
            network=network,
        )

    return jax.vmap(one)(pairs)


def _loss(results: jax.Array, hr: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean logarithm of the squared error of colours and of luma, half each; PSNR of
    luma.

    The logarithm is what PSNR averages: a clean patch counts as much as a noisy one.
    """
    error = results - hr
    luma = error @ jnp.asarray(LUMA, error.dtype)
    axes = (1, 2)
    colours = jnp.log((error**2).mean((*axes, 3)) + FLOOR)
    grays = jnp.log((luma**2).mean(axes) + FLOOR)
    psnr = -10 * jnp.log10((luma**2).mean(axes) + 1e-8)
    return 0.5 * colours.mean() + 0.5 * grays.mean(), psnr.mean()
