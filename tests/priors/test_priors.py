"""Kernel priors: known answers, derivatives, transformations, refusals."""

import math
from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kernelgan_jax.degradation import downscale
from kernelgan_jax.priors.deep_linear import deep_linear
from kernelgan_jax.priors.flow.files import pretrained
from kernelgan_jax.priors.flow.prior import flow
from kernelgan_jax.priors.gaussian import LEAST_VARIANCE, gaussian, generalised_gaussian
from kernelgan_jax.priors.motion import motion
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, penalty
from kernelgan_jax.priors.simplex import simplex
from kernelgan_jax import blur_kernels
from kernelgan_jax import kernels
from kernelgan_jax import metrics

PRIORS = {
    "deep_linear": deep_linear((7, 5, 3, 1, 1, 1), channels=4),
    "deep_linear, strided": deep_linear(
        ((3, 2), 3, (1, 2)), strides=(2, 1, 2), channels=3
    ),
    "simplex": simplex((9, 12), scale=3),
    "gaussian": gaussian((11, 14), scale=4),
    "generalised_gaussian": generalised_gaussian((10, 12), scale=3),
    "flow": flow(),
}
SHAPES = [(13, 13), (7, 8), (9, 12), (11, 14), (10, 12), (13, 13)]
SIZES = dict(zip(PRIORS, SHAPES, strict=True))


@pytest.fixture(params=PRIORS)
def name(request):
    return request.param


def params_of(name, dtype=np.float32, seed=0):
    params = PRIORS[name].init(jax.random.key(seed))
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), params)


def direction_like(tree, seed=1):
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noise = [
        jax.random.normal(k, x.shape, x.dtype)
        for k, x in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, noise)


def moved(tree, direction, step):
    return jax.tree.map(lambda x, d: x + step * d, tree, direction)


def slope(f, at, direction, step=1e-5):
    return (f(moved(at, direction, step)) - f(moved(at, direction, -step))) / (2 * step)


def along(gradient, direction):
    products = jax.tree.map(lambda g, d: (g * d).sum(), gradient, direction)
    return sum(jax.tree.leaves(products))


# --- Known answers ---


def test_sizes_and_sums(name):
    kernel = PRIORS[name].kernel(params_of(name))
    assert kernel.shape == SIZES[name] and kernel.dtype == np.float32
    if not name.startswith("deep_linear"):  # its sum is free
        np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)


def test_strided_layers_collapse_to_one_strided_filter():
    """Layer by layer against one correlation with the collapsed kernel."""
    with jax.enable_x64(True):
        params = params_of("deep_linear, strided", np.float64)
        image = jax.random.normal(jax.random.key(3), (31, 30), np.float64)
        x = image[None, :, :, None]
        for i, stride in enumerate((2, 1, 2)):
            x = jax.lax.conv_general_dilated(
                x,
                params[f"filter_{i}"],
                (stride, stride),
                "VALID",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        kernel = PRIORS["deep_linear, strided"].kernel(params)
        once = jax.lax.conv_general_dilated(
            image[None, None], kernel[None, None], (4, 4), "VALID"
        )
        np.testing.assert_allclose(x[0, :, :, 0], once[0, 0], rtol=1e-9, atol=1e-12)


def test_gaussian_has_the_covariance_and_place_it_says():
    model = gaussian((41, 43), scale=2)
    params = {"cholesky": jnp.array([2.0, 1.0, 1.5]), "shift": jnp.array([1.0, -0.5])}
    kernel = np.asarray(model.kernel(params), np.float64)
    lower = np.array([[2.0, 0.0], [1.0, 1.5]])
    expected = lower @ lower.T + LEAST_VARIANCE * np.eye(2)
    np.testing.assert_allclose(kernels.covariance(kernel), expected, rtol=1e-4)
    np.testing.assert_allclose(
        kernels.centre_of_mass(kernel), [20.5 + 1, 21.5 - 0.5], rtol=1e-5
    )


def test_generalised_gaussian_is_a_gaussian_or_a_disk():
    params = {"cholesky": jnp.array([2.0, -0.5, 1.5]), "shift": jnp.zeros(2)}
    model = generalised_gaussian(25, scale=2)
    one = model.kernel({**params, "log_power": jnp.zeros(())})
    np.testing.assert_allclose(one, gaussian(25).kernel(params), rtol=1e-5)
    params["cholesky"] = jnp.array([3.0, 0.0, 3.0])
    even = model.kernel({**params, "log_power": jnp.log(40.0)})
    inside = np.asarray(even)[np.asarray(even) > 0.5 * even.max()]
    np.testing.assert_allclose(inside, inside.max(), rtol=0.4)
    radius = np.sqrt(9 + LEAST_VARIANCE)
    np.testing.assert_allclose(len(inside), np.pi * radius**2, rtol=0.15)


def test_flow_draws_aligned_gaussians():
    model = PRIORS["flow"]
    keys = jax.random.split(jax.random.key(0), 200)
    drawn = jax.jit(jax.vmap(lambda key: model.kernel(model.init(key))))(keys)
    drawn = np.asarray(drawn, np.float64)
    np.testing.assert_allclose(
        np.mean([kernels.centre_of_mass(k) for k in drawn], axis=0), 6.5, atol=0.02
    )
    rng = np.random.default_rng(0)
    true = [
        blur_kernels.random_gaussian(rng, 13, scale=2, variances=(0.35, 5))
        for _ in range(200)
    ]
    ours, theirs = (np.array([kernels.widths(k)[:2] for k in x]) for x in (drawn, true))
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), rtol=0.1)
    np.testing.assert_allclose(ours.std(0), theirs.std(0), rtol=0.25)


def test_flow_only_looks_at_the_direction():
    params = params_of("flow")
    kernel = PRIORS["flow"].kernel
    np.testing.assert_allclose(kernel(3 * params), kernel(params), atol=1e-6)


def test_flow_starts_from_a_kernel():
    start = blur_kernels.gaussian(13, variances=(4.0, 1.5), angle=0.5, scale=2)
    model = flow(start=start)
    near = [model.kernel(model.init(jax.random.key(seed))) for seed in (0, 1)]
    for kernel in near:
        found = kernels.covariance(np.asarray(kernel, np.float64))
        np.testing.assert_allclose(found, kernels.covariance(start), atol=0.5)
    assert np.abs(near[0] - near[1]).max() > 1e-3


def test_flow_prefers_its_own_family():
    model = PRIORS["flow"]
    own = blur_kernels.random_gaussian(np.random.default_rng(1), 13, scale=2)
    motion = np.eye(13)[:, ::-1] / 13
    shifted = np.roll(own, 3, axis=0)
    own, motion, shifted = (
        float(model.log_prob(jnp.asarray(k, np.float32)))
        for k in (own, motion, shifted)
    )
    assert own > motion + 100 and own > shifted + 100


def test_only_the_flow_has_a_density(name):
    assert (PRIORS[name].log_prob is not None) == (name == "flow")


def test_penalty_is_the_weighted_losses():
    kernel = jnp.zeros((13, 13)).at[6, 7].set(0.25).at[0, 3].set(0.25)
    terms = penalty(kernel, scale=2)
    assert list(terms) == ["sum", "boundary", "centre", "sparsity"]
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
    kernel = jnp.zeros(shape)
    for row in {math.floor(place[0]), math.ceil(place[0])}:
        for column in {math.floor(place[1]), math.ceil(place[1])}:
            kernel = kernel.at[row, column].set(0.25)
    centre = penalty(kernel, scale=scale, weights={"centre": 1})["centre"]
    np.testing.assert_allclose(centre, 0, atol=1e-9)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_the_ten_lines_of_the_readme(array):
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    block = next(b for b in readme.split("```python\n") if "model = prior." in b)
    rng = np.random.default_rng(0)
    names = {
        "sigma": 1 / 255,
        "hr": array(rng.random((40, 40), np.float32)),
        "lr": array(rng.random((20, 20), np.float32)),
    }
    exec(block.split("```")[0], names)
    assert np.isfinite(names["value"]) and names["gradient"].shape == (13, 13)


def test_descent_finds_a_kernel_from_a_pair():
    rng = np.random.default_rng(0)
    true = np.zeros((9, 12), np.float32)
    true[2, 3:9] = true[3:7, 8] = 0.1
    hr = jnp.asarray(rng.random((64, 64)), np.float32)
    lr = downscale(hr, jnp.asarray(true), 2)
    simplex, optimizer = PRIORS["simplex"], optax.adam(0.1)
    params = simplex.init(jax.random.key(0))

    def loss(params):
        return ((downscale(hr, simplex.kernel(params), 2) - lr) ** 2).sum()

    def step(state, _):
        params, memory = state
        update, memory = optimizer.update(jax.grad(loss)(params), memory)
        return (optax.apply_updates(params, update), memory), None

    run = jax.jit(lambda s: jax.lax.scan(step, s, length=600)[0])
    params, _ = run((params, optimizer.init(params)))
    np.testing.assert_allclose(simplex.kernel(params), true, atol=2e-3)


# --- Derivatives ---


def test_gradient_of_the_kernel_against_finite_differences(name):
    with jax.enable_x64(True):
        params = params_of(name, np.float64)
        direction = direction_like(params)
        weight = jax.random.normal(jax.random.key(2), SIZES[name], np.float64)

        @jax.jit
        def f(params):
            return (weight * PRIORS[name].kernel(params)).sum()

        ours = along(jax.grad(f)(params), direction)
        np.testing.assert_allclose(ours, slope(f, params, direction), rtol=1e-6)


@pytest.mark.parametrize("term", PENALTY_WEIGHTS)
def test_derivatives_of_the_penalty_against_finite_differences(term):
    with jax.enable_x64(True):
        kernel = jax.random.uniform(jax.random.key(0), (7, 8), np.float64) + 0.1
        direction = jax.random.normal(jax.random.key(1), (7, 8), np.float64)

        def f(kernel):
            return penalty(kernel)[term]

        gradient = jax.grad(f)
        ours = along(gradient(kernel), direction)
        np.testing.assert_allclose(ours, slope(f, kernel, direction), rtol=1e-6)
        curved = jnp.tensordot(jax.hessian(f)(kernel), direction)
        expected = slope(gradient, kernel, direction)
        np.testing.assert_allclose(curved, expected, rtol=1e-6, atol=1e-8)


def test_derivatives_of_the_log_density_against_finite_differences():
    with jax.enable_x64(True):
        model = pretrained()
        kernel = blur_kernels.random_gaussian(np.random.default_rng(0), 13, scale=2)
        kernel = jnp.asarray(kernel)
        direction = kernel * jax.random.normal(jax.random.key(1), (13, 13), np.float64)
        gradient = jax.jit(jax.grad(model.log_prob))
        ours = along(gradient(kernel), direction)
        expected = slope(model.log_prob, kernel, direction)
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
        curved = jax.jvp(gradient, (kernel,), (direction,))[1]
        expected = slope(gradient, kernel, direction)
        np.testing.assert_allclose(curved, expected, rtol=1e-4, atol=1e-3)


NARROW = {
    "gaussian": {"cholesky": jnp.array([0.3, 0.1, 0.2]), "shift": jnp.zeros(2)},
    "generalised_gaussian": {
        "cholesky": jnp.array([0.3, 0.1, 0.2]),
        "shift": jnp.zeros(2),
        "log_power": jnp.ones(()),
    },
    "simplex": 20 * jax.random.normal(jax.random.key(0), (9, 12)),
}


@pytest.mark.parametrize("params_name", [*PRIORS, *(f"{n}, narrow" for n in NARROW)])
def test_hessian_of_the_penalty_of_a_prior(params_name):
    narrow = params_name.endswith(", narrow")
    name = params_name.removesuffix(", narrow")
    params = NARROW[name] if narrow else params_of(name)
    flat, unravel = jax.flatten_util.ravel_pytree(params)

    def f(flat):
        kernel = PRIORS[name].kernel(unravel(flat))
        return sum(PRIORS[name].penalty(kernel).values())

    direction = jax.random.normal(jax.random.key(1), flat.shape)
    curved = jax.jit(lambda x: jax.jvp(jax.grad(f), (x,), (direction,))[1])(flat)
    assert np.isfinite(curved).all()


SPECIAL = {
    "zero": np.zeros((13, 13), np.float32),
    "one-hot": np.eye(13, dtype=np.float32)[:, 3:4] * np.eye(13, dtype=np.float32)[5],
}


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("derivative", [jax.grad, jax.hessian])
def test_derivatives_are_finite_at_special_kernels(special, derivative):
    kernel = jnp.asarray(SPECIAL[special])
    for term in PENALTY_WEIGHTS:
        found = derivative(lambda k, term=term: penalty(k)[term])(kernel)
        assert np.isfinite(found).all(), term
    if derivative is jax.grad:
        value, gradient = jax.value_and_grad(PRIORS["flow"].log_prob)(kernel)
        assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("value", [1e-37, 1e-30, 1e-20, 1e20])
def test_gradient_of_the_log_density_is_finite_at_all_sums(value):
    gradient = jax.grad(PRIORS["flow"].log_prob)(jnp.full((13, 13), value))
    assert np.isfinite(gradient).all()


def test_flow_is_finite_where_there_is_no_direction():
    kernel = PRIORS["flow"].kernel
    gradient = jax.grad(lambda p: (kernel(p) ** 2).sum())(jnp.zeros(168))
    assert np.isfinite(kernel(jnp.zeros(168))).all() and np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["simplex", "gaussian", "flow"])
def test_kernels_are_not_negative(name):
    for seed in range(5):
        assert PRIORS[name].kernel(params_of(name, seed=seed)).min() >= 0


# --- Transformations ---


def objective(name, params):
    kernel = PRIORS[name].kernel(params)
    value = sum(PRIORS[name].penalty(kernel).values()) + (kernel**2).sum()
    if PRIORS[name].log_prob is not None:
        value -= 1e-3 * PRIORS[name].log_prob(kernel)
    return value


def test_jit_vmap_grad_checkpoint_and_scan(name):
    f = partial(objective, name)
    gradient = jax.grad(f)
    jitted = jax.jit(gradient)
    many = [params_of(name, seed=seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *many)
    one_by_one = [jitted(params) for params in many]

    def compare(ours):
        for i, expected in enumerate(one_by_one):
            jax.tree.map(
                lambda a, b, i=i: np.testing.assert_allclose(
                    a[i], b, rtol=2e-3, atol=1e-3 * float(jnp.abs(b).max()) + 1e-6
                ),
                ours,
                expected,
            )

    compare(jax.jit(jax.vmap(gradient))(stacked))
    compare(jax.jit(jax.vmap(jax.grad(jax.checkpoint(f))))(stacked))
    scan = jax.jit(lambda x: jax.lax.scan(lambda c, p: (c, gradient(p)), 0, x)[1])
    compare(scan(stacked))
    values = jax.jit(jax.vmap(f))(stacked)
    np.testing.assert_allclose(values[0], f(many[0]), rtol=1e-4)  # nothing jitted


def test_new_values_do_not_compile_again(name):
    @jax.jit
    @chex.assert_max_traces(n=1)
    def f(params):
        return jax.grad(partial(objective, name))(params)

    chex.clear_trace_counter()
    for seed in range(3):
        f(params_of(name, seed=seed))


def test_weights_may_be_traced():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def f(weight, kernel):
        return penalty(kernel, weights={"sum": weight})["sum"]

    chex.clear_trace_counter()
    for weight in (0.5, 2.0):
        np.testing.assert_allclose(f(weight, jnp.zeros((3, 3))), weight)


# --- Refusals ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: deep_linear(()), "filters is .*; .* a sequence, not empty"),
        (lambda: deep_linear(13), "filters is 13; .* a sequence"),
        (lambda: deep_linear((3, 0)), "filters is 0; .* positive integer"),
        (lambda: deep_linear((3, 3), strides=(1,)), "strides is .* of 2"),
        (lambda: deep_linear((3, 3), strides=2), "strides is 2; .* of 2"),
        (lambda: deep_linear((3,), strides=(0,)), "strides is 0; .* positive"),
        (lambda: deep_linear(channels=0), "channels is 0; .* positive"),
        (lambda: simplex(0), "shape is 0; .* positive integer"),
        (lambda: simplex((3, 3, 3)), "shape is .* or two"),
        (lambda: gaussian(2.5), "shape is 2.5; .* positive integer"),
        (lambda: gaussian(5, scale=0), "scale is 0; .* positive integer"),
        (
            lambda: simplex(5, weights={"sum": -1.0}),
            "'sum'.* is -1.0; .* least 0",
        ),
        (lambda: simplex(5, weights={"sum": math.nan}), "'sum'.* is nan"),
        (lambda: simplex(5, weights={"sum": "a"}), "'sum'.* is 'a'; .* number"),
        (lambda: simplex(5, weights={"sum": np.ones(2)}), "'sum'.* a finite num"),
        (lambda: flow(weights={"total": 1.0}), "'total'; it must name some of"),
        (lambda: flow(start=np.eye(11)), "start has shape"),
        (lambda: flow(start=-np.eye(13)), "start is no kernel"),
        (lambda: flow(start=np.full((13, 13), np.nan)), "start is no kernel"),
        (lambda: penalty(jnp.zeros((1, 3, 3))), "kernel has 3 axes; .* 2"),
        (lambda: penalty(jnp.zeros(9)), "kernel has 1 axes; .* 2"),
        (
            lambda: penalty(jnp.eye(5, dtype=int)),
            "kernel holds int32; .* floating",
        ),
        (lambda: simplex(5).kernel(jnp.ones((4, 4))), "params has shape"),
        (lambda: flow().kernel(jnp.ones(100)), "latent has shape"),
        (
            lambda: PRIORS["flow"].log_prob(jnp.zeros((11, 11))),
            r"kernel has shape \(11, 11\); it must be \(13, 13\)",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_motion_is_that_of_kernels():
    """A line blurred by about a pixel of the camera."""
    model = motion(25)
    params = {"line": jnp.array([-3.0, 5.0]), "width": 0.48, "shift": jnp.zeros(2)}
    found = np.asarray(model.kernel(params))
    length, angle = np.hypot(3, 5), np.arctan2(3, 5)
    true = blur_kernels.motion(25, length=length, angle=angle, scale=2)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert metrics.kernel_psnr(found, true) > 50
    np.testing.assert_allclose(
        kernels.centre_of_mass(found), kernels.alignment((25, 25), 2), atol=0.02
    )
    # Backwards it is the same; and without any length it has derivatives, too.
    back = np.asarray(model.kernel(params | {"line": -params["line"]}))
    np.testing.assert_allclose(back, found, atol=1e-7)
    still = params | {"line": jnp.zeros(2)}
    slope = jax.grad(lambda p: (model.kernel(p) ** 2).sum())(still)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slope))
