"""The algorithm against 60 noise-free steps of the reference, in float64."""

import jax
import numpy as np
import pytest
from golden_state import discriminator_variables, generator_params

from kernelgan_jax.config import Config
from kernelgan_jax.kernelgan import Batch, generator_kernel, kernelgan


def follow(golden, warm_start, steps):
    """Runs the recorded crops from the recorded weights; gives states and infos."""
    config = Config(
        iterations=60,
        generator_channels=8,
        discriminator_channels=16,
        decay_every=25,
        bicubic_every=10,
        noise=0.0,
        warm_start=warm_start,
    )
    variables = discriminator_variables(golden, "init.D.")
    generator = generator_params(golden, "init.")
    init, step = kernelgan(config)
    state = init(jax.random.key(0))
    state = state._replace(
        generator=generator,
        discriminator=variables["params"],
        spectral=variables["spectral"],
    )
    # Only the values of the fresh optimizers matter: zeros, in float64 here.
    state = jax.tree.map(
        lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, state
    )
    image = golden["image"] / 255

    def crop(corner, side):
        top, left = corner
        return image[top : top + side, left : left + side]

    step, history = jax.jit(step), []
    for i in range(steps):
        batch = Batch(crop(golden["crops_g"][i], 64), crop(golden["crops_d"][i], 26))
        state, info = step(jax.random.key(i), state, batch)
        history.append((state, info))
    return history


@pytest.fixture(scope="module", params=[("summed", 60), ("per_channel", 25)])
def trajectory(request, golden):
    name, steps = request.param
    with jax.enable_x64(True):
        golden = golden(f"trajectory_{name}")
        return golden, follow(golden, name, steps)


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


def test_final_weights(trajectory):
    golden, history = trajectory
    if len(history) < 60:
        pytest.skip("per_channel is followed until its rounding grows")
    state = history[-1][0]
    theirs = discriminator_variables(golden, "final.D.")
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6),
        (state.generator, {"params": state.discriminator, "spectral": state.spectral}),
        (generator_params(golden, "final."), theirs),
    )
