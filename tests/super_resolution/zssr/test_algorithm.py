"""ZSSR's training as pure functions."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax.super_resolution.zssr.algorithm import (
    STEPS_PER_CHUNK,
    STEPS_PER_ERROR,
    STEPS_PER_FIT,
    Training,
    stalled,
    zero_shot,
)
from kernelgan_jax.super_resolution.zssr.network import Architecture
from kernelgan_jax.super_resolution.zssr.pairs import blur, make_pair

pytestmark = pytest.mark.quick_compilation

KEY = jax.random.key(0)
TRAINING = Training(3000, "plateau", 1e-3, 9e-6, 32)
NETWORK = Architecture(True, 2, 2, 4, 3)
ALGORITHM = zero_shot(NETWORK, TRAINING)
step = jax.jit(ALGORITHM.step)


@jax.jit
def init(key):
    return ALGORITHM.init(NETWORK.init(key))


def pair(seed=0):
    image = helpers.smooth(64, 64, seed=seed)
    blurred = blur(np.random.default_rng(0), image, helpers.gaussian(2), 0.0)
    return make_pair(image, blurred, None, 2)


PAIRS = [pair(0), pair(1)]


def test_the_policy_is_called_at_every_error_and_every_fit():
    assert STEPS_PER_ERROR % STEPS_PER_CHUNK == STEPS_PER_FIT % STEPS_PER_CHUNK == 0


def test_stalled_agrees_with_a_line_fit():
    rng, compiled = np.random.default_rng(0), jax.jit(stalled)
    verdicts = []
    for slope in (0.0, -1e-4, -1e-3):
        for _ in range(10):
            errors = 1 + slope * 50 * np.arange(20) + 0.02 * rng.standard_normal(20)
            x, y = 50 * np.arange(15, 20), errors[15:]
            (m, _), covariance = np.polyfit(x, y, 1, cov=True)
            expected = -1.5 * m < covariance[0, 0] ** 0.5
            assert bool(compiled(np.float32(errors), np.int32(960))) == expected
            verdicts.append(expected)
    assert 0 < sum(verdicts) < len(verdicts)


def test_the_policy_drops_the_rate_and_ends_the_training():
    policy = jax.jit(ALGORITHM.policy)
    state = init(KEY)._replace(step=jnp.int32(900), errors=jnp.ones(61))
    # Errors that rise: the error of now is measured, and is far off 1.
    rising = state._replace(errors=jnp.linspace(0, 1e-9, 61))
    dropped = policy(rising, (PAIRS[0],))
    assert float(dropped.learning_rate) == pytest.approx(1e-4)
    assert int(dropped.dropped) == 900
    again = policy(dropped._replace(step=jnp.int32(960)), (PAIRS[0],))
    assert float(again.learning_rate) == pytest.approx(1e-4)  # 256 steps apart
    assert ALGORITHM.running(state)
    assert not ALGORITHM.running(state._replace(learning_rate=jnp.float32(1e-6)))
    assert not ALGORITHM.running(state._replace(step=jnp.int32(3000)))


def test_the_policy_of_a_cosine_schedule_does_nothing():
    algorithm = zero_shot(NETWORK, TRAINING._replace(schedule="cosine"))
    state = init(KEY)
    assert algorithm.policy(state, (PAIRS[0],)) is state


def test_training_lowers_the_loss():
    @jax.jit
    def train(state, pairs):
        def body(state, _):
            state = ALGORITHM.step(jax.random.fold_in(KEY, state.step), state, pairs)
            return state, state.loss

        return jax.lax.scan(body, state, None, length=300)

    _, losses = train(init(KEY), (PAIRS[0],))
    assert losses[-30:].mean() < 0.9 * losses[:30].mean()


def test_images_and_restarts_in_one_batch():
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *PAIRS)
    keys = jax.random.split(KEY, 2)
    states = jax.jit(jax.vmap(init))(keys)
    batched = jax.jit(jax.vmap(lambda k, s, p: ALGORITHM.step(k, s, (p,))))
    together = batched(keys, states, stacked)
    for i in range(2):
        alone = step(keys[i], init(keys[i]), (PAIRS[i],))
        for a, b in zip(
            jax.tree.leaves(alone),
            jax.tree.leaves(jax.tree.map(lambda x, i=i: x[i], together)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_training_stays_in_float32_where_jax_is_in_float64():
    with jax.enable_x64(True):
        state = jax.eval_shape(init, KEY)
        pairs = tuple(PAIRS)
        after = jax.eval_shape(
            ALGORITHM.policy, jax.eval_shape(ALGORITHM.step, KEY, state, pairs), pairs
        )
    for found in (state, after):
        assert np.dtype(np.float64) not in {
            leaf.dtype for leaf in jax.tree.leaves(found)
        }
    assert jax.tree.structure(state) == jax.tree.structure(after)
