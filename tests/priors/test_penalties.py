"""KernelGAN's penalty: the reference, known answers, derivatives, refusals."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import kernels
from kernelgan_jax.priors.penalties import (
    KERNEL_TERMS,
    PENALTY_WEIGHTS,
    boundaries,
    boundary_mask,
    centralised,
    penalty,
    sparsity,
    sum_to_one,
)

pytestmark = pytest.mark.quick_compilation

TERMS = {
    "loss_sum2one": sum_to_one,
    "loss_boundaries": boundaries,
    "loss_centralized": centralised,
    "loss_sparse": sparsity,
}


@pytest.mark.parametrize("name", TERMS)
def test_kernel_term_equals_the_reference(golden, name):
    golden = golden("generator")
    with jax.enable_x64(True):
        ours = TERMS[name](jnp.asarray(golden["kernel"], np.float64))
    # The reference's own value comes from float32 arithmetic.
    np.testing.assert_allclose(ours, golden[name], rtol=1e-6)


def test_boundary_mask_equals_the_reference(golden):
    mask = boundary_mask((13, 13))
    np.testing.assert_allclose(mask, golden("generator")["boundary_mask"], rtol=1e-6)


def test_penalty_is_the_weighted_losses():
    kernel = jnp.zeros((13, 13)).at[6, 7].set(0.25).at[0, 3].set(0.25)
    terms = penalty(kernel, scale=2)
    assert list(terms) == list(KERNEL_TERMS) == list(PENALTY_WEIGHTS)
    np.testing.assert_allclose(terms["sum"], 0.5 * 0.5)
    np.testing.assert_allclose(
        terms["centre"], ((3 - 6.5) ** 2 + (5 - 6.5) ** 2) / 2, rtol=1e-6
    )
    np.testing.assert_allclose(terms["sparsity"], 5 * 2 * 0.25**0.2 / 169, rtol=1e-6)
    doubled = penalty(kernel, weights={"boundary": 1.0})
    np.testing.assert_allclose(doubled["boundary"], 2 * terms["boundary"])
    assert list(doubled) == ["boundary"]


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(9, 12), (13, 13)])
def test_penalty_of_the_centre_is_least_at_the_alignment(shape, scale):
    place = kernels.alignment(shape, scale)
    kernel = np.zeros(shape, np.float32)
    for row in {math.floor(place[0]), math.ceil(place[0])}:
        for column in {math.floor(place[1]), math.ceil(place[1])}:
            kernel[row, column] = 0.25
    centre = penalty(kernel, scale=scale, weights={"centre": 1})["centre"]
    np.testing.assert_allclose(centre, 0, atol=1e-9)


# --- Derivatives: of all terms in one program ---


def weighted(kernel):
    """All terms, `4`, in the order of `PENALTY_WEIGHTS`."""
    return jnp.stack(list(penalty(kernel).values()))


def curved_along(kernel, direction):
    """The terms, their gradients, and their Hessians times a direction."""
    gradients, curved = jax.jvp(jax.jacrev(weighted), (kernel,), (direction,))
    return weighted(kernel), gradients, curved


@functools.cache
def derivatives(shape):
    """Of the terms at a random kernel, and by finite differences, in float64."""
    with jax.enable_x64(True):
        kernel = jax.random.uniform(jax.random.key(0), shape, np.float64) + 0.1
        direction = jax.random.normal(jax.random.key(1), shape, np.float64)
        program, step = jax.jit(curved_along), 1e-5
        _, gradients, curved = program(kernel, direction)
        ahead, behind = (
            program(kernel + s * direction, direction) for s in (step, -step)
        )
        ours = (gradients * direction[None]).sum((1, 2)), curved
        expected = [(a - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)]
        return jax.tree.map(np.asarray, (ours, expected[:2]))


@pytest.mark.parametrize("shape", [(7, 8), (13, 13)])
@pytest.mark.parametrize("term", PENALTY_WEIGHTS)
def test_derivatives_against_finite_differences(term, shape):
    (slopes, curved), expected = derivatives(shape)
    i = list(PENALTY_WEIGHTS).index(term)
    np.testing.assert_allclose(slopes[i], expected[0][i], rtol=1e-6)
    np.testing.assert_allclose(curved[i], expected[1][i], rtol=1e-6, atol=1e-8)


SPECIAL = {
    "zero": np.zeros((13, 13), np.float32),
    "one-hot": np.eye(13, dtype=np.float32)[:, 3:4] * np.eye(13, dtype=np.float32)[5],
    "corner": np.eye(13, dtype=np.float32)[:, :1] * np.eye(13, dtype=np.float32),
}


@functools.cache
def all_derivatives():
    return jax.jit(lambda k: (jax.jacrev(weighted)(k), jax.hessian(weighted)(k)))


@pytest.mark.parametrize("term", PENALTY_WEIGHTS)
@pytest.mark.parametrize("special", SPECIAL)
def test_derivatives_are_finite_where_values_are_zero(special, term):
    i = list(PENALTY_WEIGHTS).index(term)
    gradients, hessians = all_derivatives()(SPECIAL[special])
    assert gradients[i].shape == (13, 13) and np.isfinite(gradients[i]).all()
    assert hessians[i].shape == (13,) * 4 and np.isfinite(hessians[i]).all()


# --- Transformations and refusals ---


def test_weights_may_be_traced():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def f(weight, kernel):
        return penalty(kernel, weights={"sum": weight})["sum"]

    chex.clear_trace_counter()
    for weight in (0.5, 2.0):
        np.testing.assert_allclose(f(weight, jnp.zeros((3, 3))), weight)


@pytest.mark.parametrize(
    ("kernel", "options", "message"),
    [
        (jnp.zeros((1, 3, 3)), {}, "kernel has 3 axes; .* 2"),
        (jnp.zeros(9), {}, "kernel has 1 axes; .* 2"),
        (jnp.eye(5, dtype=int), {}, "kernel holds int32; .* floating"),
        (jnp.eye(5), {"scale": 0}, "scale is 0"),
        (jnp.eye(5), {"weights": {"total": 1.0}}, "'total'; it must name some of"),
        (jnp.eye(5), {"weights": {"sum": -1.0}}, "'sum'.* is -1.0; .* least 0"),
    ],
)
def test_bad_arguments_are_named(kernel, options, message):
    with pytest.raises(ValueError, match=message):
        penalty(kernel, **options)
