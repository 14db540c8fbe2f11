"""The networks: both forms of the convolution, the pixel shuffle, receptive fields."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax.super_resolution.zssr.linear_filter import (
    base_radius,
    linear_enlargement,
)
from kernelgan_jax.super_resolution.zssr.network import (
    Architecture,
    Conv3x3,
    Layers,
    pixel_shuffle,
)

KEY = jax.random.key(0)


def test_both_forms_of_the_convolution_agree():
    x = jax.random.normal(KEY, (3, 11, 14))
    params = jax.jit(Conv3x3(5).init)(KEY, x)
    results = [jax.jit(Conv3x3(5, form).apply)(params, x) for form in (False, True)]
    assert results[0].shape == (5, 11, 14)
    np.testing.assert_allclose(*results, atol=1e-5)


def test_layers_have_one_relu_less_than_convolutions():
    layers = Layers(layers=3, channels=4, out=2)
    x = jnp.ones((1, 8, 8))
    params = jax.eval_shape(layers.init, KEY, x)["params"]
    shapes = [leaf["kernel"].shape for leaf in params.values()]
    assert shapes == [(3, 3, 1, 4), (3, 3, 4, 4), (3, 3, 4, 2)]
    negative = jax.tree.map(lambda s: -jnp.ones(s.shape), params)
    last = {**negative, "Conv3x3_0": jax.tree.map(jnp.abs, negative["Conv3x3_0"])}
    # -1 everywhere stops at a ReLU; the last convolution has none after it.
    apply = jax.jit(lambda params: layers.apply({"params": params}, x))
    assert float(jnp.abs(apply(last)).max()) == 0
    positive = jax.tree.map(jnp.abs, negative)
    assert float(apply({**positive, "Conv3x3_2": negative["Conv3x3_2"]}).max()) < 0


def test_pixel_shuffle():
    x = jnp.arange(2 * 4 * 2 * 3).reshape(8, 2, 3)
    shuffled = np.asarray(pixel_shuffle(x, 2))
    x = np.asarray(x)
    assert shuffled.shape == (2, 4, 6)
    for c, i, j in np.ndindex(2, 4, 6):
        channel = 4 * c + 2 * (i % 2) + j % 2
        assert shuffled[c, i, j] == x[channel, i // 2, j // 2]


@pytest.mark.parametrize(("fast", "layers"), [(True, 6), (True, 2), (False, 4)])
def test_nothing_beyond_the_receptive_radius_matters(fast, layers):
    network = Architecture(fast, 2, layers, 2, 1)
    module = network.module()
    side, middle = 31, 15

    @jax.jit
    def enlarge(lr):
        base = linear_enlargement(lr, None, 2).transpose(2, 0, 1)
        lr = lr.transpose(2, 0, 1)
        seen = lr if fast else base
        params = jax.eval_shape(module.init, KEY, seen)
        ones = jax.tree.map(lambda s: jnp.full(s.shape, 0.1), params)
        return network.apply(module, ones, lr, base)[0]

    flat = np.full((side, side, 1), 0.5, np.float32)
    point = flat.copy()
    point[middle, middle] = 1
    changed = np.abs(np.asarray(enlarge(point) - enlarge(flat))) > 1e-7
    rows = np.flatnonzero(changed.any(1)) // 2 - middle
    radius = network.radius(base_radius(None))
    assert np.abs(rows).max() <= radius
    if fast and layers > base_radius(None):
        assert np.abs(rows).max() == radius
