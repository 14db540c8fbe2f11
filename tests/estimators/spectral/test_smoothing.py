"""One kernel for many images."""

import numpy as np
import pytest

from kernelgan_jax import blur_kernels, kernels, metrics
from kernelgan_jax.estimators.spectral import smoothing


def seen(variances, *, angle=0.4, resampler="", spread=0.1, seed=0):
    """What an image says of a Gaussian; its posterior is as wide as `spread`."""

    def gaussian(factor):
        longer, shorter = (v * factor for v in variances)
        return blur_kernels.gaussian(
            25, variances=(longer, shorter), angle=angle, scale=2
        )

    rng = np.random.default_rng(seed)
    samples = np.stack([gaussian(np.exp(spread * x)) for x in rng.normal(size=8)])
    return *smoothing.log_covariance(gaussian(1.0), samples, scale=2), resampler


def pool(seen, *, scale):
    values, variances, resamplers = zip(*seen, strict=True)
    return smoothing.pool(
        np.array(values), np.array(variances), resamplers=resamplers, scale=scale
    )


def test_images_are_averaged_and_one_that_is_far_off_counts_for_little():
    some = [seen((3 * f, 1.5 * f)) for f in (0.9, 1.0, 1.1, 1.0)]
    near = pool(some, scale=2)
    found = kernels.widths(near.kernel)
    np.testing.assert_allclose(found[:2], np.sqrt([3, 1.5]), rtol=0.01)
    assert found.angle == pytest.approx(np.degrees(0.4), abs=1)
    assert near.kernel.sum() == pytest.approx(1)
    far = pool([*some, seen((12, 8))], scale=2)
    np.testing.assert_allclose(kernels.widths(far.kernel)[:2], found[:2], rtol=0.12)
    assert pool(some[:1], scale=2).width_std > near.width_std > 0


def test_an_image_that_is_not_sure_counts_for_less():
    sure, other = seen((2, 2), spread=0.01), seen((4, 4), spread=1.5)
    width = kernels.widths(pool([sure, other], scale=2).kernel).longer
    assert 2**0.5 < width < 0.9 * 3**0.5


def test_the_kernel_of_a_resampler_if_nearly_all_have_it():
    bicubic = seen((0.7, 0.7), resampler="bicubic")
    found = pool([bicubic, seen((2, 2)), bicubic, bicubic], scale=2)
    expected = kernels.centre(blur_kernels.bicubic(2), 2)
    assert metrics.kernel_psnr(found.kernel, expected, scale=2) > 100
    assert found.width_std == 0
    assert pool([bicubic, seen((2, 2)), bicubic], scale=2).width_std > 0


def test_there_must_be_an_image():
    with pytest.raises(ValueError, match="at least one image"):
        smoothing.pool(np.zeros((0, 3)), np.zeros((0, 3)), scale=2)
