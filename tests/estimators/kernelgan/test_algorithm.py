"""The algorithm against 60 noise-free steps of the reference, in float64."""

import dataclasses

import jax
import numpy as np
import pytest
from helpers import discriminator_variables, generator_params

from kernelgan_jax import priors
from kernelgan_jax.estimators.kernelgan import (
    Batch,
    KernelGANConfig,
    generator_kernel,
    kernelgan,
)
from kernelgan_jax.estimators.kernelgan.config import FLOW_SIZE, GENERATORS
from kernelgan_jax.estimators.kernelgan.generators import GENERATORS as MADE
from kernelgan_jax.priors.flow import pretrained

pytestmark = pytest.mark.quick_compilation


def follow(golden, warm_start, steps):
    """Runs the recorded crops from the recorded weights; gives states and infos."""
    config = KernelGANConfig(
        iterations=60,
        generator_channels=8,
        discriminator_channels=16,
        decay_every=25,
        bicubic_every=10,
        discriminator_noise_std=0.0,
        warm_start=warm_start,
    )
    variables = discriminator_variables(golden, "init.D.")
    generator = generator_params(golden, "init.")
    init, step = kernelgan(config)
    state = jax.jit(init)(jax.random.key(0))
    state = state._replace(
        generator=generator,
        discriminator=variables["params"],
        singular_vectors=variables["singular_vectors"],
    )
    # Only the values of the fresh optimizers matter: zeros, in float64 here.
    state = jax.tree.map(
        lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, state
    )
    image = golden["image"] / 255

    def crop(corner, side):
        top, left = corner
        return image[None, top : top + side, left : left + side]

    step, history = jax.jit(step), []
    for i in range(steps):
        batch = Batch(crop(golden["crops_g"][i], 64), crop(golden["crops_d"][i], 26))
        state, info = step(jax.random.key(i), state, batch)
        history.append((state, info))
    return history


# `per_channel` is followed until its rounding grows (sparsity term, step 20).
STEPS = {"summed": 60, "per_channel": 25}


@pytest.fixture(scope="module")
def trajectories(golden):
    with jax.enable_x64(True):
        recorded = {name: golden(f"trajectory_{name}") for name in STEPS}
        return {n: (g, follow(g, n, STEPS[n])) for n, g in recorded.items()}


@pytest.fixture(params=STEPS)
def trajectory(request, trajectories):
    return trajectories[request.param]


def test_kernel_at_every_step(trajectory):
    golden, history = trajectory
    ours = np.stack([info.kernel for _, info in history])
    np.testing.assert_allclose(ours, golden["kernels"][: len(ours)], rtol=0, atol=1e-6)


def test_bicubic_loss_at_every_step(trajectory):
    golden, history = trajectory
    ours = np.array([info.bicubic_loss for _, info in history])
    np.testing.assert_allclose(ours, golden["bicubic_loss"][: len(ours)], rtol=1e-6)


def test_schedule_at_every_step(trajectory):
    golden, history = trajectory
    ours = [
        [s.weights.bicubic, s.weights.centre, s.weights.sparsity] for s, _ in history
    ]
    np.testing.assert_allclose(ours, golden["schedule"][: len(ours), :3], rtol=1e-12)


def test_final_weights(trajectories):
    golden, history = trajectories["summed"]
    state, _ = history[-1]
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(
            ours, theirs, rtol=0, atol=1e-6
        ),
        (
            state.generator,
            {
                "params": state.discriminator,
                "singular_vectors": state.singular_vectors,
            },
        ),
        (
            generator_params(golden, "final."),
            discriminator_variables(golden, "final.D."),
        ),
    )


TINY = KernelGANConfig(
    generator_kernels=(7, 5, 3),
    generator_channels=4,
    discriminator_channels=4,
    discriminator_blocks=1,
)


@pytest.fixture(scope="module")
def tiny():
    rng = np.random.default_rng(0)
    batch = Batch(
        rng.random((1, 64, 64, 3), np.float32), rng.random((1, 26, 26, 3), np.float32)
    )
    init, step = kernelgan(TINY)
    return (jax.jit(init), jax.jit(step)), batch


def test_step_is_a_function_of_key_and_state(tiny):
    (init, step), batch = tiny
    state = init(jax.random.key(1))
    (a, info_a), (b, info_b) = (step(jax.random.key(2), state, batch) for _ in "ab")
    jax.tree.map(np.testing.assert_array_equal, (a, info_a), (b, info_b))
    other, _ = step(jax.random.key(3), state, batch)
    assert not np.array_equal(
        a.discriminator["first"]["kernel"], other.discriminator["first"]["kernel"]
    )


def test_info_holds_the_kernel_of_the_new_state(tiny):
    (init, step), batch = tiny
    state, info = step(jax.random.key(2), init(jax.random.key(1)), batch)
    kernel = generator_kernel(state, config=TINY)
    np.testing.assert_allclose(info.kernel, kernel, rtol=1e-6)


def test_vmap_equals_a_loop(tiny):
    (init, step), batch = tiny
    keys = jax.random.split(jax.random.key(5), 3)
    batches = jax.tree.map(lambda x: np.stack([x, x / 2, x**2]), batch)
    states, many = jax.jit(jax.vmap(step))(keys, jax.vmap(init)(keys), batches)
    for i in range(3):
        one = Batch(*(x[i] for x in batches))
        state, info = step(keys[i], init(keys[i]), one)
        # Not the biases before a batch norm: their gradients are rounding errors,
        # which Adam's first step makes as large as all others.
        ours = (states.singular_vectors, states.generator, many)
        theirs = (state.singular_vectors, state.generator, info)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-6)


def test_step_zero_does_not_count_for_the_warm_start(tiny):
    (init, step), _ = tiny
    gray = Batch(
        np.full((1, 64, 64, 3), 0.5, np.float32),
        np.full((1, 26, 26, 3), 0.5, np.float32),
    )
    state, streaks = init(jax.random.key(0)), []
    for i in range(5):  # a mid-gray crop is 0: its bicubic loss is 0 at once
        state, _ = step(jax.random.key(i), state, gray)
        streaks.append(int(state.weights.streak))
    assert streaks == [0, 1, 2, 3, 3]


def test_generators_are_those_that_the_settings_name():
    assert set(MADE) == set(GENERATORS)


@pytest.mark.parametrize("prior", GENERATORS)
def test_every_prior_can_be_the_generator(prior):
    config = dataclasses.replace(TINY, prior=prior, crops=2)
    rng = np.random.default_rng(0)
    batch = Batch(
        rng.random((2, 64, 64, 3), np.float32), rng.random((2, 26, 26, 3), np.float32)
    )
    init, step = kernelgan(config)
    state = jax.jit(init)(jax.random.key(0))
    before = generator_kernel(state, config=config)
    state, info = jax.jit(step)(jax.random.key(1), state, batch)
    after = generator_kernel(state, config=config)
    assert after.shape == (13, 13) and np.isfinite(after).all()
    np.testing.assert_allclose(info.kernel, after, rtol=1e-5, atol=1e-7)
    assert np.abs(after - before).max() > 0


def test_pretrained_flow_has_the_size_in_the_settings():
    assert pretrained().shape == (FLOW_SIZE, FLOW_SIZE)


def test_bicubic_loss_of_several_crops_is_their_mean(tiny):
    (init, step), _ = tiny
    rng = np.random.default_rng(0)
    crops = rng.random((2, 64, 64, 3), np.float32)
    real = np.full((2, 26, 26, 3), 0.5, np.float32)
    state, key = init(jax.random.key(0)), jax.random.key(1)

    def bicubic_loss(rows):
        return step(key, state, Batch(crops[rows], real[rows]))[1].bicubic_loss

    alone = [bicubic_loss(slice(i, i + 1)) for i in (0, 1)]
    np.testing.assert_allclose(bicubic_loss(slice(2)), np.mean(alone), rtol=1e-5)


def test_a_generator_has_the_size_in_the_settings():
    for shape in (15, (13, 15)):
        with pytest.raises(ValueError, match="generator makes kernels of shape .*15"):
            kernelgan(TINY, generator=priors.gaussian(shape))
    model = priors.gaussian(11)
    kernelgan(dataclasses.replace(TINY, generator_kernels=(5, 7)), generator=model)


def test_what_cannot_be_meant_is_named():
    """Also where nothing is compiled yet."""
    init, step = kernelgan(TINY)
    state = jax.eval_shape(init, jax.random.key(0))
    crops = np.zeros((1, 64, 64, 3), np.float32), np.zeros((1, 26, 26, 3), np.float32)

    def message(function, *arguments):
        with pytest.raises(ValueError) as info:
            jax.eval_shape(function, *arguments)
        return str(info.value)

    key, batch = jax.random.key(1), Batch(*crops)
    assert message(lambda: init(0)) == "key is 0; it must be a JAX random key"
    assert message(lambda s: step(0, s, batch), state).startswith("key is 0")
    assert "state is a tuple" in message(step, key, tuple(state), batch)
    assert "batch is a tuple" in message(step, key, state, crops)
    for generator in (crops[0][..., :1], crops[0][:, 2:-2, 2:-2], crops[0][0]):
        found = message(step, key, state, batch._replace(generator=generator))
        assert found.startswith("batch.generator has ")
    found = message(step, key, state, batch._replace(discriminator=crops[0]))
    assert "(1, 64, 64, 3); it must be crops x 26 x 26 x 3" in found
    for penalty, words in (
        (lambda kernel: kernel.sum(), "penalty returns a "),
        (lambda kernel: {"corner": kernel[0]}, "penalty's term corner is"),
    ):
        _, other = kernelgan(TINY, penalty=penalty)
        assert message(other, key, state, batch).startswith(words)


@pytest.mark.parametrize("prior", ["flow", "gaussian", "deep_linear"])
def test_the_kernel_of_a_state_needs_its_settings(prior):
    state = kernelgan(dataclasses.replace(TINY, prior=prior)).init(jax.random.key(0))
    with pytest.raises(ValueError, match="state is of a training with other settings"):
        generator_kernel(state)


def test_a_penalty_is_added_to_the_generator_loss(tiny):
    """One that outweighs all other terms moves the kernel where it points."""
    (init, _), batch = tiny

    def away(kernel):
        return {"corner": -1e6 * kernel[0, 0]}

    _, step = kernelgan(TINY, penalty=away)
    state = init(jax.random.key(1))
    before = generator_kernel(state, config=TINY)
    _, info = jax.jit(step)(jax.random.key(2), state, batch)
    assert info.kernel[0, 0] > before[0, 0]
