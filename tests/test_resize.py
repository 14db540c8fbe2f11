"""Resizing and downscaling, against the reference, and their alignment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import kernels
from kernelgan_jax.resize import bicubic_resize, downscale

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
    kernel = kernels.gaussian(size, variances=(3.0, 1.5), angle=0.7, scale=scale)
    enlarged = bicubic_resize(downscale(image, kernel, scale), scale)
    moved = kernels.centre_of_mass(enlarged) - kernels.centre_of_mass(image)
    assert np.abs(moved).max() < 0.1


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: bicubic_resize(np.zeros((4, 4)), 0), "scale"),
        (lambda: bicubic_resize(np.zeros((4, 4)), float("nan")), "scale"),
        (lambda: bicubic_resize(np.zeros(4), 2), "image"),
        (lambda: downscale(np.zeros((4, 4)), np.ones((3, 3)), 0), "scale"),
        (lambda: downscale(np.zeros((4, 4)), np.ones((3, 3)), 1.5), "scale"),
        (lambda: downscale(np.zeros(4), np.ones((3, 3)), 2), "image"),
        (lambda: downscale(np.zeros((4, 4)), np.ones(3), 2), "kernel"),
    ],
)
def test_bad_arguments_are_named(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
