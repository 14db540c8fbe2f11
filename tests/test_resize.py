"""Resizing and downscaling, against the reference, and their alignment."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from kernelgan_jax.degradation import BOUNDARIES, downscale, downscale_adjoint, downscale_inverse
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax import blur_kernels
from kernelgan_jax import kernels

SCALES = [(0.5, "cubic_half"), (2, "cubic_double"), (0.25, "cubic_quarter")]


@pytest.mark.parametrize(("scale", "name"), SCALES)
def test_bicubic_equals_the_reference(golden, scale, name):
    golden = golden("imresize")
    ours = bicubic_resize(golden["image"], scale)
    np.testing.assert_allclose(ours, golden[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: jax.jit(f, static_argnums=1)])
def test_bicubic_in_jax_equals_numpy(golden, wrap):
    image = golden("imresize")["image"].astype(np.float32)
    ours = wrap(bicubic_resize)(jnp.asarray(image), 0.5)
    assert isinstance(ours, jax.Array)
    np.testing.assert_allclose(ours, bicubic_resize(image, 0.5), atol=1e-6)
    many = jax.vmap(lambda x: bicubic_resize(x, 0.5))(jnp.stack([image, 1 - image]))
    np.testing.assert_allclose(many[1], bicubic_resize(1 - image, 0.5), atol=1e-6)


@pytest.mark.parametrize("size", [(7, 9), (30, 31), (1, 5)])
@pytest.mark.parametrize("scale", [0.1, 1 / 3, 0.5, 1, 3])
def test_bicubic_size_and_constant(size, scale):
    ours = bicubic_resize(np.full((*size, 2), 0.3), scale)
    expected = tuple(int(np.ceil(round(s * scale, 6))) for s in size)
    assert ours.shape == (*expected, 2)
    np.testing.assert_allclose(ours, 0.3)


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


# --- Downscaling as an operator, in JAX ---

RNG = np.random.default_rng(0)
SIZES = [((12, 15), (5, 5)), ((13, 16, 3), (4, 7)), ((12, 12), (12, 12))]


def normal(*shape):
    return RNG.normal(size=shape)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(("shape", "kernel_shape"), SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_downscale_in_jax_equals_scipy(
    boundary, scale, shape, kernel_shape, dtype, wrap
):
    with jax.enable_x64(True):
        image = jnp.asarray(normal(*shape), dtype)
        kernel = normal(*kernel_shape)
        kernel /= np.abs(kernel).sum()
        ours = wrap(lambda x, k: downscale(x, k, scale, boundary=boundary))(
            image, jnp.asarray(kernel)
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
        image, kernel = jnp.asarray(normal(*shape)), normal(*kernel_shape)
        down = downscale(image, kernel, scale, boundary=boundary)
        other = normal(*down.shape)
        back = downscale_adjoint(
            other, kernel, scale, shape=shape[:2], boundary=boundary
        )
        assert back.shape == image.shape
        np.testing.assert_allclose((back * image).sum(), (down * other).sum())


@pytest.mark.parametrize("argument", [0, 1])
def test_gradients_of_downscale_against_finite_differences(argument):
    with jax.enable_x64(True):
        weight = normal(6, 8)

        def f(*arguments):
            out = downscale(*arguments, 2)
            return (weight * out + out**3).sum()

        point = [jnp.asarray(normal(12, 15)), jnp.asarray(normal(5, 4))]
        direction = normal(*point[argument].shape)
        gradient = jax.grad(f, argument)(*point)
        ends = []
        for step in (1e-5, -1e-5):
            moved = list(point)
            moved[argument] = point[argument] + step * direction
            ends.append(f(*moved))
        expected = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=1e-6)


BOX = np.ones((2, 2)) / 4  # its transfer function is 0 at the highest frequencies


@pytest.mark.parametrize("kernel", [BOX, RNG.normal(size=(5, 4))])
@pytest.mark.parametrize("name", ["downscale", "adjoint", "inverse"])
def test_second_derivatives_against_finite_differences(name, kernel):
    with jax.enable_x64(True):
        image = jnp.asarray(normal(12, 10))
        point = (image, jnp.asarray(kernel))
        direction = (jnp.asarray(normal(12, 10)), jnp.asarray(normal(*kernel.shape)))
        gradient = jax.jit(
            jax.grad(lambda x, k: (OPERATORS[name](x, k) ** 3).sum(), (0, 1))
        )
        curved = jax.jvp(gradient, point, direction)[1]
        ends = [
            gradient(*(p + step * d for p, d in zip(point, direction, strict=True)))
            for step in (1e-5, -1e-5)
        ]
        for ours, ahead, behind in zip(curved, *ends, strict=True):
            expected = (ahead - behind) / 2e-5
            scale = np.abs(expected).max()
            np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6 * scale)


def test_new_values_do_not_compile_again():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def f(image, kernel, noise, spectrum):
        down = downscale_inverse(image, kernel, 2, noise=noise, spectrum=spectrum)
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


OPERATORS = {
    "downscale": lambda x, k: downscale(x, k, 2),
    "adjoint": lambda x, k: downscale_adjoint(x, k, 2, shape=(24, 19)),
    "inverse": lambda x, k: downscale_inverse(x, k, 2, noise=0.1),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_under_transformations(name):
    operator = OPERATORS[name]

    def f(x, k):
        return (operator(x, k) ** 2).sum()

    images = jnp.asarray(normal(3, 12, 10), np.float32)
    filters = jnp.asarray(normal(3, 5, 5), np.float32)
    gradient = jax.grad(f, (0, 1))
    expected = [gradient(x, k) for x, k in zip(images, filters, strict=True)]
    expected = jax.tree.map(lambda *x: np.stack(x), *expected)
    scanned = jax.jit(
        lambda x, k: jax.lax.scan(lambda c, xk: (c, gradient(*xk)), 0, (x, k))[1]
    )
    for ours in (
        jax.vmap(gradient)(images, filters),
        jax.jit(jax.vmap(gradient))(images, filters),
        jax.vmap(jax.grad(jax.checkpoint(f), (0, 1)))(images, filters),
        scanned(images, filters),
    ):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3),
            ours,
            expected,
        )


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("kernel_shape", [(5, 5), (4, 7)])
def test_inverse_solves_the_normal_equations(scale, kernel_shape):
    with jax.enable_x64(True):
        image, kernel = normal(6, 4, 2), normal(*kernel_shape)
        guess = normal(6 * scale, 4 * scale, 2)
        if min(guess.shape[:2]) < max(kernel_shape):
            kernel = kernel[:4, :4]
        found = downscale_inverse(image, kernel, scale, noise=0.3, guess=guess)
        misfit = downscale(found, kernel, scale, boundary="wrap") - image
        back = downscale_adjoint(
            misfit, kernel, scale, shape=guess.shape[:2], boundary="wrap"
        )
        np.testing.assert_allclose(back / 0.3 + found - guess, 0, atol=1e-9)


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
        ours = downscale_inverse(image, kernel, scale, noise=noise, spectrum=spectrum)
        np.testing.assert_allclose(ours, expected, atol=1e-9)


def test_inverse_undoes_the_kernel():
    hr = scipy.ndimage.gaussian_filter(RNG.random((32, 32)), 2, mode="wrap")
    kernel = blur_kernels.gaussian(9, variances=(1.0, 1.0), scale=1)
    blurred = downscale(hr, kernel, 1, boundary="wrap")
    found = downscale_inverse(np.float32(blurred), kernel, 1, noise=1e-4)
    assert found.dtype == np.float32
    error, before = (np.abs(x - hr).mean() for x in (found, blurred))
    assert error < before / 10


def test_inverse_in_half_precision_rounds_once():
    image = jnp.asarray(RNG.random((6, 4)), jnp.bfloat16)
    kernel = blur_kernels.gaussian(5, variances=(1.0, 1.0), scale=2)
    ours = downscale_inverse(image, kernel, 2, noise=0.1)
    exact = downscale_inverse(image.astype(np.float32), kernel, 2, noise=0.1)
    assert ours.dtype == jnp.bfloat16
    np.testing.assert_allclose(ours.astype(np.float32), exact, rtol=2.0**-8)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: bicubic_resize(np.zeros((4, 4)), 0), "scale"),
        (lambda: bicubic_resize(np.zeros((4, 4)), float("nan")), "scale"),
        (lambda: bicubic_resize(np.zeros(4), 2), "image"),
        (lambda: downscale(np.zeros((4, 4)), np.ones((3, 3)), 0), "scale"),
        (lambda: downscale(np.zeros((4, 4)), np.ones((3, 3)), 1.5), "scale"),
        (lambda: downscale(np.zeros((4, 4)), np.ones((3, 3)), float("nan")), "scale"),
        (lambda: downscale(np.zeros((4, 4), int), np.ones((3, 3)), 2), "image"),
        (lambda: downscale(np.zeros((4, 4)), np.ones((0, 3)), 2), "kernel"),
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
        (lambda: downscale_inverse(np.ones((4, 4)), np.eye(3), 2, noise=0), "noise"),
        (
            lambda: downscale_inverse(np.ones((4, 4)), np.eye(3), 2, noise=[1.0]),
            "noise",
        ),
        (lambda: downscale_inverse(np.ones((4, 4)), np.eye(3), 0, noise=1), "scale"),
        (
            lambda: downscale_inverse(
                np.ones((4, 4)), np.eye(3), 2, noise=1, spectrum=np.inf
            ),
            "spectrum",
        ),
        (
            lambda: downscale_inverse(
                np.ones((4, 4)), np.eye(3), 2, noise=1, guess=np.ones((4, 4))
            ),
            "guess",
        ),
        (
            lambda: downscale_inverse(
                np.ones((4, 4)), np.eye(3), 2, noise=1, spectrum=np.ones((4, 4))
            ),
            "spectrum",
        ),
    ],
)
def test_bad_arguments_are_named(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
