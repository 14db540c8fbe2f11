"""Whole estimations, small: results, repeatability, compilation, refusals."""

import jax
import numpy as np
import pytest

from kernelgan_jax.app.image_files import ImageError
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.kernelgan.train import _compiled, finish, training_image
from kernelgan_jax.estimators.run import _most_trusted, prepare
from kernelgan_jax import blur_kernels
from kernelgan_jax import kernels
from kernelgan_jax import Config
from kernelgan_jax import estimate_kernel
from kernelgan_jax import estimate_kernels
from kernelgan_jax import estimate_spectral

TINY = Config(iterations=120, generator_channels=4, discriminator_channels=4)


def texture(height, width, seed=0):
    """A picture with structure at all scales: HR noise of a natural spectrum, as LR."""
    rng = np.random.default_rng(seed)
    shape = (2 * height, 2 * width)
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))
    spectrum = rng.normal(size=(3, *shape)) + 1j * rng.normal(size=(3, *shape))
    hr = np.fft.ifft2(spectrum / np.maximum(frequency, 1 / height)).real
    hr = 0.5 + 0.15 * (hr - hr.mean()) / hr.std()
    kernel = blur_kernels.gaussian(11, variances=(3.0, 1.5), angle=0.6, scale=2)
    lr = downscale(np.moveaxis(hr, 0, -1), kernel, 2)
    return np.clip(255 * lr, 0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def image():
    return texture(120, 150)


@pytest.fixture(scope="module")
def tiny(image):
    calls = []
    result = estimate_kernel(
        jax.random.key(0),
        image,
        config=TINY,
        progress=lambda step, losses: calls.append((step, losses)),
    )
    return result, calls


def test_what_an_estimate_holds(tiny):
    result, _ = tiny
    assert result.raw_kernel.shape == (13, 13)
    assert result.kernel_x4 is None
    np.testing.assert_allclose(result.kernel.sum(), 1)
    aligned = np.array(result.kernel.shape) // 2 + 0.5
    np.testing.assert_allclose(
        kernels.centre_of_mass(result.kernel), aligned, atol=0.05
    )
    for name, values in result.history.items():
        assert values.shape == (120,) and np.isfinite(values).all(), name
    assert not result.converged and "warm start" in result.reason


def test_progress_tells_steps_and_last_losses(tiny):
    result, calls = tiny
    assert [step for step, _ in calls] == [100, 120]
    for step, losses in calls:
        assert losses == {n: float(v[step - 1]) for n, v in result.history.items()}


def test_same_seed_same_bits(image, tiny):
    again = estimate_kernel(jax.random.key(0), image, config=TINY)
    np.testing.assert_array_equal(again.kernel, tiny[0].kernel)
    for name, values in again.history.items():
        np.testing.assert_array_equal(values, tiny[0].history[name])
    other = estimate_kernel(jax.random.key(1), image, config=TINY)
    assert not np.array_equal(other.kernel, tiny[0].kernel)


def test_images_of_all_kinds_share_one_compilation(image, tiny):
    _, train = _compiled(TINY, False)
    before = train._cache_size()
    for other in (
        texture(84, 97),
        image[..., :1],
        image[..., 0].astype(np.uint16) * 257,
        (image / 255).astype(np.float64),
    ):
        estimate_kernel(jax.random.key(0), other, config=TINY)
    assert train._cache_size() == before == 2  # a whole chunk and the last 20 steps


def test_kind_of_array_does_not_matter(image, tiny):
    wide = image.astype(np.uint16) * 257
    for same in (wide, (wide / 65535).astype(np.float32)):
        result = estimate_kernel(jax.random.key(0), same, config=TINY)
        np.testing.assert_allclose(result.raw_kernel, tiny[0].raw_kernel, atol=1e-4)


def test_x4_kernel_follows_from_x2(image):
    config = Config(**{**TINY.asdict(), "scale": 4, "iterations": 1})
    result = estimate_kernel(jax.random.key(0), image, config=config)
    np.testing.assert_array_equal(result.kernel_x4, kernels.kernel_x4(result.kernel))


def test_smallest_usable_image(image):
    result = estimate_kernel(jax.random.key(0), image[:84, :84], config=TINY)
    assert np.isfinite(result.kernel).all()
    with pytest.raises(
        ValueError, match="84x83 pixels; the smallest usable side is 84"
    ):
        estimate_kernel(jax.random.key(0), image[:83, :84], config=TINY)
    real = Config(border=0)
    assert training_image(image[:64, :65], real).shape == (64, 64, 3)
    with pytest.raises(ValueError, match="smallest usable side is 64"):
        training_image(image[:63, :65], real)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_constant_image_is_refused(value):
    with pytest.raises(ValueError, match="constant"):
        estimate_kernel(jax.random.key(0), np.full((100, 100, 3), value, np.uint8))


@pytest.mark.parametrize(
    "bad",
    [
        np.full((100, 100, 3), np.nan),
        np.full((100, 100, 3), 1.5),
        np.zeros((100, 100, 4)),
        np.zeros(100),
        np.zeros((100, 100), np.int64),
    ],
)
def test_unusable_arrays_are_refused(bad):
    with pytest.raises(ImageError):
        estimate_kernel(jax.random.key(0), bad)


def test_large_photo_is_trained_on_a_window_only():
    pixels = np.tile(texture(100, 100), (50, 50, 1))
    image = training_image(pixels, Config(max_pixels=10**6))
    assert 0.9e6 < image.shape[0] * image.shape[1] <= 10**6


def test_divergence_is_told_and_stops_early(image):
    config = Config(**{**TINY.asdict(), "generator_learning_rate": 1e30})
    result = estimate_kernel(jax.random.key(0), image, config=config)
    assert not result.converged and "diverged" in result.reason
    assert len(result.history["generator_loss"]) == 100
    assert np.isfinite(result.kernel).all()


def test_kernel_sum_far_from_one_is_told():
    history = {
        "generator_loss": np.zeros(3000),
        "bicubic_weight": np.full(3000, 5e-6),
    }
    good = blur_kernels.gaussian(13, variances=(2, 2), scale=2)
    assert finish(Config(), good, history).converged
    bad = finish(Config(), 0.05 * good, history)
    assert not bad.converged and "sums to 0.05" in bad.reason
    none = finish(Config(), -good, history)
    assert not none.converged and np.isfinite(none.kernel).all()


def test_the_spectrum_as_estimator():
    """By its name the same bits as by its function; sizes may differ; no seed."""
    photos = [texture(60, 80), texture(70, 64, seed=1)]
    config = Config(estimator="spectral", scale=4)
    told = []
    many = estimate_kernels(
        jax.random.key(0), photos, config=config, progress=lambda *a: told.append(a)
    )
    assert told == [] and many.history == {} and many.converged.all()
    for seed, photo, x4, said in zip(
        (1, 2), photos, many.kernel_x4, many.confidence, strict=True
    ):
        one = estimate_kernel(jax.random.key(seed), photo, config=config)
        own = estimate_spectral(photo, scale=4)
        np.testing.assert_array_equal(one.kernel_x4, own.kernel_x4)
        np.testing.assert_array_equal(x4, own.kernel_x4)
        assert said.level == one.confidence.level == own.confidence.level
    with pytest.raises(ValueError, match=r"images\[1\]: image is constant"):
        flat = np.full((40, 40), 7, np.uint8)
        estimate_kernels(jax.random.key(0), [photos[0], flat], config=config)
    assert (many.noise >= 0).all() and many.sure.shape == (2,)
    with pytest.raises(ValueError, match="its spectrum needs at least 32"):
        estimate_kernel(jax.random.key(0), photos[0][:31], config=config)


def test_the_spectrum_judges_kernelgan(image):
    """By how far its kernel is from that of the spectrum."""
    config = Config()
    prepared = prepare(jax.random.key(0), image, config)
    own = estimate_spectral(prepared.image)
    for factor, level, reason in (
        (1.0, own.confidence.level, None),
        (1.6, "low", "GAN"),
    ):
        kernel = kernels.scale_width(own.kernel, factor)
        found = own._replace(kernel=kernel, confidence=None, noise=-1.0)
        judged = _most_trusted(prepared, [found], config)
        assert judged.confidence.level == level
        assert reason is None or reason in judged.confidence.reason
        assert judged.noise == own.noise
        failed = found._replace(converged=False, reason="it diverged")
        said = _most_trusted(prepared, [failed], config).confidence
        assert (said.level, said.reason) == ("low", "it diverged")


def test_of_restarts_the_most_trusted_is_taken(image):
    """Of those that converged, if any did."""
    config = Config(restarts=3)
    prepared = prepare(jax.random.key(0), image, config)
    own = estimate_spectral(prepared.image)
    wide, near, failed = (
        own._replace(kernel=kernels.scale_width(own.kernel, factor), reason=f"{factor}")
        for factor in (1.5, 1.1, 1.0)
    )
    failed = failed._replace(converged=False)
    for restarts in ([wide, near, failed], [failed, near, wide]):
        assert _most_trusted(prepared, restarts, config).reason == "1.1"
    assert _most_trusted(prepared, [failed], config).reason == "1.0"
    small = prepared._replace(image=prepared.image[:31])
    blind = [e._replace(confidence=None) for e in (failed, wide, near)]
    found = _most_trusted(small, blind, config)
    assert found.reason == "1.5" and found.confidence is None
