"""Kernels refitted with the network's picture."""

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from kernelgan_jax import KernelEstimate, blur_kernels, degradation, kernels, metrics
from kernelgan_jax.super_resolution import planning
from kernelgan_jax.super_resolution.deep_wiener import (
    DeepWienerConfig,
    method,
    refinement,
    weights,
)
from kernelgan_jax.super_resolution.deep_wiener.enlarge import enlarge_images
from kernelgan_jax.super_resolution.deep_wiener.request import Request

GAUSSIAN = blur_kernels.gaussian(13, variances=(3.0, 1.2), angle=0.6, scale=2)


@pytest.fixture(scope="module")
def hr() -> np.ndarray:
    with Image.open("examples/images/chelsea.png") as file:
        return np.asarray(file.convert("RGB"), np.float32)[:224, :256] / 255


@pytest.fixture(scope="module")
def trained() -> weights.Weights:
    return weights.load(Path(weights.__file__).parent / "weights.npz")


def noisy(kernel: np.ndarray) -> np.ndarray:
    """A kernel with the noise of those of DIV2KRK."""
    factors = 1 + 0.25 * np.random.default_rng(3).uniform(-1, 1, kernel.shape)
    return kernels.centre(kernels.normalise(kernel * factors), 2)


def request(hr: np.ndarray, kernel: np.ndarray, **known: float) -> Request:
    """An image that was downscaled with a kernel, and a Gaussian as its estimate."""
    lr = np.clip(degradation.downscale(hr, kernel, 2), 0, 1)
    lr = np.round(255 * lr) / 255
    return Request(lr.astype(np.float32), GAUSSIAN.astype(np.float32), 2, **known)


def test_what_no_family_holds_is_found(
    hr: np.ndarray, trained: weights.Weights
) -> None:
    true = noisy(GAUSSIAN)
    asked = request(hr, true, kernel_std=0.08)
    (refined,) = refinement.refine_images(trained, [asked])
    assert refined.kernel_std == pytest.approx(0.7 * 0.08)
    assert refined.kernel.sum() == pytest.approx(1, abs=1e-5)
    place = kernels.centre_of_mass(refined.kernel)
    np.testing.assert_allclose(
        place, kernels.alignment(refined.kernel.shape, 2), atol=1e-3
    )
    before, after = (
        metrics.psnr_y(picture, hr, scale=2)
        for picture in enlarge_images(trained, [asked, refined])
    )
    assert after > before + 0.1


def test_true_picture_gives_the_true_kernel(hr: np.ndarray) -> None:
    true = noisy(GAUSSIAN)
    asked = request(hr, true)
    found = refinement._fit(hr, asked)
    assert found is not None
    start = metrics.kernel_psnr(asked.kernel, true, scale=2)
    assert metrics.kernel_psnr(found, true, scale=2) > start + 4


def test_kernel_that_explains_the_image_stays(hr: np.ndarray) -> None:
    assert refinement._fit(hr, request(hr, GAUSSIAN)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"jpeg": 0.1},
        {"noise_std": 2 / 255},
        {"scale": 1},
        {"image": np.zeros((63, 200, 3), np.float32)},
        {"image": np.ones((128, 128, 3), np.float32)},  # all of it is clipped
        {"kernel": np.full((25, 25), 1 / 625, np.float32)},
    ],
)
def test_kernels_that_are_not_refitted(hr: np.ndarray, change: dict) -> None:
    asked = request(hr, noisy(GAUSSIAN))._replace(**change)
    (found,) = refinement.refine_images(method.pretrained(), [asked])
    assert found is asked


def test_window_has_the_most_detail() -> None:
    image = np.full((600, 900, 3), 0.5, np.float32)
    image[100:400, 500:800] = np.random.default_rng(0).random((300, 300, 3))
    asked = Request(image, GAUSSIAN.astype(np.float32), 2)
    window = refinement._window(asked).image
    assert window.shape == (refinement.WINDOW, refinement.WINDOW, 3)
    assert (window != 0.5).sum() == 3 * 300 * 300
    small = asked._replace(image=image[:100, :200])
    np.testing.assert_array_equal(refinement._window(small).image, small.image)


@pytest.mark.parametrize(
    "kernel, refine, called",
    [
        (KernelEstimate(GAUSSIAN, 2, trusted=True), True, 1),
        (KernelEstimate(GAUSSIAN, 2, trusted=True), False, 0),
        (KernelEstimate(GAUSSIAN, 2), True, 0),
        (KernelEstimate(GAUSSIAN, 2, failure="no"), True, 0),
        (GAUSSIAN, True, 0),
    ],
)
def test_trusted_estimates_are_refitted(
    hr: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    kernel: object,
    refine: bool,
    called: int,
) -> None:
    asked = []
    monkeypatch.setattr(
        method, "refine_images", lambda _, requests: asked.extend(requests) or requests
    )
    config = DeepWienerConfig(refine=refine)
    planned = planning.plan(kernel, scale=2, config=config)
    method.deep_wiener([jax.random.key(0)], [hr[:64, :64]], [planned])
    assert len(asked) == called
