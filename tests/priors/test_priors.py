"""All kernel priors: sizes, sums, derivatives, transformations, refusals."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import along, direction_like, slope

from kernelgan_jax.priors import (
    curved_motion,
    deep_linear,
    flow,
    gaussian,
    generalised_gaussian,
    motion,
    simplex,
)

pytestmark = pytest.mark.quick_compilation

PRIORS = {
    "deep_linear": deep_linear(channels=4),
    "deep_linear, strided": deep_linear(
        filters=((3, 2), 3, (1, 2)), strides=(2, 1, 2), channels=3
    ),
    "simplex": simplex((9, 12), scale=3),
    "gaussian": gaussian((11, 14), scale=4),
    "generalised_gaussian": generalised_gaussian((10, 12), scale=3),
    # Not sparsity: its gradient at the tails, differences of erf, is rounding noise.
    "motion": motion((12, 13), weights={"sum": 0.5, "boundary": 0.5, "centre": 1.0}),
    "curved_motion": curved_motion(
        (12, 13), weights={"sum": 0.5, "boundary": 0.5, "centre": 1.0}
    ),
    "flow": flow(),
}
SHAPES = [(13, 13), (7, 8), (9, 12), (11, 14), (10, 12), (12, 13), (12, 13), (13, 13)]
SIZES = dict(zip(PRIORS, SHAPES, strict=True))
POSITIVE = [name for name in PRIORS if not name.startswith("deep_linear")]
NARROW = {
    "gaussian": {"cholesky": jnp.array([0.3, 0.1, 0.2]), "shift": jnp.zeros(2)},
    "generalised_gaussian": {
        "cholesky": jnp.array([0.3, 0.1, 0.2]),
        "shift": jnp.zeros(2),
        "log_power": jnp.ones(()),
    },
    "motion": {"line": jnp.zeros(2), "width": jnp.zeros(()), "shift": jnp.zeros(2)},
    "curved_motion": {
        "path": jnp.zeros((2, 4)),
        "width": jnp.zeros(()),
        "shift": jnp.zeros(2),
    },
    "simplex": 20 * jax.random.normal(jax.random.key(0), (9, 12)),
}
"""Parameters of kernels that are next to an impulse."""
STEEP = {
    "cholesky": jnp.array([1.0, 0.0, 0.5]),
    "shift": jnp.zeros(2),
    "log_power": jnp.float32(2.75),
}
"""Those of a generalised Gaussian with powers beyond float32's range."""


@pytest.fixture(params=PRIORS)
def name(request):
    return request.param


def params_of(name, dtype=np.float32, seed=0):
    params = PRIORS[name].init(jax.random.key(seed))
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), params)


def objective(name, params):
    kernel = PRIORS[name].kernel(params)
    value = sum(PRIORS[name].penalty(kernel).values()) + (kernel**2).sum()
    if PRIORS[name].log_prob is not None:
        value -= 1e-3 * PRIORS[name].log_prob(kernel)
    return value


@functools.cache
def derivatives(name):
    """One program for a prior, and the list to which each of its traces adds."""
    model, traces = PRIORS[name], []

    def penalty(params):
        return sum(model.penalty(model.kernel(params)).values())

    @jax.jit
    def program(params, direction):
        """The objective with its gradient; the penalty's Hessian times a direction."""
        traces.append(name)
        valued = jax.value_and_grad(functools.partial(objective, name))(params)
        return valued, jax.jvp(jax.grad(penalty), (params,), (direction,))[1]

    return program, traces


def test_sizes_and_sums(name):
    kernel = PRIORS[name].kernel(params_of(name))
    assert kernel.shape == SIZES[name] and kernel.dtype == np.float32
    if name in POSITIVE:  # the sum of the others is free
        np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)


def test_parameters_are_float32_in_every_mode(name):
    with jax.enable_x64(True):
        params = jax.eval_shape(PRIORS[name].init, jax.random.key(0))
    assert {x.dtype for x in jax.tree.leaves(params)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", ["motion", "curved_motion", "gaussian"])
@pytest.mark.parametrize("away", [10.0, 10.9, 14.0, 1e3])  # pixels
def test_kernels_beside_the_frame_have_finite_derivatives(name, away):
    params = params_of(name)
    params["shift"] = jnp.array([away, -away], jnp.float32)
    (_, slope), curvature = derivatives(name)[0](params, direction_like(params))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((slope, curvature)))
    np.testing.assert_allclose(PRIORS[name].kernel(params).sum(), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["motion", "curved_motion", "gaussian"])
def test_parameters_that_are_no_numbers_make_no_kernel(name):
    params = jax.tree.map(lambda x: jnp.nan * x, params_of(name))
    assert np.isnan(PRIORS[name].kernel(params)).all()


@pytest.mark.parametrize("name", POSITIVE)
def test_kernels_are_not_negative(name):
    many = jax.tree.map(
        lambda *x: jnp.stack(x), *(params_of(name, seed=seed) for seed in range(5))
    )
    kernels = jax.jit(jax.vmap(PRIORS[name].kernel))(many)
    assert kernels.shape == (5, *SIZES[name]) and kernels.min() >= 0


def test_only_the_flow_has_a_density(name):
    assert (PRIORS[name].log_prob is not None) == (name == "flow")


def test_gradient_of_the_kernel_against_finite_differences(name):
    with jax.enable_x64(True):
        params = params_of(name, np.float64)
        direction = direction_like(params)
        weight = jax.random.normal(jax.random.key(2), SIZES[name], np.float64)
        f = jax.jit(
            jax.value_and_grad(lambda p: (weight * PRIORS[name].kernel(p)).sum())
        )
        ours = along(f(params)[1], direction)
        expected = slope(lambda p: f(p)[0], params, direction)
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_a_steep_kernel_has_the_derivatives_of_float64():
    model = generalised_gaussian(25)

    def loss(params):
        return (model.kernel(params) ** 2).sum()

    slopes, curved = jax.jit(
        lambda p: (jax.grad(loss)(p), jax.jvp(jax.grad(loss), (p,), (p,))[1])
    )(STEEP)
    with jax.enable_x64(True):
        exact = jax.grad(loss)(jax.tree.map(lambda x: jnp.asarray(x, float), STEEP))
    for name, found in slopes.items():
        np.testing.assert_allclose(found, exact[name], rtol=1e-3, atol=1e-5)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(curved))


@pytest.mark.parametrize("params_name", [*PRIORS, *(f"{n}, narrow" for n in NARROW)])
def test_hessian_of_the_penalty_of_a_prior(params_name):
    narrow = params_name.endswith(", narrow")
    name = params_name.removesuffix(", narrow")
    params = NARROW[name] if narrow else params_of(name)
    program, _ = derivatives(name)
    curved = program(params, direction_like(params))[1]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(curved))


def test_new_values_do_not_compile_again(name):
    program, traces = derivatives(name)
    for seed in range(3):
        params = params_of(name, seed=seed)
        program(params, direction_like(params, seed=seed))
    assert len(traces) == 1


def test_jit_vmap_grad_checkpoint_and_scan(name):
    f = functools.partial(objective, name)
    many = [params_of(name, seed=seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *many)
    program, _ = derivatives(name)
    one_by_one = [program(params, direction_like(params))[0] for params in many]

    @jax.jit
    def transformed(stacked):
        gradient = jax.grad(f)
        return jax.vmap(f)(stacked), [
            jax.vmap(gradient)(stacked),
            jax.vmap(jax.grad(jax.checkpoint(f)))(stacked),
            jax.lax.scan(lambda c, p: (c, gradient(p)), 0, stacked)[1],
        ]

    values, gradients = transformed(stacked)
    for i, (value, expected) in enumerate(one_by_one):
        np.testing.assert_allclose(values[i], value, rtol=1e-4)
        largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(expected))
        for ours in gradients:
            jax.tree.map(
                lambda a, b, i=i, largest=largest: np.testing.assert_allclose(
                    a[i], b, rtol=2e-3, atol=1e-3 * largest + 1e-6
                ),
                ours,
                expected,
            )


@pytest.mark.parametrize("make", [simplex, gaussian, generalised_gaussian, motion])
@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (0, {}, "shape is 0; .* positive integer"),
        (2.5, {}, "shape is 2.5; .* positive integer"),
        ((3, 3, 3), {}, "shape is .* or two"),
        (5, {"scale": 0}, "scale is 0; .* positive integer"),
        (5, {"weights": {"sum": -1.0}}, "'sum'.* is -1.0; .* least 0"),
        (5, {"weights": {"sum": math.nan}}, "'sum'.* is nan"),
        (5, {"weights": {"sum": "a"}}, "'sum'.* is 'a'; .* number"),
        (5, {"weights": {"sum": np.ones(2)}}, "'sum'.* a finite num"),
        (5, {"weights": {"total": 1.0}}, "'total'; it must name some of"),
    ],
)
def test_bad_arguments_are_named(make, shape, options, message):
    with pytest.raises(ValueError, match=message):
        make(shape, **options)


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_type_is_promoted_by_itself(name, dtype):
    """As callers want it who have set JAX's promotion of types to strict."""
    model = PRIORS[name]
    params = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype), params)
    with jax.numpy_dtype_promotion("strict"):
        kernel = jax.eval_shape(model.kernel, params)
        terms = jax.eval_shape(model.penalty, kernel)
    assert {x.dtype for x in (kernel, *terms.values())} == {jnp.dtype(dtype)}


@pytest.mark.parametrize(
    "prior", [simplex, gaussian, generalised_gaussian, motion, curved_motion]
)
def test_all_priors_know_the_same_scales(prior):
    """Those of `downscale`, also where kernels are not estimated."""
    assert prior(65, scale=16).kernel is not None
    with pytest.raises(ValueError, match="scale is 257; .* at most 256"):
        prior(65, scale=257)
