"""The adversarial and the bicubic term, against known answers."""

import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax.blur_kernels import gaussian
from kernelgan_jax.estimators.kernelgan.losses import adversarial, bicubic_target
from kernelgan_jax.estimators.kernelgan.networks import downscale_x2
from kernelgan_jax.resize import bicubic_resize

pytestmark = pytest.mark.quick_compilation


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
