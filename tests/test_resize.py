"""Bicubic resizing, against the reference and in JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax.resize import bicubic_resize, cubic

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


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("scale", [0.3, 3])
def test_half_precision_rounds_once(dtype, kind, scale):
    image = np.full((9, 10), 0.7, dtype)
    image[2:4, 3:6] = 0.3
    ours = np.asarray(bicubic_resize(kind(image), scale))
    assert ours.dtype == dtype
    expected = bicubic_resize(image.astype(np.float32), scale).astype(dtype)
    np.testing.assert_array_equal(ours, expected)


def test_scales_that_are_integers_of_numpy_do_not_overflow():
    image = np.linspace(0, 1, 300).reshape(2, 150)
    found = bicubic_resize(image, np.uint8(2))
    np.testing.assert_array_equal(found, bicubic_resize(image, 2))


def test_cubic_interpolates_and_has_its_taps_sum_to_1():
    np.testing.assert_array_equal(cubic(np.arange(-3.0, 4)), [0, 0, 0, 1, 0, 0, 0])
    for offset in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(cubic(np.arange(-3, 4) + offset).sum(), 1)


@pytest.mark.parametrize("scale", [0.5, 2, 3])
def test_a_ramp_keeps_its_place(scale):
    """Pixel i covers [i, i + 1): the ramp has the same value at each position."""
    size = 24
    ramp = (np.arange(size) + 0.5)[:, None] * np.ones((1, 20))
    resized = bicubic_resize(ramp, scale)
    position = (np.arange(len(resized)) + 0.5) / scale
    margin = len(resized) // 4
    inside = slice(margin, -margin)
    np.testing.assert_allclose(resized[inside, 5], position[inside])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bicubic_resize(np.zeros((4, 4)), 0), "^scale is 0"),
        (lambda: bicubic_resize(np.zeros((4, 4)), float("nan")), "^scale is nan"),
        (lambda: bicubic_resize(np.zeros((4, 4)), float("inf")), "^scale is inf"),
        (lambda: bicubic_resize(np.zeros(4), 2), "^image has 1 axes"),
        (lambda: bicubic_resize(np.zeros((4, 4), np.uint8), 2), "^image holds uint8"),
        (lambda: bicubic_resize([[1.0]], 2), "^image is a list"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
