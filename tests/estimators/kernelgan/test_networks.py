"""The two networks, against the reference and against plain convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import discriminator_variables, generator_params

from kernelgan_jax.estimators.kernelgan.networks import (
    PatchDiscriminator,
    _patches,
    _project,
    downscale_x2,
)
from kernelgan_jax.priors.linear_network import DeepLinearGenerator, collapse

pytestmark = pytest.mark.quick_compilation


def layer_by_layer(filters, image):
    """The deep linear network as it is drawn: layer after layer, stride 2 at last."""
    x = image[..., None]  # the colour channels as a batch of one-channel images
    for i, weight in enumerate(filters):
        stride = 2 if i == len(filters) - 1 else 1
        x = jax.lax.conv_general_dilated(
            x,
            weight,
            (stride, stride),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    return x[..., 0]


def test_generator_equals_the_reference(golden):
    golden = golden("generator")
    generator = DeepLinearGenerator(((7, 7), (5, 5), (3, 3), *[(1, 1)] * 3), 8)
    kernel = generator.apply({"params": generator_params(golden)})
    np.testing.assert_allclose(kernel, golden["kernel"], rtol=1e-5, atol=1e-7)
    output = downscale_x2(jnp.asarray(golden["input"][0]), kernel)
    np.testing.assert_allclose(output, golden["output"][0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [(7, 5, 3, 1, 1, 1), (13,), (3, 5, 1, 3), (1, 9)])
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_kernel_stands_for_all_layers(sizes, wrap):
    generator = DeepLinearGenerator(tuple((n, n) for n in sizes), channels=6)
    params = generator.init(jax.random.key(0))
    image = jax.random.normal(jax.random.key(1), (3, 40, 40))
    filters = [params["params"][f"filter_{i}"] for i in range(len(sizes))]
    expected = layer_by_layer(filters, image)
    kernel = wrap(generator.apply)(params)
    scale = np.abs(expected).max()
    ours = wrap(downscale_x2)(image, kernel)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * scale)


def test_gradient_flows_through_the_collapse():
    generator = DeepLinearGenerator(((5, 5), (3, 3), (1, 1)), channels=4)
    with jax.enable_x64(True):
        params = generator.init(jax.random.key(0))["params"]
        filters = [params[f"filter_{i}"].astype(np.float64) for i in range(3)]
        image = jax.random.normal(jax.random.key(1), (3, 30, 30), np.float64)

        def through_kernel(filters):
            return (downscale_x2(image, collapse(filters)) ** 2).sum()

        def through_layers(filters):
            return (layer_by_layer(filters, image) ** 2).sum()

        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
            jax.grad(through_kernel)(filters),
            jax.grad(through_layers)(filters),
        )


def test_crops_of_another_type_than_the_weights_have_a_gradient():
    """As float32 crops and float64 weights where the caller enabled 64 bits."""

    def loss(product):
        return lambda weight, x: (product(weight, x) ** 2).sum()

    with jax.enable_x64(True):
        weight = jax.random.normal(jax.random.key(0), (5, 3), np.float64)
        x = jax.random.normal(jax.random.key(1), (5, 4), np.float32)
        found = jax.grad(loss(_project), (0, 1))(weight, x)
        expected = jax.grad(loss(lambda w, x: w.T @ x), (0, 1))(weight, x)
    for ours, theirs, of in zip(found, expected, (weight, x), strict=True):
        assert ours.dtype == of.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_downscaling_is_the_adjoint_pair_of_its_gradient():
    image = jax.random.normal(jax.random.key(0), (3, 30, 30))
    kernel = jax.random.normal(jax.random.key(1), (9, 9))
    output, transpose = jax.vjp(downscale_x2, image, kernel)
    other = jax.random.normal(jax.random.key(2), output.shape)
    back, _ = transpose(other)
    np.testing.assert_allclose((back * image).sum(), (other * output).sum(), rtol=1e-4)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_discriminator_equals_the_reference_over_two_passes(golden, wrap):
    golden = golden("discriminator")
    discriminator = PatchDiscriminator(channels=16)
    variables = discriminator_variables(golden, "before.")
    apply = wrap(lambda v, x: discriminator.apply(v, x, mutable=["singular_vectors"]))
    crop = jnp.asarray(golden["input"])
    first, updated = apply(variables, crop)
    np.testing.assert_allclose(first, golden["output1"][:, 0], rtol=1e-5)
    after = {
        "first": "first_layer",
        "last": "final_layer.0",
        **{f"conv_{i}": f"feature_block.{3 * i}" for i in range(5)},
    }
    for ours, theirs in after.items():
        u = golden[f"after1.{theirs}.weight_u"]
        np.testing.assert_allclose(updated["singular_vectors"][ours]["u"], u, atol=1e-5)
    second, _ = apply({**variables, **updated}, crop)
    np.testing.assert_allclose(second, golden["output2"][:, 0], rtol=1e-5)


def test_discriminator_starts_as_the_paper_says():
    discriminator = PatchDiscriminator()
    variables = discriminator.init(jax.random.key(0), jnp.zeros((1, 3, 26, 26)))
    first = variables["params"]["first"]
    assert first["kernel"].shape == (7, 7, 3, 64)
    expected = 0.1 * np.sqrt(2 / (49 * 3 + 49 * 64))
    np.testing.assert_allclose(first["kernel"].std(), expected, rtol=0.05)
    assert not first["bias"].any()
    norm = variables["params"]["norm_0"]
    assert 0.01 < norm["scale"].std() < 0.03 and not norm["shift"].any()
    for u in jax.tree.leaves(variables["singular_vectors"]):
        np.testing.assert_allclose(jnp.linalg.norm(u), 1, rtol=1e-5)


def test_patches_see_only_their_neighbourhood_before_normalisation():
    images = jnp.arange(2 * 2 * 9 * 8.0).reshape(2, 2, 9, 8)
    columns = _patches(images, 3).reshape(3, 3, 2, 2, 7, 6)
    patch = jnp.moveaxis(images[1, :, 4:7, 2:5], 0, -1)
    np.testing.assert_array_equal(columns[:, :, :, 1, 4, 2], patch)
