"""The estimator of Michaeli and Irani against its equations, and on known kernels."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import noise, photo

from kernelgan_jax import blur_kernels, estimate_kernel, kernels, metrics
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators import PatchRecurrenceConfig
from kernelgan_jax.estimators.patch_recurrence import (
    PATCH,
    Data,
    _compiled,
    patch_recurrence,
)
from kernelgan_jax.estimators.patch_recurrence import (
    estimate as patch_recurrence_estimate,
)
from kernelgan_jax.pixels import from_unit


def estimate(image, **options):
    key = jax.random.key(0)
    return estimate_kernel(key, image, estimator="patch_recurrence", **options).kernel


def by_hand(kernel, image, queries, scale, sigma, smoothness):
    """One iteration, a patch at a time: matrices R_j, weights, normal equations."""
    n = len(kernel)
    rows, columns = ((side - n) // scale + 1 for side in image.shape)
    patches, matrices = [], []
    for i in range(rows - PATCH + 1):
        for j in range(columns - PATCH + 1):
            matrix = np.array(
                [
                    image[
                        scale * (i + p) : scale * (i + p) + n,
                        scale * (j + q) : scale * (j + q) + n,
                    ].ravel()
                    for p in range(PATCH)
                    for q in range(PATCH)
                ]
            )
            matrices.append(matrix)
            patches.append(matrix @ kernel.ravel())
    products, wanted = np.zeros((n * n, n * n)), np.zeros(n * n)
    for query in queries:
        distances = np.array(
            [((query - (patch - patch.mean())) ** 2).sum() for patch in patches]
        )
        weights = np.exp(-(distances - distances.min()) / (2 * sigma**2))
        weights /= weights.sum()
        for weight, matrix, patch in zip(weights, matrices, patches, strict=True):
            products += weight * matrix.T @ matrix
            wanted += weight * matrix.T @ (query + patch.mean())
    penalty = np.zeros((n * n, n * n))
    padded = np.pad(np.arange(1, n * n + 1).reshape(n, n), 1)
    for axis in (0, 1):
        a = np.delete(padded, -1, axis).ravel()
        b = np.delete(padded, 0, axis).ravel()
        for first, second in zip(a, b, strict=True):
            difference = np.zeros(n * n + 1)
            difference[first] += 1
            difference[second] -= 1
            penalty += np.outer(difference, difference)[1:, 1:]
    products += sigma**2 * smoothness * len(queries) * penalty
    found = np.clip(np.linalg.solve(products, wanted), 0, None).reshape(n, n)
    return found / found.sum()


@pytest.mark.parametrize("compile", [False, True])
def test_a_step_is_the_papers(compile):
    image = photo()[100:132, 120:156, 1].astype(np.float64)
    n, scale, sigma, smoothness = 5, 2, 0.05, 3.0
    rng = np.random.default_rng(0)
    patches = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH))
    queries = patches.reshape(-1, PATCH**2)[rng.choice(200, 7)]
    queries = queries - queries.mean(1, keepdims=True)
    kernel = blur_kernels.gaussian(n, variances=(1.0, 0.5), scale=2)
    windows = np.lib.stride_tricks.sliding_window_view(image, (n, n))[::2, ::2]
    with jax.enable_x64():
        data = Data(
            jnp.asarray(queries), jnp.asarray(windows.reshape(*windows.shape[:2], -1))
        )
        step = patch_recurrence(n, sigma=sigma, smoothness=smoothness).step
        found = (jax.jit(step) if compile else step)(jnp.asarray(kernel), data)
    expected = by_hand(kernel, image, queries, scale, sigma, smoothness)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # the penalty is float32


def test_it_starts_from_an_impulse():
    kernel = np.asarray(patch_recurrence(7).init())
    assert kernel[3, 3] == kernel.sum() == 1


@pytest.mark.parametrize(("scale", "gain"), [(2, 6), (3, 2)])
def test_a_kernel_is_found(scale, gain):
    """Better than the bicubic kernel, and its longer axis as the true one's."""
    variances = (3.6 * scale**2 / 4, 1.2 * scale**2 / 4)
    size = 4 * scale + 3
    true = blur_kernels.gaussian(size, variances=variances, angle=0.6, scale=scale)
    lr = np.clip(downscale(photo().astype(np.float64), true, scale), 0, 1)
    found = estimate(from_unit(lr, np.uint8), scale=scale)
    np.testing.assert_allclose(found.sum(), 1)
    np.testing.assert_allclose(
        kernels.centre_of_mass(found), kernels.alignment(found.shape, scale), atol=0.02
    )
    bicubic = kernels.centre(blur_kernels.bicubic(scale), scale)
    mine, plain = (metrics.kernel_psnr(k, true, scale=scale) for k in (found, bicubic))
    assert mine > plain + gain  # dB; the image is small
    assert abs(kernels.widths(found)[2] - np.degrees(0.6)) < 40


def test_the_x4_kernel_follows_from_the_x2_kernel():
    image, config = photo()[:120, :100], PatchRecurrenceConfig(iterations=2)
    half = estimate(image, config=config)
    np.testing.assert_array_equal(
        estimate(image, scale=4, config=config), kernels.kernel_x4(half)
    )


def test_an_image_without_a_kernel_leaves_the_others_as_they_are():
    """Of stripes of period 2, all pixels of the downscaled image are the same."""
    good = noise(48, 48, 1) / np.float32(255)
    stripes = np.tile(np.array([[[1], [0]]], np.float32), (48, 24, 1))

    def found(*images):
        return patch_recurrence_estimate(
            [jax.random.key(0)] * len(images),
            images,
            scale=4,
            config=PatchRecurrenceConfig(iterations=2),
            evidence=[None] * len(images),
        )

    (alone,), (beside, failed) = found(good), found(good, stripes)
    np.testing.assert_array_equal(beside.kernel, alone.kernel)
    assert (beside.failure, failed.failure) == ("", "no kernel was found")
    assert failed.scale == 4 and failed.intermediate[0][0] == 2
    np.testing.assert_allclose(failed.kernel.sum(), 1)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((100, 100)), "constant"),
        (np.random.default_rng(0).random((20, 100)), "at least 31"),
    ],
)
def test_bad_images(image, message):
    with pytest.raises(ValueError, match=message):
        estimate(image)


@pytest.mark.parametrize("iterations", [0, 2.5, True])
def test_bad_settings_name_the_setting(iterations):
    message = "config.patch_recurrence.iterations is "
    with pytest.raises(ValueError, match=message):
        PatchRecurrenceConfig(iterations=iterations)


@pytest.mark.parametrize("options", [{"sigma": 0.0}, {"smoothness": -1.0}])
def test_bad_parameters(options):
    with pytest.raises(ValueError, match="must be"):
        patch_recurrence(7, **options)


def test_products_are_those_of_float32_on_all_devices():
    """By default GPUs and TPUs round their factors to fewer bits."""
    shapes = Data(jnp.zeros((9, PATCH**2)), jnp.zeros((12, 12, 9)))
    program = _compiled(3).lower(shapes, 2).as_text()
    products = re.findall(r"dot_general.*", program)
    assert products and all("[HIGHEST, HIGHEST]" in line for line in products)
