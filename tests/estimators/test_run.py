"""One call for all estimators: keys, refusals, and what the spectrum adds."""

import jax
import numpy as np
import pytest
from helpers import noise, texture

from kernelgan_jax import (
    Config,
    analyse,
    estimate_kernel,
    estimate_kernels,
    estimate_spectral,
    judge,
    kernels,
)
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.estimators import KernelGANConfig, run
from kernelgan_jax.estimators.registry import find_estimator
from kernelgan_jax.estimators.run import rate
from kernelgan_jax.estimators.spectral import SpectralConfig, batches


def test_the_default_is_the_spectral_estimator():
    image = texture(60, 80)
    found = estimate_kernel(jax.random.key(0), image, scale=4)
    own = estimate_spectral(image, scale=4)
    np.testing.assert_array_equal(found.kernel, own.kernel)
    np.testing.assert_array_equal(found.intermediate[0][1], own.intermediate[0][1])
    assert found.confidence.level == own.confidence.level
    assert found.trusted == own.trusted


def test_an_image_that_was_analysed_is_not_analysed_again(monkeypatch):
    evidence = analyse(texture(60, 80), scale=4)
    monkeypatch.setattr(
        batches, "analyse", lambda *_, **__: pytest.fail("analysed again")
    )
    entry = find_estimator("spectral")
    options = {"scale": 4, "entry": entry, "config": SpectralConfig()}
    usable = run.check_image(texture(60, 80), **options)
    (found,) = run.estimate_checked(
        [jax.random.key(0)], [usable], evidence=[evidence], **options
    )
    np.testing.assert_array_equal(found.kernel, evidence.kernel)
    assert found.evidence is evidence and found.confidence is not None


def test_the_scale_of_an_estimate_is_an_integer_of_python():
    key, image = jax.random.key(0), noise(40, 40, 3)
    found = estimate_kernel(key, image, scale=np.uint8(2), estimator="bicubic")
    evidence = analyse(image, scale=np.int64(2))
    assert type(found.scale) is int and type(evidence.scale) is int


def test_refusals_name_the_image():
    key, image = jax.random.key(0), noise(90, 120, 3)
    with pytest.raises(ValueError, match=r"images\[1\]: image is 83x90"):
        estimate_kernels(key, [image, noise(90, 83, 3)], estimator="kernelgan")
    with pytest.raises(ValueError, match=r"images\[1\]: image is constant"):
        estimate_kernels(key, [image, np.full((40, 40), 7, np.uint8)])
    with pytest.raises(ValueError, match="images is empty"):
        estimate_kernels(key, [])
    with pytest.raises(ValueError, match="images is .*; it must be a sequence"):
        estimate_kernels(key, np.array(1.0))


def test_keys_are_one_or_one_each():
    key, image = jax.random.key(0), noise(40, 40, 3)
    options = {"estimator": "bicubic"}
    with pytest.raises(ValueError, match="2 keys for 3 images"):
        estimate_kernels(jax.random.split(key, 2), [image] * 3, **options)
    with pytest.raises(ValueError, match="key has shape .*; it must be one"):
        estimate_kernel(jax.random.split(key, 2), image, **options)
    with pytest.raises(ValueError, match="key is 0; it must be a JAX random key"):
        estimate_kernel(0, image, **options)
    with pytest.raises(ValueError, match="JAX random key, or an array of them"):
        estimate_kernels([key] * 3, [image] * 3, **options)
    for good in (key, jax.random.PRNGKey(0), jax.random.split(key, 3)):
        assert len(estimate_kernels(good, [image] * 3, **options)) == 3


def test_what_is_long_is_named_by_its_kind():
    """An image as key, or all settings for an estimator's, filled the screen."""
    key, image = jax.random.key(0), noise(40, 40, 3)
    with pytest.raises(
        ValueError, match=r"^key is an array of shape \(40, 40, 3\); it"
    ):
        estimate_kernel(image, image)
    with pytest.raises(ValueError, match="^config is a Config; it must be a SpectralC"):
        estimate_kernel(key, image, config=Config())
    with pytest.raises(ValueError, match=r"^scale is an array of shape \(40, 40, 3\)"):
        estimate_kernel(key, image, scale=image)


def test_keys_inside_of_a_transformation_are_refused_by_name():
    """JAX named a function "lowered and compiled for a particular signature"."""
    image = noise(40, 40, 3)

    def kernel(key):
        return estimate_kernel(key, image, estimator="bicubic").kernel

    def kernels_of(keys):
        return estimate_kernels(keys, [image] * 2, estimator="bicubic")[0].kernel

    for function in (jax.vmap(kernel), jax.jit(kernels_of)):
        with pytest.raises(ValueError, match="^key is traced, as inside of jax.jit"):
            function(jax.random.split(jax.random.key(0), 2))


def test_unknown_estimators_and_foreign_settings_are_refused():
    key, image = jax.random.key(0), noise(40, 40, 3)
    with pytest.raises(ValueError, match="estimator is 'x'; it must be spectral or"):
        estimate_kernel(key, image, estimator="x")
    with pytest.raises(ValueError, match="must be a SpectralConfig"):
        estimate_kernel(key, image, config=KernelGANConfig())
    with pytest.raises(ValueError, match="must be a KernelGANConfig"):
        estimate_kernel(key, image, estimator="kernelgan", config=object())


def test_the_spectrum_rates_the_kernels_of_others():
    """By their distance from its own."""
    evidence = analyse(texture(120, 150), scale=2)
    own = judge(evidence.kernel, evidence)
    for factor, level in ((1.0, own.level), (1.6, "low")):
        kernel = kernels.scale_width(evidence.kernel, factor)
        found = rate(KernelEstimate(kernel, 2), evidence)
        assert found.confidence.level == level
        assert found.noise_std == evidence.noise_std
        failed = rate(KernelEstimate(kernel, 2, failure="it diverged"), evidence)
        assert failed.confidence.level == "low"
        assert failed.confidence.reason == "it diverged"
    known = rate(KernelEstimate(kernel, 2), evidence, estimated=False)
    assert known.confidence is None and known.evidence is evidence
    assert rate(KernelEstimate(kernel, 2), None) == KernelEstimate(kernel, 2)


def test_registry_knows_scales_and_settings():
    assert find_estimator("spectral").default_config() == SpectralConfig()
    assert find_estimator("kernelgan").default_config() == KernelGANConfig()
    assert type(find_estimator("spectral").check_scale(np.int64(8))) is int
    with pytest.raises(ValueError, match="scale is 3; it must be 2 or 4 for the"):
        find_estimator("kernelgan").check_scale(3)
    assert find_estimator("bicubic").device_bytes(None) is None
