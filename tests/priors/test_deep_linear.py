"""The deep linear prior: its filters collapse to one kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from kernelgan_jax.priors.deep_linear import deep_linear
from kernelgan_jax.priors.linear_network import collapse

pytestmark = pytest.mark.quick_compilation


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_collapse_is_a_chain_of_full_convolutions(wrap):
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = [(3, 4, 1, 2), (2, 5, 2, 3), (4, 1, 3, 1)]
    filters = [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]
    ours = wrap(collapse)(filters)
    a, b, c = (np.asarray(f, np.float64) for f in filters)
    conv = scipy.signal.convolve2d
    expected = sum(
        conv(conv(a[:, :, 0, i], b[:, :, i, j]), c[:, :, j, 0])
        for i in range(2)
        for j in range(3)
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_collapse_under_vmap_equals_a_loop():
    shapes = [(3, 3, 1, 2), (5, 5, 2, 1)]
    filters = [jax.random.normal(jax.random.key(0), (4, *s)) for s in shapes]
    many = jax.jit(jax.vmap(collapse))(filters)
    one_by_one = jax.jit(collapse)
    for i in range(4):
        one = one_by_one([f[i] for f in filters])
        np.testing.assert_allclose(many[i], one, rtol=1e-5, atol=1e-5)


def test_strided_layers_collapse_to_one_strided_filter():
    """Layer by layer against one correlation with the collapsed kernel."""
    model = deep_linear(filters=((3, 2), 3, (1, 2)), strides=(2, 1, 2), channels=3)
    with jax.enable_x64(True):
        params = jax.tree.map(
            lambda x: jnp.asarray(x, np.float64), model.init(jax.random.key(0))
        )
        image = jax.random.normal(jax.random.key(3), (31, 30), np.float64)

        @jax.jit
        def both(params):
            x = image[None, :, :, None]
            for i, stride in enumerate((2, 1, 2)):
                x = jax.lax.conv_general_dilated(
                    x,
                    params[f"filter_{i}"],
                    (stride, stride),
                    "VALID",
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                )
            kernel = model.kernel(params)
            once = jax.lax.conv_general_dilated(
                image[None, None], kernel[None, None], (4, 4), "VALID"
            )
            return x[0, :, :, 0], once[0, 0]

        np.testing.assert_allclose(*both(params), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": ()}, "filters is .*; .* a sequence, not empty"),
        ({"filters": 13}, "filters is 13; .* a sequence"),
        ({"filters": (3, 0)}, "filters is 0; .* positive integer"),
        ({"filters": (3, 3), "strides": (1,)}, "strides is .* of 2"),
        ({"filters": (3, 3), "strides": 2}, "strides is 2; .* of 2"),
        ({"filters": (3,), "strides": (0,)}, "strides is 0; .* positive"),
        ({"channels": 0}, "channels is 0; .* positive"),
        ({"weights": {"total": 1.0}}, "'total'; it must name some of"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        deep_linear(**options)
