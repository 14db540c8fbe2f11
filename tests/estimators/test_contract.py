"""One contract for all estimators of the registry."""

import jax
import numpy as np
import pytest
from helpers import TINY_KERNELGAN, gaussian, texture

from kernelgan_jax import estimate_kernel, estimate_kernels, kernels
from kernelgan_jax.estimators import ESTIMATORS
from kernelgan_jax.estimators.fixed import Fixed
from kernelgan_jax.kernels import frame_size

SETTINGS = {
    "kernelgan": {**TINY_KERNELGAN, "generator_kernels": (7, 5, 3)},
    "patch_recurrence": {"iterations": 3},
}
"""Small settings, where the default ones are slow; `given` needs a kernel."""


def config(name, scale=2):
    entry = ESTIMATORS[name]
    if name == "given":
        return entry.config(kernel=gaussian(scale, size=frame_size(scale)))
    return None if entry.config is None else entry.config(**SETTINGS.get(name, {}))


@pytest.fixture(scope="module")
def images():
    return [texture(116, 124), texture(100, 88, seed=1)]


@pytest.fixture(scope="module", params=ESTIMATORS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def found(name, images):
    return estimate_kernels(
        jax.random.key(0), images, estimator=name, config=config(name)
    )


def test_kernels_are_finite_aligned_and_of_sum_1(found):
    for estimate in found:
        assert estimate.scale == 2
        assert estimate.kernel.ndim == 2 and np.isfinite(estimate.kernel).all()
        np.testing.assert_allclose(estimate.kernel.sum(), 1, atol=1e-6)
        place = kernels.centre_of_mass(estimate.kernel)
        aligned = kernels.alignment(estimate.kernel.shape, 2)
        np.testing.assert_allclose(place, aligned, atol=0.1)  # pixels


def test_what_the_spectrum_says_is_there(name, found):
    for estimate in found:
        assert estimate.evidence.scale == 2
        assert estimate.noise_std == estimate.evidence.noise_std
        rated = estimate.confidence is not None
        assert rated == ESTIMATORS[name].estimates
        if estimate.failure:
            assert estimate.confidence.level == "low"
            assert estimate.confidence.reason == estimate.failure


def test_the_same_bits_alone_and_again(name, images, found):
    for image, estimate in zip(images, found, strict=True):
        reports = []
        alone = estimate_kernel(
            jax.random.key(0),
            image,
            estimator=name,
            config=config(name),
            progress=reports.append,
        )
        steps = [(name, report.total) for report in reports]
        assert [(r.phase, r.step) for r in reports[-1:]] == steps[-1:]
        assert bool(reports) != isinstance(ESTIMATORS[name].implementation, Fixed)
        np.testing.assert_array_equal(alone.kernel, estimate.kernel)
        assert alone.failure == estimate.failure
        assert alone.trusted == estimate.trusted


def test_only_seeded_estimators_depend_on_the_key(name, images, found):
    other = estimate_kernel(
        jax.random.key(1), images[0], estimator=name, config=config(name)
    )
    same = np.array_equal(other.kernel, found[0].kernel)
    assert same != ESTIMATORS[name].seeded


@pytest.mark.parametrize("scale", [1, 3, 4, 8])
def test_a_scale_is_estimated_or_refused(name, images, scale):
    """The kernel is always of the scale that was asked for."""
    entry = ESTIMATORS[name]
    options = {"estimator": name, "config": config(name, scale), "scale": scale}
    if scale not in entry.scales:
        message = rf"scale is {scale}; it must be .* for the estimator {name}"
        with pytest.raises(ValueError, match=message):
            estimate_kernel(jax.random.key(0), images[0], **options)
        return
    estimate = estimate_kernel(jax.random.key(0), images[0], **options)
    assert estimate.scale == scale
    place = kernels.centre_of_mass(estimate.kernel)
    aligned = kernels.alignment(estimate.kernel.shape, scale)
    # A few steps of training end far from a kernel, and its composition is cut.
    np.testing.assert_allclose(place, aligned, atol=0.2 if estimate.failure else 0.1)
    for smaller, kernel in estimate.intermediate:
        assert smaller < scale and kernel.ndim == 2


@pytest.mark.parametrize("scale", [0, -1, 9, 1.5, 2.0, True, "2", None])
def test_what_is_no_scale_is_refused(name, images, scale):
    with pytest.raises(ValueError, match="scale is "):
        estimate_kernel(
            jax.random.key(0),
            images[0],
            scale=scale,
            estimator=name,
            config=config(name),
        )


@pytest.mark.parametrize(
    "bad",
    [
        np.full((100, 100, 3), np.nan),
        np.full((100, 100, 3), 1.5),
        np.zeros((100, 100, 4)),
        np.zeros(100),
        np.zeros((0, 100)),
        np.zeros((100, 100), np.int64),
    ],
    ids=["nan", "range", "alpha", "rank", "empty", "dtype"],
)
def test_unusable_images_are_refused(name, bad):
    with pytest.raises(ValueError, match="image"):
        estimate_kernel(jax.random.key(0), bad, estimator=name, config=config(name))


def test_estimators_that_look_refuse_what_shows_nothing(name):
    """Those of a fixed kernel do not look at the image: it only has to hold it."""
    looks = name in ("spectral", "kernelgan", "patch_recurrence")
    flat, small = np.full((100, 100, 3), 77, np.uint8), texture(20, 30)
    options = {"estimator": name, "config": config(name)}
    if looks:
        for image, message in ((flat, "constant"), (small, "30x20 pixels")):
            with pytest.raises(ValueError, match=message):
                estimate_kernel(jax.random.key(0), image, **options)
    else:
        found = estimate_kernel(jax.random.key(0), flat, **options)
        assert found.evidence is None and found.confidence is None


def test_settings_of_another_estimator_are_refused(name, images):
    with pytest.raises(ValueError, match="config is .*; it must be"):
        estimate_kernel(
            jax.random.key(0), images[0], estimator=name, config={"iterations": 3}
        )
