"""The trained network: its form, its training data, a training of a few steps."""

import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from kernelgan_jax import blur_kernels, kernels, metrics
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.estimators.spectral import spectral_likelihood
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import deep_wiener
from kernelgan_jax.super_resolution.deep_wiener import (
    batch_program,
    believed_kernels,
    degradation,
    jpeg,
    optimizer,
    random_kernels,
    request,
    self_ensemble,
    two_steps,
    weights,
)
from kernelgan_jax.super_resolution.deep_wiener import enlarge as large
from kernelgan_jax.super_resolution.deep_wiener.config import SCALES
from kernelgan_jax.super_resolution.deep_wiener.network import (
    FACTORS,
    FAST,
    DeepWiener,
)
from kernelgan_jax.super_resolution.planning import width_std

pytestmark = pytest.mark.quick_compilation

TINY = DeepWiener(channels=8, coarse_channels=8, stages=2, blocks=1)


@pytest.fixture(scope="module")
def params() -> deep_wiener.Params:
    """Random ones; heads as large as if they were trained."""
    init = jax.jit(functools.partial(deep_wiener.init, network=TINY))
    made = init(jax.random.key(0))
    return {k: jax.tree.map(lambda x: 5 * x, v) if "head" in k else v
            for k, v in made.items()}  # fmt: skip


def test_parameters_are_float32_in_every_mode() -> None:
    init = functools.partial(deep_wiener.init, network=TINY)
    with jax.enable_x64(True):
        made = jax.eval_shape(init, jax.random.key(0))
    assert {x.dtype for x in jax.tree.leaves(made)} == {np.dtype(np.float32)}


enlarge = jax.jit(
    functools.partial(deep_wiener.apply, network=TINY), static_argnames="scale"
)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


def enlarged(
    trained: weights.Weights, image: np.ndarray, kernel: np.ndarray, **known: Any
) -> np.ndarray:
    asked = request.Request(image, kernel, **known)
    return large.enlarge_images(trained, [asked])[0]


def gaussian(scale: int, width: float = 0.6, side: int = 13) -> np.ndarray:
    place = np.arange(side) - kernels.alignment((side, side), scale)[0]
    line = np.exp(-(place**2) / 2 / (width * scale) ** 2)
    return (np.outer(line, line) / line.sum() ** 2).astype(np.float32)


@pytest.mark.parametrize("scale", SCALES)
def test_any_size_in_place(params: deep_wiener.Params, scale: int) -> None:
    shape = (scale * 37, scale * 34, 3 if scale == 2 else 1)
    rows, columns = (np.arange(n) / scale for n in shape[:2])
    wave = np.sin(rows[:, None] / 4 + columns / 7)[..., None]
    hr = np.broadcast_to(0.5 + 0.3 * wave, shape).astype(np.float32)
    lr = downscale(hr, gaussian(scale), scale)
    small = jax.tree.map(lambda x: 0.1 * x, params)
    result = np.asarray(enlarge(small, lr, gaussian(scale), scale=scale))
    assert result.shape == shape and result.dtype == np.float32
    edge = 4 * scale
    error, down, right = (
        x[edge:-edge, edge:-edge]
        for x in (result - hr, np.gradient(hr, axis=0), np.gradient(hr, axis=1))
    )
    assert np.abs(error).max() < 0.02
    # A shift is an error along the gradient.
    assert abs((error * down).sum() / (down**2).sum()) < 0.1
    assert abs((error * right).sum() / (right**2).sum()) < 0.1


@pytest.mark.parametrize("scale", SCALES)
def test_flat_areas_keep_their_value(params: deep_wiener.Params, scale: int) -> None:
    flat = np.full((37, 34, 3 if scale == 2 else 1), 0.37, np.float32)
    result = enlarge(params, flat, gaussian(scale), scale=scale, kernel_std=0.1)
    np.testing.assert_allclose(result, 0.37, atol=2 / 255)


def test_gray_stays_gray(params: deep_wiener.Params) -> None:
    gray = np.repeat(noise(37, 34, 1), 3, -1)
    result = np.asarray(enlarge(params, gray, gaussian(2), scale=2))
    np.testing.assert_array_equal(result, result[..., :1].repeat(3, -1))
    alone = enlarge(params, gray[..., :1], gaussian(2), scale=2)
    np.testing.assert_array_equal(result[..., :1], alone)
    # One pixel of colour, and it is a colour image.
    gray[3, 3, 1] += 0.1
    result = np.asarray(enlarge(params, gray, gaussian(2), scale=2))
    assert np.ptp(result, axis=-1).max() > 0


def test_images_that_wrap(params: deep_wiener.Params) -> None:
    apply = jax.jit(
        functools.partial(deep_wiener.apply, network=TINY),
        static_argnames=("scale", "wraps"),
    )
    image = noise(64, 64, 1)
    result = apply(params, image, gaussian(2), scale=2, wraps=True)
    moved = np.roll(image, (8, 12), (0, 1))
    found = apply(params, moved, gaussian(2), scale=2, wraps=True)
    back = np.roll(found, (-16, -24), (0, 1))
    inner = np.s_[60:68, 60:68]  # convolutions do not wrap
    np.testing.assert_allclose(back[inner], result[inner], atol=1e-3)
    with pytest.raises(ValueError, match="multiples of 2 if it wraps"):
        apply(params, noise(31, 32, 1), gaussian(1), scale=1, wraps=True)


def test_contrast_and_noise_scale_together(params: deep_wiener.Params) -> None:
    image = noise(37, 34, 3)
    once, twice = (
        enlarge(params, f * image, gaussian(2), scale=2, noise_std=f * 0.05)
        for f in (0.5, 0.499)
    )
    np.testing.assert_allclose(twice, once * 0.499 / 0.5, atol=2e-3)


def test_vmap_equals_a_loop_and_gradients_are_finite(
    params: deep_wiener.Params,
) -> None:
    images, stds = noise(2, 20, 20, 3), jnp.asarray([0.0, 0.02])
    both = jnp.asarray(np.stack([gaussian(2), gaussian(2, 0.4)]))

    @jax.jit
    @jax.vmap
    def together(image: jax.Array, kernel: jax.Array, std: jax.Array) -> jax.Array:
        return enlarge(params, image, kernel, scale=2, noise_std=std, kernel_std=std)

    results = together(images, both, stds)
    for i in range(2):
        alone = enlarge(
            params, images[i], both[i], scale=2, noise_std=stds[i], kernel_std=stds[i]
        )
        np.testing.assert_allclose(results[i], alone, atol=1e-4)

    @functools.partial(jax.grad, argnums=(0, 1, 2, 3))
    def slope(params: deep_wiener.Params, *x: jax.Array) -> jax.Array:
        image, kernel, std = x
        made = enlarge(params, image, kernel, scale=2, noise_std=std, kernel_std=std)
        return ((made - 0.5) ** 2).mean()

    for std in (0.01, 0.0):
        slopes = slope(params, jnp.asarray(images[0]), both[0], jnp.float32(std))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scale": 5}, "scale is 5; it must be one of: 1, 2, 3, 4"),
        ({"kernel": np.ones((43, 3)) / 129}, r"kernel is \(43, 3\).*at most 41"),
        ({"kernel": np.ones(3) / 3}, "kernel has 1 axes; it must have 2"),
        ({"image": np.zeros((30, 30, 4))}, "image has 4 channels.*1 or 3"),
        ({"kernel": np.full((3, 3), np.nan)}, "kernel has values that are not finite"),
        ({"kernel": np.ones((1, 3))}, "kernel sums to 3; it must be 1"),
        ({"noise_std": -0.1}, "noise_std is -0.1; .*at least 0"),
        ({"kernel_std": np.inf}, "kernel_std is inf; .*finite"),
        ({"jpeg": "x"}, "jpeg is 'x'; .*number"),
        ({"jpeg": 2.0}, "jpeg is 2.0; .*at most 1"),
        ({"image": "abc"}, "image is a str"),
        ({"network": "fast"}, "network is 'fast'; it must be a DeepWiener"),
        ({"network": None}, "params are those of another network; pass it as"),
    ],
)
def test_bad_arguments(change: dict, message: str, params: deep_wiener.Params) -> None:
    arguments = {"image": np.zeros((30, 30, 3)), "kernel": gaussian(2), "scale": 2}
    arguments |= change
    arguments = {"network": TINY} | arguments
    with pytest.raises(ValueError, match=message):
        deep_wiener.apply(params, **arguments)


@pytest.mark.parametrize("key", [0, jax.random.split(jax.random.key(0))])
def test_parameters_come_from_one_key(key: object) -> None:
    with pytest.raises(ValueError, match="key .* must be .*key"):
        deep_wiener.init(key, network=TINY)


# --- Images of any size ---


def test_tiles_have_no_seams(params: deep_wiener.Params) -> None:
    trained = weights.Weights(TINY, params, {})
    image = downscale(noise(150, 448, 1), gaussian(2), 1)
    image = np.clip(0.5 + 2 * (image - image.mean()), 0, 1).astype(np.float32)
    whole, tiled = (
        large.enlarge_images(
            trained, [request.Request(image, gaussian(2), 2, 0.01)], tile=tile
        )[0]
        for tile in (448, 192)
    )
    assert whole.shape == (300, 896, 1)
    assert np.abs(whole - tiled).max() < 1 / 255


def test_strength_and_fallback(params: deep_wiener.Params) -> None:
    trained = weights.Weights(TINY, params, {"scales": [2]})
    image = noise(20, 30, 3)
    none, half, full = (
        enlarged(trained, image, gaussian(2), scale=2, strength=strength)
        for strength in (0.0, 0.5, 1.0)
    )
    inner = (none > 0) & (none < 1) & (full > 0) & (full < 1)
    np.testing.assert_allclose(half[inner], (none + full)[inner] / 2, atol=1e-5)
    asked = request.Request(image, gaussian(2), 2)
    (tiled,) = large.enlarge_images(trained, [asked], tile=64)  # the smallest
    np.testing.assert_allclose(tiled, full, atol=1e-5)
    # A scale and a kernel that the network does not know: the Wiener filter's.
    assert enlarged(trained, image, gaussian(3), scale=3).shape == (60, 90, 3)
    wide = gaussian(2, 4.0, side=51)
    large_enough = noise(30, 40, 3)
    assert enlarged(trained, large_enough, wide, scale=2).shape == (60, 80, 3)
    with pytest.raises(ValueError, match="strength is 2.0; it must be from 0 to 1"):
        enlarged(trained, image, gaussian(2), scale=2, strength=2.0)
    with pytest.raises(ValueError, match="jpeg is 2.0; .*at most 1"):
        asked._replace(jpeg=2.0).check()
    with pytest.raises(ValueError, match="tile is 70; it must be a multiple of 64 abo"):
        large.enlarge_images(trained, [], tile=70)


def test_a_batch_of_images_of_several_sizes(params: deep_wiener.Params) -> None:
    trained = weights.Weights(TINY, params, {})
    requests = [
        request.Request(noise(*size, channels), gaussian(2), 2, noise_std=level)
        for size, channels, level in (
            ((40, 50), 3, 0.0),
            ((60, 30), 3, 0.02),
            ((20, 30), 1, 0.0),
            ((64, 64), 3, 0.01),
        )
    ]
    together = large.enlarge_images(trained, requests, batch=2)
    for each, result in zip(requests, together, strict=True):
        (alone,) = large.enlarge_images(trained, [each])
        assert result.shape[:2] == tuple(2 * n for n in each.image.shape[:2])
        np.testing.assert_allclose(result, alone, atol=1e-5)
    programs = batch_program.compiled(TINY, 2)._compiled
    used = set(programs)
    for each in requests:  # The same programs are prepared.
        large.prepare(trained, each.image.shape, scale=2)
    assert set(programs) == used


@pytest.mark.parametrize("on_cpu", [True, False])
def test_batches_of_tiles(
    params: deep_wiener.Params, monkeypatch: pytest.MonkeyPatch, on_cpu: bool
) -> None:
    trained = weights.Weights(TINY, params, {})
    asked = [
        request.Request(noise(*size) / (i + 1), gaussian(2), 2, noise_std=i / 100)
        for size, count in (((70, 64, 3), 5), ((64, 64, 1), 9))
        for i in range(count)
    ]
    alone = large.enlarge_images(trained, asked, batch=1)
    monkeypatch.setattr(batch_program, "on_cpu", lambda: on_cpu)
    assert [batch_program.size(n) for n in (1, 7, 9)] == [
        1,
        1 if on_cpu else 7,
        4 if on_cpu else 8,
    ]
    batch_program.compiled.cache_clear()
    results = large.enlarge_images(trained, asked)
    batch_program.compiled.cache_clear()
    for one, other in zip(alone, results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("scale", [6, 8])
def test_the_kernel_of_two_steps(scale: int) -> None:
    """Both ways of downscaling agree where the half-size image has no aliasing."""
    kernel = gaussian(scale, 0.4, side=8 * scale + 5)
    half = two_steps.half_kernel(kernel, scale)
    bicubic = kernels.centre(blur_kernels.bicubic(2), 2).astype(np.float32)
    hr = np.asarray(downscale(noise(400, 384, 1), gaussian(2, 2.0, side=21), 1))
    at_once = downscale(hr, kernel, scale)
    stepwise = downscale(downscale(hr, bicubic, 2), half, scale // 2)
    inner = np.s_[6:-6, 6:-6]
    error = np.abs(at_once - stepwise)[inner].max()
    assert error < 0.02 * np.ptp(np.asarray(at_once)[inner])
    # The spectrum, too, is that of the half-size image: its LR image has the same.
    spectrum = Spectrum(np.float32(4), np.float32(2.2), np.zeros(4), np.float32(-9))
    asked = request.Request(at_once, kernel, scale, spectrum=spectrum)
    first = request.first_step(asked)
    power, again = (
        spectral_likelihood(each.scale).expected(
            metrics.pad_to_frame(each.kernel, scale=each.scale), each.spectrum
        )
        for each in (asked, first)
    )
    np.testing.assert_allclose(again, power, rtol=0.1)


def test_a_network_that_fails_gives_way_to_the_filter(
    params: deep_wiener.Params,
) -> None:
    wild = jax.tree.map(lambda x: 30 * x, params)
    image = 0.4 + noise(40, 48, 3) / 5
    filtered = enlarged(
        weights.Weights(TINY, params, {}), image, gaussian(2), scale=2, strength=0
    )
    result = enlarged(weights.Weights(TINY, wild, {}), image, gaussian(2), scale=2)
    np.testing.assert_array_equal(result, filtered)


@pytest.mark.parametrize("height", [1, 511, 512, 1030])
def test_what_fails_is_seen_in_some_rows_of_a_large_image(height: int) -> None:
    image = noise(height, 8, 1)
    asked = request.Request(image, gaussian(2), 2)
    result = image.repeat(2, 0).repeat(2, 1)
    limit = np.float32(large.DIVERGED)
    assert not large.has_diverged(result + 0.9 * limit, asked)
    assert large.has_diverged(result + 1.1 * limit, asked)
    assert large.has_diverged(result * np.float32(np.nan), asked)


def test_scale_8_is_reached_in_two_steps(params: deep_wiener.Params) -> None:
    trained = weights.Weights(TINY, params, {})
    image, kernel = 0.49 + noise(20, 24, 3) / 50, gaussian(8, 0.5, side=45)
    result = enlarged(trained, image, kernel, scale=8, strength=0.5)
    half = two_steps.half_kernel(kernel, 8)
    first = enlarged(trained, image, half, scale=4, strength=0.5)
    assert result.shape == (160, 192, 3)
    expected = np.clip(bicubic_resize(first, 2), 0, 1)
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_noise_that_rounding_explains_is_none() -> None:
    assert request.added_noise_std(0.4 / 255) == 0
    assert abs(request.added_noise_std(5 / 255) - 4.96 / 255) < 1e-4


def test_width_std() -> None:
    widths = np.exp(np.random.default_rng(0).normal(0, 0.1, 64))
    samples = np.stack([gaussian(2, 0.8 * w, side=31) for w in widths])
    assert abs(width_std(samples, scale=2) - 0.7 * np.log(widths).std()) < 0.01


# --- Training data ---


@pytest.mark.parametrize("scale", SCALES)
def test_random_kernels_are_aligned(scale: int) -> None:
    draw = jax.jit(jax.vmap(functools.partial(random_kernels.draw, scale=scale)))
    drawn = draw(jax.random.split(jax.random.key(scale), 64))
    believe = functools.partial(believed_kernels.believe, scale=scale, trust=0.7)
    believed = jax.jit(jax.vmap(believe))(
        jax.random.split(jax.random.key(9), 64), drawn
    )
    side = kernels.frame_size(scale)
    for kernel, estimate, std in zip(drawn.kernel, *believed, strict=True):
        for each in (np.asarray(kernel), np.asarray(estimate)):
            assert each.shape == (side, side) and abs(each.sum() - 1) < 1e-4
            off = np.subtract(
                kernels.centre_of_mass(each), kernels.alignment(each.shape, scale)
            )
            assert np.abs(off).max() < 0.05
        if std == 0:
            np.testing.assert_array_equal(kernel, estimate)
    assert 0.2 < float((believed.kernel_std == 0).mean()) < 0.7


def test_resamplers_are_found_and_narrow_gaussians_taken_for_one() -> None:
    """Neither is quite certain: only a known kernel has no uncertainty."""
    draw = jax.jit(jax.vmap(functools.partial(random_kernels.draw, scale=2)))
    drawn = draw(jax.random.split(jax.random.key(0), 1024))
    believe = functools.partial(believed_kernels.believe, scale=2, trust=0.7)
    keys = jax.random.split(jax.random.key(1), 1024)
    taken = jax.jit(jax.vmap(believe))(keys, drawn)
    estimated = np.asarray(taken.kernel_std > 0)
    resamplers = np.asarray(drawn.is_resampler > 0)
    assert 0.1 < resamplers.mean() < 0.2
    right = (taken.kernel == drawn.kernel).all((1, 2))
    assert 0.7 < right[estimated & resamplers].mean() < 0.9
    assert not right[estimated & ~resamplers].any()
    assert float(taken.kernel_std[estimated & right].max()) <= 0.1
    mistaken = (taken.kernel == random_kernels.bicubic(2)[None]).all((1, 2))
    mistaken = np.asarray(mistaken) & ~resamplers
    widths = np.asarray(drawn.widths).max(1)
    narrow = estimated & np.asarray(drawn.is_gaussian > 0) & (widths < 0.9)
    assert 0.3 < mistaken[narrow].mean() < 0.7
    assert not mistaken[~narrow].any()


def test_kernels_behind_a_camera_are_taken_for_others() -> None:
    """A third for a resampler's; the others err in width, more than they may say."""
    draw = jax.jit(jax.vmap(functools.partial(random_kernels.draw, scale=2)))
    drawn = draw(jax.random.split(jax.random.key(0), 64))
    misbelieve = functools.partial(believed_kernels.misbelieve, scale=2)
    keys = jax.random.split(jax.random.key(1), 64)
    taken = jax.jit(jax.vmap(misbelieve))(keys, drawn)
    resampled = (taken.kernel == random_kernels.bicubic(2)[None]).all((1, 2))
    assert 0.15 < float(resampled.mean()) < 0.55
    assert 0.02 <= float(taken.kernel_std.min()) and float(taken.kernel_std.max()) < 0.4
    np.testing.assert_allclose(taken.kernel.sum((1, 2)), 1, atol=1e-4)
    kept = np.asarray(drawn.is_gaussian > 0) & ~np.asarray(resampled)
    widths = [
        [np.log(kernels.widths(np.asarray(k))[0]) for k in found[kept]]
        for found in (drawn.kernel, taken.kernel)
    ]
    assert 0.1 < np.subtract(*widths).std() < 0.5


def test_a_part_of_the_patches_is_developed(monkeypatch: pytest.MonkeyPatch) -> None:
    size = degradation.patch_size(4)
    patch = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    key = jax.random.key(1)
    found = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(degradation, "CAMERAS", share)
        make = jax.jit(functools.partial(degradation.degrade, scale=4))
        found.append(np.asarray(make(key, patch).lr))
    colours = [(x - x.mean(-1, keepdims=True)).std() for x in found]
    assert colours[1] < 0.85 * colours[0]  # A sensor sees a third of them.


@pytest.mark.parametrize("scale, wraps", [(1, False), (2, True)])
def test_pairs_lie_on_each_other(scale: int, wraps: bool) -> None:
    size = degradation.patch_size(scale)
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 2, (16, size // 8 + 1, size // 8 + 1, 3))
    patches = 200 * patches.repeat(8, 1).repeat(8, 2)[:, :size, :size].astype(np.uint8)
    degrade = functools.partial(degradation.degrade, scale=scale, wraps=wraps)
    make = jax.jit(jax.vmap(degrade))
    pairs = make(jax.random.split(jax.random.key(0), 16), patches)
    n = degradation.LR_SIZES[scale]
    assert pairs.lr.shape == (16, n, n, 3) and pairs.hr.shape[1] == scale * n
    assert 0 <= float(pairs.lr.min()) and float(pairs.lr.max()) <= 1
    means = pairs.hr.reshape(16, n, scale, n, scale, 3).mean((2, 4))
    for lr, mean in zip(np.asarray(pairs.lr), np.asarray(means), strict=True):
        if mean.std() > 0.05:
            inner = [x[8:-8, 8:-8].ravel() for x in (lr, mean)]
            assert np.corrcoef(*inner)[0, 1] > 0.6


def test_jpeg_is_near_pillows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = np.kron(rng.random((8, 8, 3)), np.ones((8, 8, 1)))
    image = np.clip(image + 0.03 * rng.standard_normal(image.shape), 0, 1)
    pixels = np.rint(255 * image).astype(np.uint8)
    for quality, subsampling in ((90, 0), (50, 0), (50, 2)):
        file = tmp_path / "image.jpg"
        Image.fromarray(pixels).save(file, quality=quality, subsampling=subsampling)
        wanted = np.asarray(Image.open(file)) / 255
        found = jpeg.jpeg(
            jnp.asarray(pixels / 255, jnp.float32), quality, subsampling == 2
        )
        error = np.sqrt(((found - wanted) ** 2).mean())
        damage = np.sqrt(((wanted - pixels / 255) ** 2).mean())
        assert error < 0.5 * damage


# --- Training ---


def test_learning_rate() -> None:
    rate = functools.partial(optimizer.learning_rate, largest=1.0, decay=0.5)
    assert rate(0, progress=0) == 1 / 200
    assert rate(199, progress=0.2) == rate(500, progress=0.5) == 1
    assert rate(750, progress=0.75) == 0.5 and rate(1000, progress=1.1) == 0
    always = optimizer.learning_rate(900, progress=1, largest=0.1, decay=0)
    assert always == 0.1


def test_a_few_steps_train_their_scale_alone() -> None:
    functions = optimizer.training(network=TINY)
    step = jax.jit(functions.step, static_argnames="scale")
    rng = np.random.default_rng(0)
    size = degradation.patch_size(2)
    patches = rng.integers(0, 2, (2, size // 8 + 1, size // 8 + 1, 3))
    patches = 200 * patches.repeat(8, 1).repeat(8, 2)[:, :size, :size].astype(np.uint8)
    start = jax.jit(functions.init)(jax.random.key(0))
    state, losses = start, []
    for _ in range(25):
        state, info = step(jax.random.key(2), state, patches, 1e-3, scale=2)
        losses.append(float(info.loss))
    assert losses[-1] < losses[0] - 0.1  # a logarithm
    assert np.isfinite(info.psnr)
    changed = {
        name: any(
            (x != y).any()
            for x, y in zip(
                jax.tree.leaves(start.groups[name]),
                jax.tree.leaves(state.groups[name]),
                strict=True,
            )
        )
        for name in state.groups
    }
    assert [name for name, value in changed.items() if value] == ["fine", "x2"]
    assert set(changed) == {"fine", "coarse", "x1", "x2", "x3", "x4"}


def test_weights_of_another_kind_are_refused(
    params: deep_wiener.Params, tmp_path: Path
) -> None:
    file = tmp_path / "weights.npz"
    weights.save(file, weights.Weights(TINY, params, {}))
    assert weights.load(file).network == TINY
    with np.load(file) as archive:
        arrays = dict(archive)
    np.savez(file, **{**arrays, "a_0_fine/kernel": np.zeros((3, 3, 1, 1), np.float16)})
    with pytest.raises(ValueError, match="a_0_fine/kernel have shape .*must be"):
        weights.load(file)
    header = json.loads(str(arrays["header"])) | {"version": 7}
    np.savez(file, **{**arrays, "header": np.array(json.dumps(header))})
    with pytest.raises(ValueError, match="version 7 of the network; it must"):
        weights.load(file)
    weights.save(file, weights.Weights(TINY, params, {}))
    damaged = bytearray(file.read_bytes())
    at = damaged.index(b"header.npy") + len("header.npy") + 20
    damaged[at : at + 8] = bytes(8)  # No stream of zlib begins so.
    for content in (b"no weights", bytes(damaged)):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="is not a file of network weights"):
            weights.load(file)


@pytest.mark.parametrize(
    "name, network",
    [
        ("weights.npz", DeepWiener()),
        ("fast_weights.npz", FAST),
    ],
)
def test_the_package_has_the_weights_of_its_networks(
    name: str, network: DeepWiener
) -> None:
    folder = Path(weights.__file__).parent
    assert sum(file.stat().st_size for file in folder.glob("*.npz")) < 6e6
    whole = weights.load(folder / name)
    assert str(whole.about) in repr(whole) and len(repr(whole)) < 80
    assert whole.network == network and whole.about["scales"] == list(SCALES)
    same = weights.load(folder / name, check=False).params
    assert jax.tree.all(jax.tree.map(jnp.array_equal, whole.params, same))


def test_every_scale_has_whole_positions() -> None:
    assert all(FACTORS[s] % s == 0 for s in SCALES)
    for scale in SCALES:
        assert degradation.LR_SIZES[scale] * scale % FACTORS[scale] == 0
        assert (degradation.LR_SIZES[scale] + 8) % 8 == 0


@pytest.mark.parametrize("view", self_ensemble.VIEWS, ids=str)
def test_a_view_asks_for_the_same_picture(view: self_ensemble.View) -> None:
    """The Wiener filter, whose result turns with the image, is not changed by it."""
    slanted = blur_kernels.gaussian(13, variances=(3.0, 0.8), angle=0.4, scale=2)
    asked = request.Request(
        noise(64, 70, 1),
        slanted.astype(np.float32),
        2,
        noise_std=0.02,
        spectrum=Spectrum(
            np.float32(4), np.float32(2.2), np.array([0.5, 0.4, 0.3, 0.2]), 0.0
        ),
        strength=0.0,
    )
    filtered = weights.Weights(TINY, {}, {})  # No network: the strength is 0.
    seen = [self_ensemble.seen(asked, view), asked]
    found, expected = large.enlarge_images(filtered, seen)
    back = self_ensemble.seen_back(found, view)
    inner = slice(24, -24)  # How an image is continued depends on its corner.
    np.testing.assert_allclose(back[inner, inner], expected[inner, inner], atol=1e-3)


def test_the_self_ensemble_is_the_mean_of_views(params: deep_wiener.Params) -> None:
    used = weights.Weights(TINY, params, {"scales": list(SCALES)})
    asked = request.Request(noise(40, 44, 1), gaussian(2), 2)
    one, two = (
        self_ensemble.enlarge_averaged(used, [asked], views=n)[0] for n in (1, 2)
    )
    np.testing.assert_array_equal(one, large.enlarge_images(used, [asked])[0])
    view = self_ensemble.VIEWS[1]
    other = large.enlarge_images(used, [self_ensemble.seen(asked, view)])[0]
    other = self_ensemble.seen_back(other, view)
    assert (other != one).any()
    np.testing.assert_allclose(two, (one + other) / 2, atol=1e-7)
