"""Downscaling, its adjoint and its inverse: the reference, alignment, derivatives."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from helpers import along, slope

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.degradation import (
    BOUNDARIES,
    downscale,
    downscale_adjoint,
    downscale_inverse,
)
from kernelgan_jax.resize import bicubic_resize

pytestmark = pytest.mark.quick_compilation


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_downscale_equals_the_reference(golden):
    golden = golden("imresize")
    ours = downscale(golden["image"], golden["kernel"], 2)
    np.testing.assert_allclose(ours, golden["numeric_half"], rtol=0, atol=1e-12)


def test_downscale_is_the_sum_it_says():
    rng = np.random.default_rng(0)
    image, kernel = rng.random((20, 21)), rng.random((5, 4))
    ours = downscale(image, kernel, 3)
    i, j = 2, 3
    patch = image[3 * i - 2 : 3 * i + 3, 3 * j - 2 : 3 * j + 2]
    np.testing.assert_allclose(ours[i, j], (kernel * patch).sum())


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [20, 21])
def test_bicubic_enlargement_of_lr_lies_on_hr(scale, size):
    """Alignment, measured: a smooth bump keeps its place to under 0.1 HR pixel."""
    position = np.arange(96)
    bump = np.exp(-(((position - 45.3) / 12) ** 2))
    image = np.outer(bump, np.exp(-(((position - 50.6) / 12) ** 2)))
    kernel = blur_kernels.gaussian(size, variances=(3.0, 1.5), angle=0.7, scale=scale)
    enlarged = bicubic_resize(downscale(image, kernel, scale), scale)
    moved = kernels.centre_of_mass(enlarged) - kernels.centre_of_mass(image)
    assert np.abs(moved).max() < 0.1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_downscale_in_numpy_keeps_the_dtype_and_rounds_once(dtype):
    dtype = jnp.dtype(dtype)
    image, kernel = normal(12, 10).astype(dtype), normal(3, 4).astype(dtype)
    ours = downscale(image, kernel, 2)
    assert isinstance(ours, np.ndarray) and ours.dtype == dtype
    exact = downscale(image.astype(np.float64), kernel.astype(np.float64), 2)
    rounding = {2: 2.0**-8, 4: 1e-6, 8: 1e-12}[dtype.itemsize]
    np.testing.assert_allclose(ours.astype(np.float64), exact, rounding, 1e-6)


# --- Downscaling as an operator, in JAX ---

SIZES = [((12, 15), (5, 5)), ((13, 16, 3), (4, 7)), ((12, 12), (12, 12))]


@functools.cache
def all_downscalings(dtype):
    """One compiled program for all sizes, scales and boundaries of a dtype."""

    @jax.jit
    def program(inputs):
        return {
            (*case, scale, boundary): downscale(*inputs[case], scale, boundary=boundary)
            for case in inputs
            for scale in (1, 2, 3)
            for boundary in BOUNDARIES
        }

    inputs = {}
    for shape, kernel_shape in SIZES:
        kernel = normal(*kernel_shape, seed=1)
        kernel /= np.abs(kernel).sum()
        inputs[shape, kernel_shape] = jnp.asarray(normal(*shape), dtype), kernel
    return inputs, program(inputs)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(("shape", "kernel_shape"), SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("jitted", [False, True])
def test_downscale_in_jax_equals_scipy(
    boundary, scale, shape, kernel_shape, dtype, jitted
):
    with jax.enable_x64(True):
        inputs, outputs = all_downscalings(dtype)
        image, kernel = inputs[shape, kernel_shape]
        ours = (
            outputs[shape, kernel_shape, scale, boundary]
            if jitted
            else downscale(image, jnp.asarray(kernel), scale, boundary=boundary)
        )
    assert ours.dtype == dtype
    exact = scipy.ndimage.correlate(
        np.asarray(image, np.float64),
        kernel.reshape(kernel_shape + (1,) * (len(shape) - 2)),
        mode={"mirror": "reflect", "wrap": "wrap"}[boundary],
    )[::scale, ::scale]
    # Half precision rounds the result, once.
    rounding = {"bfloat16": 2.0**-8, "float16": 2.0**-11}.get(dtype, 0)
    np.testing.assert_allclose(np.asarray(ours, np.float64), exact, rounding, 1e-5)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(("shape", "kernel_shape"), SIZES)
def test_adjoint_is_exact(boundary, scale, shape, kernel_shape):
    with jax.enable_x64(True):
        image, kernel = jnp.asarray(normal(*shape)), normal(*kernel_shape, seed=1)
        other = normal(*(-(-side // scale) for side in shape[:2]), *shape[2:], seed=2)

        @jax.jit
        def both(image, kernel, other):
            down = downscale(image, kernel, scale, boundary=boundary)
            back = downscale_adjoint(
                other, kernel, scale, shape=shape[:2], boundary=boundary
            )
            return down, back

        down, back = both(image, kernel, other)
        assert back.shape == image.shape
        np.testing.assert_allclose((back * image).sum(), (down * other).sum())


@pytest.mark.parametrize("argument", [0, 1])
def test_gradients_of_downscale_against_finite_differences(argument):
    with jax.enable_x64(True):
        weight = normal(6, 8)

        @jax.jit
        def f(point):
            out = downscale(*point, 2)
            return (weight * out + out**3).sum()

        point = (jnp.asarray(normal(12, 15)), jnp.asarray(normal(5, 4)))
        directions = (jnp.asarray(normal(12, 15, seed=1)), jnp.asarray(normal(5, 4)))
        direction = tuple(
            d if i == argument else 0 * d for i, d in enumerate(directions)
        )
        ours = along(jax.grad(f)(point), direction)
        np.testing.assert_allclose(ours, slope(f, point, direction), rtol=1e-6)


OPERATORS = {
    "downscale": lambda x, k: downscale(x, k, 2),
    "adjoint": lambda x, k: downscale_adjoint(x, k, 2, shape=(24, 19)),
    "inverse": lambda x, k: downscale_inverse(x, k, 2, noise_variance=0.1),
}
BOX = np.ones((2, 2)) / 4  # its transfer function is 0 at the highest frequencies


@pytest.mark.parametrize("kernel", [BOX, normal(5, 4)])
@pytest.mark.parametrize("name", OPERATORS)
def test_second_derivatives_against_finite_differences(name, kernel):
    with jax.enable_x64(True):
        point = (jnp.asarray(normal(12, 10)), jnp.asarray(kernel))
        direction = tuple(jnp.asarray(normal(*x.shape, seed=1)) for x in point)

        def f(point):
            return (OPERATORS[name](*point) ** 3).sum()

        gradient = jax.jit(jax.grad(f))
        curved = jax.jvp(gradient, (point,), (direction,))[1]
        ahead, behind = (
            gradient(tuple(p + s * d for p, d in zip(point, direction, strict=True)))
            for s in (1e-5, -1e-5)
        )
        for ours, a, b in zip(curved, ahead, behind, strict=True):
            expected = (a - b) / 2e-5
            scale = np.abs(expected).max()
            np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6 * scale)


def test_new_values_do_not_compile_again():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def f(image, kernel, noise, spectrum):
        options = {"noise_variance": noise, "spectrum": spectrum}
        down = downscale_inverse(image, kernel, 2, **options)
        return downscale_adjoint(downscale(down, kernel, 2), kernel, 2, shape=(24, 20))

    chex.clear_trace_counter()
    for value in (0.5, 2.0):
        f(jnp.full((12, 10), value), jnp.full((3, 3), value), value, value)


def test_numpy_and_jax_may_be_mixed():
    image, kernel = normal(12, 10), normal(3, 3)
    expected = downscale(image, kernel, 2)
    for mixed in (
        downscale(image.astype(np.float32), jnp.asarray(kernel), 2),
        downscale(jnp.asarray(image), kernel, 2),
    ):
        assert isinstance(mixed, jax.Array)
        np.testing.assert_allclose(mixed, expected, atol=1e-5)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_under_transformations(name):
    def f(x, k):
        return (OPERATORS[name](x, k) ** 2).sum()

    images = jnp.asarray(normal(3, 12, 10), np.float32)
    filters = jnp.asarray(normal(3, 5, 5, seed=1), np.float32)
    gradient = jax.grad(f, (0, 1))
    # One by one, and nothing jitted.
    expected = [gradient(x, k) for x, k in zip(images, filters, strict=True)]
    expected = jax.tree.map(lambda *x: np.stack(x), *expected)

    @jax.jit
    def transformed(images, filters):
        return (
            jax.vmap(gradient)(images, filters),
            jax.vmap(jax.grad(jax.checkpoint(f), (0, 1)))(images, filters),
            jax.lax.scan(lambda c, xk: (c, gradient(*xk)), 0, (images, filters))[1],
        )

    for ours in transformed(images, filters):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3),
            ours,
            expected,
        )


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_under_shard_map(name):
    """The types of its arrays name the axes of the mesh."""
    image, kernel = jnp.asarray(normal(1, 12, 10)), jnp.asarray(normal(3, 3))
    each = jax.sharding.PartitionSpec("x")
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("x",))

    @functools.partial(jax.shard_map, mesh=mesh, in_specs=each, out_specs=each)
    def sharded(images):
        return jax.vmap(lambda x: OPERATORS[name](x, kernel))(images)

    expected = OPERATORS[name](image[0], kernel)
    np.testing.assert_allclose(sharded(image)[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("kernel_shape", [(5, 5), (4, 7)])
def test_inverse_solves_the_normal_equations(scale, kernel_shape):
    with jax.enable_x64(True):
        image, kernel = normal(6, 4, 2), normal(*kernel_shape, seed=1)
        guess = normal(6 * scale, 4 * scale, 2, seed=2)
        if min(guess.shape[:2]) < max(kernel_shape):
            kernel = kernel[:4, :4]

        @jax.jit
        def gradient(image, kernel, guess):
            options = {"noise_variance": 0.3, "guess": guess}
            found = downscale_inverse(image, kernel, scale, **options)
            misfit = downscale(found, kernel, scale, boundary="wrap") - image
            back = downscale_adjoint(
                misfit, kernel, scale, shape=guess.shape[:2], boundary="wrap"
            )
            return back / 0.3 + found - guess

        np.testing.assert_allclose(gradient(image, kernel, guess), 0, atol=1e-9)


def test_inverse_with_a_spectrum_is_the_mean_of_the_gaussian_posterior():
    with jax.enable_x64(True):
        shape, scale, noise = (8, 6), 2, 0.05
        kernel = blur_kernels.gaussian(5, variances=(2.0, 1.0), angle=0.4, scale=2)
        frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))
        spectrum = 1 / (0.1 + frequency) ** 2
        basis = np.eye(48).reshape(48, *shape)

        def apply(f):
            return np.stack([np.asarray(f(b)).ravel() for b in basis], axis=1)

        covariance = apply(lambda b: np.fft.ifft2(spectrum * np.fft.fft2(b)).real)
        forward = apply(
            lambda b: downscale(jnp.asarray(b), kernel, scale, boundary="wrap")
        )
        image = normal(4, 3)
        gain = covariance @ forward.T
        inner = forward @ gain + noise * np.eye(12)
        expected = (gain @ np.linalg.solve(inner, image.ravel())).reshape(shape)
        ours = downscale_inverse(
            image, kernel, scale, noise_variance=noise, spectrum=spectrum
        )
        np.testing.assert_allclose(ours, expected, atol=1e-9)


def test_inverse_takes_a_list_as_spectrum():
    image, kernel = normal(2, 2).astype(np.float32), np.ones((1, 1), np.float32)
    power = np.arange(4.0).reshape(2, 2)
    found, same = (
        downscale_inverse(image, kernel, 1, noise_variance=1.0, spectrum=spectrum)
        for spectrum in (power.tolist(), power)
    )
    np.testing.assert_array_equal(found, same)


@pytest.mark.parametrize("name", ["spectrum", "guess"])
def test_inverse_refuses_masked_values(name):
    masked = {name: np.ma.masked_equal(np.arange(4.0).reshape(2, 2), 3)}
    with pytest.raises(ValueError, match=f"{name} has masked values"):
        downscale_inverse(np.ones((2, 2)), np.ones((1, 1)), 1, noise_variance=1.0,
                          **masked)  # fmt: skip


def test_inverse_undoes_the_kernel():
    noise = np.random.default_rng(0).random((32, 32))
    hr = scipy.ndimage.gaussian_filter(noise, 2, mode="wrap")
    kernel = blur_kernels.gaussian(9, variances=(1.0, 1.0), scale=1)
    blurred = downscale(hr, kernel, 1, boundary="wrap")
    found = downscale_inverse(np.float32(blurred), kernel, 1, noise_variance=1e-4)
    assert found.dtype == np.float32
    error, before = (np.abs(x - hr).mean() for x in (found, blurred))
    assert error < before / 10


def test_inverse_in_half_precision_rounds_once():
    image = jnp.asarray(np.random.default_rng(0).random((6, 4)), jnp.bfloat16)
    kernel = blur_kernels.gaussian(5, variances=(1.0, 1.0), scale=2)
    ours = downscale_inverse(image, kernel, 2, noise_variance=0.1)
    exact = downscale_inverse(image.astype(np.float32), kernel, 2, noise_variance=0.1)
    assert ours.dtype == jnp.bfloat16
    np.testing.assert_allclose(ours.astype(np.float32), exact, rtol=2.0**-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inverse_is_finite_at_the_smallest_noise(dtype):
    """A frequency that the kernel removes is not divided by 0."""
    with jax.enable_x64(True):
        image = jnp.asarray(normal(6, 4), dtype)
        smallest = 1.001 * float(jnp.finfo(dtype).tiny) ** 0.5
        found = downscale_inverse(image, BOX.astype(dtype), 1, noise_variance=smallest)
        assert found.dtype == dtype and np.isfinite(found).all()
        with pytest.raises(ValueError, match="noise_variance is 1e-200; .* at least 1"):
            downscale_inverse(image, BOX, 1, noise_variance=1e-200)


def inverse(image=None, kernel=None, scale=2, **options):
    image = np.ones((4, 4)) if image is None else image
    kernel = np.eye(3) if kernel is None else kernel
    return downscale_inverse(image, kernel, scale, **{"noise_variance": 1} | options)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: downscale(np.zeros((4, 4)), np.ones((3, 3)), 0), "scale"),
        (lambda: downscale(np.zeros((4, 4)), np.ones((3, 3)), 1.5), "scale"),
        (lambda: downscale(np.zeros((4, 4)), np.ones((3, 3)), float("nan")), "scale"),
        (lambda: downscale(np.zeros((4, 4), int), np.ones((3, 3)), 2), "image"),
        (lambda: downscale(np.zeros((4, 4)), np.ones((0, 3)), 2), "kernel"),
        (lambda: downscale(np.zeros((4, 4)), np.full((3, 3), np.nan), 2), "kernel"),
        (lambda: downscale(np.zeros((4, 4)), [[1.0]], 2), "kernel"),
        (lambda: downscale([[1.0]], np.ones((1, 1)), 2), "image"),
        (lambda: downscale(np.zeros(4), np.ones((3, 3)), 2), "image"),
        (lambda: downscale(np.zeros((4, 4)), np.ones(3), 2), "kernel"),
        (lambda: downscale(jnp.zeros((4, 4)), np.ones((5, 3)), 2), "kernel"),
        (
            lambda: downscale(np.zeros((4, 4)), np.ones((3, 3)), 2, boundary="zero"),
            "boundary",
        ),
        (
            lambda: downscale_adjoint(np.ones((2, 2)), np.eye(3), 2, shape=(5, 4)),
            "shape",
        ),
        (lambda: downscale_adjoint(np.ones(2), np.eye(3), 2, shape=(4, 4)), "image"),
        (lambda: inverse(noise_variance=0), "noise_variance"),
        (lambda: inverse(noise_variance=[1.0]), "noise_variance"),
        (lambda: inverse(noise_variance=1e-40), "noise_variance"),
        (lambda: inverse(scale=0), "scale"),
        (lambda: inverse(spectrum=np.inf), "spectrum"),
        (lambda: inverse(spectrum=1e300), "spectrum"),
        (lambda: inverse(guess=np.ones((4, 4))), "guess"),
        (lambda: inverse(guess={}), "guess"),
        (lambda: inverse(guess=np.ones((8, 8), complex)), "guess"),
        (lambda: inverse(spectrum=1 + 1j), "spectrum"),
        (lambda: inverse(spectrum=np.ones((4, 4))), "spectrum"),
    ],
)
def test_bad_arguments_are_named(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_type_is_promoted_by_itself(dtype):
    """As callers want it who have set JAX's promotion of types to strict."""
    image = jnp.asarray(np.random.default_rng(0).random((6, 4)), dtype)
    kernel = jnp.full((3, 2), 1 / 6, dtype)
    with jax.numpy_dtype_promotion("strict"):
        lr = downscale(image, kernel, 2)
        back = downscale_adjoint(lr, kernel, 2, shape=(6, 4))
        inverse = downscale_inverse(lr, kernel, 2, noise_variance=0.1)
    assert lr.dtype == back.dtype == inverse.dtype == dtype
