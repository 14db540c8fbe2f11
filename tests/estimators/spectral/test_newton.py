"""Newton's method on functions whose minima are known."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax.estimators.spectral.newton import Solution, minimise


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def quadratic(x):
    matrix = jnp.array([[3.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 1.0]])
    apart = x - jnp.array([1.0, -2.0, 0.5])
    return apart @ matrix @ apart / 2 + 7


def test_quadratic():
    found = minimise(quadratic, jnp.zeros(3))
    assert found.converged and found.steps < 10
    np.testing.assert_allclose(found.position, [1, -2, 0.5], atol=1e-4)
    np.testing.assert_allclose(found.value, 7, rtol=1e-6)
    np.testing.assert_allclose(found.hessian, jax.hessian(quadratic)(jnp.zeros(3)))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["plain", "jit"])
def test_rosenbrock(wrap):
    """Along a curved valley; the same compiled or not."""
    found = wrap(functools.partial(minimise, rosenbrock))(jnp.array([-1.2, 1.0]))
    assert found.converged
    np.testing.assert_allclose(found.position, [1, 1], atol=2e-3)
    assert found.value < 1e-6


def test_it_leaves_a_saddle_point():
    """Near the saddle at 0 a plain Newton step would lead into it."""

    def saddle(x):
        return x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 2

    found = minimise(saddle, jnp.array([0.3, 0.01]))
    assert found.converged
    np.testing.assert_allclose(jnp.abs(found.position), [0, 1], atol=1e-3)
    np.testing.assert_allclose(found.value, -0.5, atol=1e-5)


def test_positions_that_are_not_finite_are_never_taken():
    """The first full step would lead to a negative value, where the loss is NaN."""

    def loss(x):
        return (x * jnp.log(x)).sum()  # lowest at exp(-1)

    found = minimise(loss, jnp.array([3.0]))
    assert found.converged
    np.testing.assert_allclose(found.position, np.exp(-1), rtol=1e-3)
    # The Hessian is not finite at 0, though the loss is.
    infinite = minimise(lambda x: -jnp.sqrt(jnp.abs(x)).sum(), jnp.zeros(1))
    assert not infinite.converged and infinite.value == jnp.inf


def test_a_start_without_a_finite_loss():
    found = minimise(lambda x: jnp.log(x).sum(), jnp.array([-1.0]))
    assert not found.converged and found.value == jnp.inf
    np.testing.assert_array_equal(found.position, [-1])


def test_too_few_steps_do_not_converge():
    found = minimise(rosenbrock, jnp.array([-1.2, 1.0]), max_steps=3)
    assert not found.converged and found.steps == 3
    assert found.value < rosenbrock(jnp.array([-1.2, 1.0]))


def test_an_evaluation_of_the_start_is_no_convergence():
    solution = minimise(lambda x: ((x - 3) ** 2).sum(), jnp.zeros(2), max_steps=1)
    assert solution.steps == 1 and not solution.converged


@pytest.mark.parametrize(
    "start",
    [np.zeros(2, int), np.zeros(2, np.float16), 0.0, np.zeros((2, 2)), "abc"],
)
def test_starts_that_are_refused(start):
    with pytest.raises(ValueError, match="start (holds|has|is)"):
        minimise(lambda x: (x**2).sum(), start)


def test_a_start_at_the_minimum_stays():
    found = minimise(quadratic, jnp.array([1.0, -2.0, 0.5]))
    assert found.converged and found.steps == 2
    np.testing.assert_array_equal(found.position, [1, -2, 0.5])


def test_fixed_unknowns_keep_their_start():
    found = minimise(quadratic, jnp.zeros(3), free=[True, False, True])
    assert found.converged and found.position[1] == 0
    # The minimum over the other two, with the second at 0.
    np.testing.assert_allclose(found.position[0], 1 - 2 / 3, atol=1e-4)
    np.testing.assert_allclose(found.position[2], 0.5 - 1, atol=1e-4)
    np.testing.assert_array_equal(found.hessian[1], [0, 1, 0])
    np.testing.assert_array_equal(found.hessian[:, 1], [0, 1, 0])


def test_a_batch_of_starts_gives_the_results_of_each():
    starts = jnp.array([[-1.2, 1.0], [2.0, 2.0], [0.0, -1.0]])
    batch = jax.vmap(functools.partial(minimise, rosenbrock))(starts)
    for i, start in enumerate(starts):
        alone = minimise(rosenbrock, start)
        assert batch.steps[i] == alone.steps
        np.testing.assert_allclose(batch.position[i], alone.position, atol=1e-3)


def test_the_loss_is_traced_once():
    """The derivatives appear once in the program, which halves its compilation."""
    loss = chex.assert_max_traces(rosenbrock, n=1)
    jax.jit(functools.partial(minimise, loss)).lower(jnp.zeros(2))


def test_it_keeps_the_precision_of_the_start():
    with jax.enable_x64(True):
        for dtype in (np.float32, np.float64):
            start = jax.ShapeDtypeStruct((2,), dtype)
            found: Solution = jax.eval_shape(
                functools.partial(minimise, rosenbrock), start
            )
            for name in ("position", "value", "hessian"):
                assert getattr(found, name).dtype == dtype
        exact = minimise(rosenbrock, jnp.array([-1.2, 1.0]), tolerance=1e-20)
    np.testing.assert_allclose(exact.position, [1, 1], atol=1e-9)
