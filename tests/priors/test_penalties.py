"""Every term of the losses, against the reference and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax.blur_kernels import gaussian
from kernelgan_jax.estimators.kernelgan.losses import adversarial, bicubic_target
from kernelgan_jax.estimators.kernelgan.networks import downscale_x2
from kernelgan_jax.priors.penalties import boundaries, boundary_mask, centralised, sparsity, sum_to_one
from kernelgan_jax.resize import bicubic_resize

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


@pytest.mark.parametrize("name", TERMS)
def test_gradient_against_finite_differences(name):
    with jax.enable_x64(True):
        kernel = jax.random.uniform(jax.random.key(0), (13, 13), np.float64) + 0.5
        direction = jax.random.normal(jax.random.key(1), (13, 13), np.float64)
        step = 1e-5
        ahead, behind = (TERMS[name](kernel + s * direction) for s in (step, -step))
        slope = (jax.grad(TERMS[name])(kernel) * direction).sum()
        np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("kernel", [np.zeros((13, 13)), np.eye(13)[:, :1] * np.eye(13)])
def test_gradient_is_finite_where_values_are_zero(name, kernel):
    assert np.isfinite(jax.grad(TERMS[name])(jnp.asarray(kernel, np.float32))).all()


def test_bicubic_target_is_the_middle_of_the_bicubic_half():
    crop = np.random.default_rng(0).random((64, 64, 3))
    half = np.moveaxis(bicubic_resize(crop, 0.5), -1, 0)[:, 3:-3, 3:-3]
    channels = jnp.asarray(np.moveaxis(crop, -1, 0), np.float32)
    ours = bicubic_target(channels, 13, "per_channel")
    np.testing.assert_allclose(ours, half, atol=1e-6)
    summed = bicubic_target(channels, 13, "summed")
    np.testing.assert_allclose(summed[1], half.sum(0), rtol=1e-5)


@pytest.mark.parametrize("size", [7, 9, 11, 13, 15])
def test_bicubic_target_is_aligned_with_the_generator(size):
    """A ramp stays the same ramp under any kernel that is aligned for x2."""
    from kernelgan_jax.blur_kernels import gaussian
    from kernelgan_jax.networks import downscale_x2

    ramp = jnp.broadcast_to(jnp.arange(64.0), (3, 64, 64))
    kernel = np.pad(gaussian(size - 1, variances=(0.3, 0.3), scale=1), ((0, 1), (0, 1)))
    # An even Gaussian centred on n//2, moved half a pixel by averaging neighbours.
    kernel = (kernel + np.roll(kernel, 1, 1)) / 2
    kernel = jnp.asarray(np.roll(kernel, size // 2 - (size - 1) // 2, 1), np.float32)
    ours = downscale_x2(ramp, kernel)
    target = bicubic_target(ramp, size, "per_channel")
    np.testing.assert_allclose(ours[:, 3:-3, 3:-3], target[:, 3:-3, 3:-3], atol=1e-3)


def test_adversarial():
    probability = jnp.asarray([[0.25, 1.0]])
    np.testing.assert_allclose(adversarial(probability, real=True), 0.375)
    np.testing.assert_allclose(adversarial(probability, real=False), 0.625)
