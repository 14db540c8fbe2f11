"""Kernels refitted with the network's picture; the trained network on photographs."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from kernelgan_jax import (
    KernelEstimate,
    analyse,
    blur_kernels,
    degradation,
    estimate_kernel,
    kernels,
    metrics,
    resize,
)
from kernelgan_jax.super_resolution import plan, refine_plan, super_resolve
from kernelgan_jax.super_resolution.deep_wiener import (
    DeepWienerConfig,
    method,
    refinement,
    weights,
)
from kernelgan_jax.super_resolution.deep_wiener.enlarge import enlarge_images
from kernelgan_jax.super_resolution.deep_wiener.network import FAST, DeepWiener
from kernelgan_jax.super_resolution.deep_wiener.request import Request
from kernelgan_jax.usable_pixels import UsablePixels

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
    kernel = refinement.refit(trained, asked)
    assert kernel is not None
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    place = kernels.centre_of_mass(kernel)
    np.testing.assert_allclose(place, kernels.alignment(kernel.shape, 2), atol=1e-3)
    refined = asked._replace(kernel=kernel, kernel_std=method.CERTAINTY * 0.08)
    before, after = (
        metrics.psnr_y(picture, hr, scale=2)
        for picture in enlarge_images(trained, [asked, refined])
    )
    assert after > before + 0.1


Refit = Callable[[np.ndarray, Request], np.ndarray | None]


@pytest.fixture
def refit(monkeypatch: pytest.MonkeyPatch) -> Refit:
    """Refits a kernel with a picture in place of the network's."""

    def refit(picture: np.ndarray, asked: Request) -> np.ndarray | None:
        monkeypatch.setattr(refinement, "enlarge_images", lambda *_: [picture])
        return refinement.refit(method.pretrained(), asked)

    return refit


def test_true_picture_gives_the_true_kernel(hr: np.ndarray, refit: Refit) -> None:
    true = noisy(GAUSSIAN)
    asked = request(hr, true)
    found = refit(hr, asked)
    assert found is not None
    start = metrics.kernel_psnr(asked.kernel, true, scale=2)
    assert metrics.kernel_psnr(found, true, scale=2) > start + 4


def test_errors_that_neighbours_share_have_no_part(
    hr: np.ndarray, refit: Refit
) -> None:
    true = noisy(GAUSSIAN)
    asked = request(hr, true)
    shade = 0.05 * np.sin(np.arange(hr.shape[1]) / 20)[:, None]
    found = [refit(hr + error, asked) for error in (0.0, shade)]
    assert found[0] is not None and found[1] is not None
    start = metrics.kernel_psnr(asked.kernel, true, scale=2)
    assert metrics.kernel_psnr(found[1], true, scale=2) > start + 3


def test_kernel_that_explains_the_image_stays(hr: np.ndarray, refit: Refit) -> None:
    assert refit(hr, request(hr, GAUSSIAN)) is None


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
    assert refinement.refit(method.pretrained(), asked) is None


def test_levels_do_not_matter(hr: np.ndarray) -> None:
    """The ends of the image's range are left out, wherever the type's are."""
    asked = request(hr, GAUSSIAN)
    asked.image[40:50, 40:50] = 0
    used = [
        sum(refinement._halves(asked._replace(bounds=bounds)))
        for bounds in ((0.0, 1.0), (-3.0, 5.0))
    ]
    assert not used[0][40:50, 40:50].any() and used[0][52:60, 40:50].any()
    np.testing.assert_array_equal(*used)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What refits are asked for, in place of refits."""
    asked: list[Request] = []
    monkeypatch.setattr(method, "refit", lambda _, request: asked.append(request))
    return asked


def test_what_is_no_picture_has_no_part(hr: np.ndarray, asked: list[Request]) -> None:
    image = np.rint(255 * hr[:100, :120]).astype(np.uint8)
    refine_plan(image, plan(TRUSTED)._replace(kernel_std=0.1))
    image[40:50] = 255
    refine_plan(image, plan(TRUSTED)._replace(kernel_std=0.1))
    plain, barred = asked
    assert plain.unusable is None
    assert barred.unusable is not None and barred.unusable[40:50].all()
    used = sum(refinement._halves(barred))
    assert not used[34:56].any() and used[20:30, 20:100].any()


def test_what_was_no_picture_of_another_image_has_its_part(
    hr: np.ndarray, asked: list[Request]
) -> None:
    image = np.rint(255 * hr[:100, :120]).astype(np.uint8)
    framed = image.copy()
    framed[:, :24] = 255
    evidence = analyse(framed, scale=2)
    assert evidence.unusable is not None
    planned = plan(TRUSTED)._replace(kernel_std=0.1, evidence=evidence)
    refine_plan(framed, planned)
    refine_plan(image[:90], planned)
    own, other = asked
    assert own.unusable is not None and other.unusable is None


def test_window_has_the_most_detail() -> None:
    image = np.full((600, 900, 3), 0.5, np.float32)
    image[100:400, 500:800] = np.random.default_rng(0).random((300, 300, 3))
    window = image[refinement.window(image)]
    assert window.shape == (320, 448, 3)
    assert (window != 0.5).sum() == 3 * 300 * 300
    small = image[:100, :200]
    assert small[refinement.window(small)].shape == small.shape


TRUSTED = KernelEstimate(GAUSSIAN, 2, trusted=True)


@pytest.mark.parametrize(
    "name, file", [("deep_wiener", ""), ("deep_wiener_fast", ""), ("deep_wiener", ".")]
)
def test_the_usual_network_refits(
    hr: np.ndarray, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    """Also for the smaller network, and if the user's weights are of the smaller."""
    usual, small = SimpleNamespace(network=DeepWiener()), SimpleNamespace(network=FAST)
    given: list[object] = []
    monkeypatch.setattr(method, "refit", lambda weights, _: given.append(weights))
    monkeypatch.setattr(method, "pretrained", lambda fast=False: (usual, small)[fast])
    monkeypatch.setattr(method, "read_once", lambda *_, **__: small)
    config = DeepWienerConfig(weights=file)
    before = plan(TRUSTED, scale=2, method=name, config=config)
    refine_plan(hr[:64, :64], before._replace(kernel_std=0.1))
    assert given == [usual]


@pytest.mark.parametrize(
    "kernel, name, refine",
    [
        (TRUSTED, "deep_wiener", True),
        (TRUSTED, "deep_wiener", False),
        (TRUSTED, "wiener", None),
        (KernelEstimate(GAUSSIAN, 2), "deep_wiener", True),
        (TRUSTED._replace(failure="no"), "deep_wiener", True),
        (GAUSSIAN, "deep_wiener", True),
    ],
)
def test_trusted_estimates_are_refitted(
    hr: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    kernel: object,
    name: str,
    refine: bool | None,
) -> None:
    another = np.full((4, 4), 1 / 16)
    monkeypatch.setattr(method, "refit", lambda *_: another)
    config = None if refine is None else DeepWienerConfig(refine=refine)
    before = plan(kernel, scale=2, method=name, config=config)
    if kernel is not GAUSSIAN:
        before = before._replace(kernel_std=0.1)
    after = refine_plan(hr[:64, :64], before)
    if kernel is TRUSTED and refine:
        assert after.kernel is another and after.kernel_std == pytest.approx(0.07)
        assert after.notes == ("with its kernel refitted to the picture",)
        assert after.source == "estimated"
    else:
        assert after == before


def test_only_the_window_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an image with a frame, as its kernel would have blurred it."""
    image = np.full((500, 800, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    image[:300, 300:600] = rng.integers(60, 200, (300, 300, 3))
    image[:20] = 255
    filled, asked = [], []

    def fill(part: np.ndarray, _: object, usable: UsablePixels) -> np.ndarray:
        filled.append((part.shape[:2], usable.unusable))
        return part + 1

    monkeypatch.setattr(method, "fill_unusable", fill)
    monkeypatch.setattr(method, "refit", lambda _, found: asked.append(found))
    before = plan(TRUSTED)._replace(kernel_std=0.1)
    assert refine_plan(image, before) == before
    ((shape, unusable),) = filled
    assert shape[0] * shape[1] <= refinement.MAX_PIXELS
    assert unusable[:20].all() and not unusable[30:].any()
    assert asked[0].image.shape[:2] == shape and asked[0].image.min() >= 1
    refine_plan(image[:40], before)  # too small to be refitted
    assert len(filled) == 1


def test_what_is_left_as_it_is(hr: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method, "refit", lambda *_: None)
    before = plan(TRUSTED)._replace(kernel_std=0.1)
    assert refine_plan(hr[:64, :64], before) == before
    with pytest.raises(ValueError, match="image"):
        refine_plan(np.zeros((2, 3, 4, 5)), before)


@pytest.mark.parametrize("quality", [90, 60])
def test_a_jpeg_photograph_is_not_below_bicubic(
    trained: weights.Weights,
    monkeypatch: pytest.MonkeyPatch,
    quality: int,
) -> None:
    """What the command does by default, with the kernel that it finds."""
    monkeypatch.setattr(method, "_weights", lambda *_: trained)
    with Image.open("examples/images/camera.png") as file:
        gray = np.asarray(file.convert("L"), np.float32)[:224, :256, None] / 255
    hr = gray * np.float32([1, 0.95, 0.9])  # toned, for the program of the others
    lr = np.rint(255 * np.clip(degradation.downscale(hr, GAUSSIAN, 2), 0, 1))
    with io.BytesIO() as data:
        Image.fromarray(lr.astype(np.uint8)).save(data, "JPEG", quality=quality)
        stored = np.asarray(Image.open(data))
    key = jax.random.key(0)
    result = super_resolve(key, stored, estimate_kernel(key, stored))
    bicubic = np.clip(resize.bicubic_resize(stored / np.float32(255), 2), 0, 1)
    found, least = (metrics.psnr_y(x, hr, scale=2) for x in (result, bicubic))
    assert found > least + 0.7
