"""The simplex prior: it fits any kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kernelgan_jax.degradation import downscale
from kernelgan_jax.priors import simplex


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_the_example_of_the_package(array):
    """The loss of `kernelgan_jax.priors`, on NumPy's and on JAX's arrays."""
    rng = np.random.default_rng(0)
    hr = array(rng.random((40, 40), np.float32))
    lr = array(rng.random((20, 20), np.float32))
    model = simplex(13)

    def loss(params):
        kernel = model.kernel(params)
        misfit = ((downscale(hr, kernel, 2) - lr) ** 2).sum() / (2 * (1 / 255) ** 2)
        return misfit + sum(model.penalty(kernel).values())

    params = model.init(jax.random.key(0))
    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    assert np.isfinite(value) and gradient.shape == (13, 13)
    assert np.isfinite(gradient).all()


def test_descent_finds_a_kernel_from_a_pair():
    rng = np.random.default_rng(0)
    true = np.zeros((9, 12), np.float32)
    true[2, 3:9] = true[3:7, 8] = 0.1
    hr = jnp.asarray(rng.random((64, 64)), np.float32)
    lr = downscale(hr, jnp.asarray(true), 2)
    model, optimizer = simplex((9, 12), scale=3), optax.adam(0.1)
    params = model.init(jax.random.key(0))

    def loss(params):
        return ((downscale(hr, model.kernel(params), 2) - lr) ** 2).sum()

    def step(state, _):
        params, memory = state
        update, memory = optimizer.update(jax.grad(loss)(params), memory)
        return (optax.apply_updates(params, update), memory), None

    run = jax.jit(lambda s: jax.lax.scan(step, s, length=600)[0])
    params, _ = run((params, optimizer.init(params)))
    np.testing.assert_allclose(model.kernel(params), true, atol=2e-3)


def test_parameters_have_the_shape_of_the_kernel():
    with pytest.raises(ValueError, match="params has shape"):
        simplex(5).kernel(jnp.ones((4, 4)))
