"""Kernels of other tools: with each, the tool's own operator gives our LR image.

The operators are those of the tools' papers and manuals, by SciPy and scikit-image;
benchmarks/export_check.py runs deepinv and OpenCV themselves.
"""

import helpers
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from skimage.restoration import uft

from kernelgan_jax import blur_kernels, degradation, kernels, resize
from kernelgan_jax.kernel_formats import TOOLS

HR = helpers.smooth(72, 84, 1, seed=3)[..., 0].astype(np.float64)


def transformed(image, psf):
    """A circular convolution, by the transfer function of scikit-image's `wiener`."""
    transfer = uft.ir2tf(psf, image.shape, is_real=False)
    return np.fft.ifft2(np.fft.fft2(image) * transfer).real


def wrapped(image, kernel):
    return scipy.ndimage.convolve(image, kernel, mode="wrap")


def convolved(image, kernel):
    """SciPy's own size of a convolution, in the middle that needs no borders."""
    return scipy.signal.convolve(image, kernel, mode="same")


def correlated(image, kernel):
    return scipy.ndimage.correlate(image, kernel, mode="reflect")


def torch_like(image, filters):
    """A convolution around the value at `side // 2`, as deepinv's manual states it."""
    (((filter,),),) = [filters]
    return scipy.ndimage.convolve(image, filter.astype(float), mode="wrap")


OPERATORS = [
    ("usrnet", wrapped, "wrap"),  # (x * k) at every s-th pixel, circular
    ("usrnet", transformed, "wrap"),
    ("dpir", wrapped, "wrap"),
    ("skimage", convolved, None),
    ("skimage", transformed, "wrap"),
    ("deepinv", torch_like, "wrap"),
    ("zssr", correlated, "mirror"),
    ("matlab", correlated, "mirror"),
    ("opencv", correlated, "mirror"),
]


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(("tool", "blur", "boundary"), OPERATORS)
def test_the_tool_s_operator_gives_our_image(tool, blur, boundary, scale, size):
    # It has no symmetry, so that each flip and each half pixel shows.
    kernel = helpers.gaussian(scale, size=size)
    kernel *= 1 + 0.5 * np.random.default_rng(1).random(kernel.shape)
    kernel = kernels.normalise(kernel)
    found = kernels.export(kernel, to=tool, scale=scale)
    lr = blur(HR, found)[::scale, ::scale]
    expected = degradation.downscale(HR, kernel, scale, boundary=boundary or "wrap")
    inside = slice(None) if boundary else slice(6, -6)
    np.testing.assert_allclose(lr[inside, inside], expected[inside, inside], atol=1e-6)
    assert all(side % 2 for side in found.shape[-2:])
    assert found.sum() == pytest.approx(1)


def srmd_operator(image, kernel, scale):
    """SRMD: a blur, then MATLAB's bicubic downscaling."""
    return resize.bicubic_resize(degradation.downscale(image, kernel, 1), 1 / scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_srmd_finds_the_kernel_of_its_own_degradation(scale):
    true = blur_kernels.gaussian(15, variances=(3.0, 1.5), angle=0.7, scale=1)
    bicubic = blur_kernels.bicubic(scale)
    full = kernels.compose(true, bicubic, scale=1)
    first = -7 + (scale - len(bicubic)) // 2  # of the composed kernel
    ours = np.pad(full, [(len(full) + 2 * first, 0)] * 2)
    found = kernels.export(ours, to="srmd", scale=scale)
    assert found.shape == (15, 15) and found.min() >= 0
    np.testing.assert_allclose(found, true, atol=2e-3)
    np.testing.assert_allclose(
        srmd_operator(HR, found, scale)[4:-4, 4:-4],
        degradation.downscale(HR, ours, scale)[4:-4, 4:-4],
        atol=1e-4,
    )


def test_srmd_s_operator_is_near_to_a_direct_kernel():
    kernel = helpers.gaussian(2, size=25, variances=(4.0, 1.5))
    found = kernels.export(kernel, to="srmd", scale=2)
    direct = degradation.downscale(HR, kernel, 2)
    np.testing.assert_allclose(
        srmd_operator(HR, found, 2)[4:-4, 4:-4], direct[4:-4, 4:-4], atol=1e-4
    )
    assert found.sum() == pytest.approx(1)
    # The bicubic downscaling has moved by half a pixel already.
    np.testing.assert_allclose(kernels.centre_of_mass(found), 7, atol=0.01)


def test_types():
    kernel = helpers.gaussian()
    found = {tool: kernels.export(kernel, to=tool, scale=2) for tool in TOOLS}
    types = {tool: (str(k.dtype), k.ndim) for tool, k in found.items()}
    single = {"deepinv": ("float32", 4), "opencv": ("float32", 2)}
    assert types == dict.fromkeys(TOOLS, ("float64", 2)) | single


@pytest.mark.parametrize(
    ("kernel", "options", "message"),
    [
        (helpers.gaussian(2), {"to": "srcnn"}, "to is 'srcnn'; it must be usrnet or"),
        (helpers.gaussian(2), {"to": None}, "to is None"),
        (helpers.gaussian(3), {"to": "zssr"}, "is aligned for scale 3, not 2"),
        (np.zeros((3, 3)), {"to": "zssr"}, "sums to 0"),
    ],
)
def test_bad_arguments(kernel, options, message):
    with pytest.raises(ValueError, match=message):
        kernels.export(kernel, scale=2, **options)
