"""What is done with an estimate, a known kernel and the image's noise."""

import functools

import helpers
import numpy as np
import pytest

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import Evidence, KernelEstimate
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import Plan, Stage, ZSSRConfig, planning
from kernelgan_jax.super_resolution.planning import WIDTHS

plan = functools.partial(planning.plan, method="zssr_fast")

K2, K4 = helpers.gaussian(2), helpers.gaussian(4, size=13)
GRADUAL = KernelEstimate(K4, 4, ((2, K2),))
NOISY = KernelEstimate(K2, 2, noise_std=5 / 255, trusted=True)


def evidence(noise_std, span=1.0):
    """Evidence at x2 of which only the noise and the range are known."""
    known = {"scale": 2, "noise_std": noise_std, "span": span}
    return Evidence(**(dict.fromkeys(Evidence._fields) | known))


def test_a_known_kernel_is_used_as_it_is():
    planned = plan(K4, scale=4)
    (stage,) = planned.stages
    assert stage.scale == planned.scale == 4 and stage.widths == (1.0,)
    assert planned.kernel is stage.kernel
    np.testing.assert_array_equal(planned.kernel, K4)
    assert planned.source == "given" and planned.notes == ()
    assert planned.config == ZSSRConfig() and planned.noise_std == 0


def test_an_unusually_wide_kernel_is_used_only_if_it_is_trusted():
    line = blur_kernels.motion(31, length=20.0, scale=2)
    planned = plan(KernelEstimate(line, 2))
    assert planned.source == "bicubic" and planned.stages[0].widths == (1.0,)
    assert planned.notes == (
        "with the bicubic kernel, as the estimate is unusually wide",
    )
    assert plan(KernelEstimate(line, 2, trusted=True)).source == "estimated"
    assert plan(line, scale=2).source == "given"


def test_kernels_in_lists_are_arrays_in_the_plan():
    assert plan(K2.tolist(), scale=2).kernel.tolist() == K2.tolist()


@pytest.mark.parametrize("scale", [1, 3, 4])
def test_a_trusted_estimate_is_used_as_it_is(scale):
    kernel = helpers.gaussian(scale)
    smaller = ((2, K2),) if scale == 4 else ()
    planned = plan(KernelEstimate(kernel, scale, smaller, trusted=True))
    (stage,) = planned.stages
    assert stage.scale == scale and stage.widths == (1.0,)
    np.testing.assert_array_equal(stage.kernel, kernel)
    assert planned.source == "estimated" and planned.notes == ()


def test_an_estimate_that_is_not_trusted_is_used_gradually_at_three_widths():
    planned = plan(GRADUAL)
    assert [stage.scale for stage in planned.stages] == [2, 4]
    assert [stage.widths for stage in planned.stages] == [WIDTHS, WIDTHS]
    np.testing.assert_array_equal(planned.stages[0].kernel, K2)
    np.testing.assert_array_equal(planned.kernel, K4)
    (stage,) = plan(KernelEstimate(K2, 2)).stages
    assert stage.widths == WIDTHS


def test_an_estimate_that_failed_is_not_used():
    """Not even if it is trusted: the bicubic kernel takes its place, and a note."""
    planned = plan(GRADUAL._replace(failure="it diverged", trusted=True))
    (stage,) = planned.stages
    assert stage.scale == 4 and stage.widths == (1.0,)
    np.testing.assert_array_equal(stage.kernel, blur_kernels.bicubic(4))
    assert planned.source == "bicubic"
    (note,) = planned.notes
    assert note == "with the bicubic kernel, as the estimate failed (it diverged)"


def test_the_bicubic_kernel_is_that_of_imresize():
    image = helpers.smooth(48, 40).astype(np.float64)
    for scale in (2, 4):
        kernel = blur_kernels.bicubic(scale)
        assert kernel.shape == (4 * scale,) * 2
        kernel = kernels.centre(kernel, scale)
        small = downscale(image, kernel, scale)
        expected = bicubic_resize(image, 1 / scale)
        np.testing.assert_allclose(small[4:-4, 4:-4], expected[4:-4, 4:-4], atol=1e-6)


def test_the_kernels_of_a_stage_are_aligned_and_as_wide_as_it_says():
    stage = Stage(2, helpers.gaussian(1, size=15), WIDTHS)  # centred for scale 1
    narrow, middle, wide = stage.aligned_kernels()
    for kernel in (narrow, middle, wide):
        np.testing.assert_allclose(kernel.sum(), 1, atol=1e-3)
        place = kernels.centre_of_mass(kernel)
        expected = kernels.alignment(kernel.shape, 2)
        np.testing.assert_allclose(place, expected, atol=0.01)
    for kernel, width in ((narrow, 0.65), (wide, 1.35)):
        ratio = helpers.variances(kernel) / helpers.variances(middle)
        np.testing.assert_allclose(ratio**0.5, width, rtol=0.1)


def test_an_aligned_kernel_is_cut_to_the_enlarged_image_where_it_is_empty():
    kernel = np.zeros((61, 60))
    kernel[9:12, 29:32] = 1 / 9  # 20 pixels above its middle
    stage = Stage(1, kernel)
    whole = stage.aligned_kernel()
    assert whole.shape == (103, 102)
    found = stage.aligned_kernel(image_shape=(62, 70, 3))
    np.testing.assert_allclose(found, whole[21:-21, 21:-21], atol=1e-9)
    np.testing.assert_allclose(kernels.centre_of_mass(found), (30, 30), atol=1e-6)
    full = Stage(1, np.ones((61, 61)))
    assert full.aligned_kernel(image_shape=(60, 62)).shape == (63, 63)
    twice = Stage(2, kernel).aligned_kernel(image_shape=(62, 70))
    np.testing.assert_array_equal(twice, Stage(2, kernel).aligned_kernel())


@pytest.mark.parametrize("scale", [2, 3, 4, 6])
@pytest.mark.parametrize("kernel", [[[1.0]], [[0.25, 0.5, 0.25]], [[1, 1], [1, 1]]])
def test_kernels_with_sharp_edges_keep_their_sum(kernel, scale):
    stage = Stage(scale, np.array(kernel, float), (0.65, 1.0, 1.35))
    np.testing.assert_allclose([each.sum() for each in stage.aligned_kernels()], 1)


@pytest.mark.parametrize(
    ("estimate", "options", "message"),
    [
        (None, {"scale": 2}, "estimate is None; it must be an estimate or a kernel"),
        (K2, {}, "scale is None; it must be given"),
        (K2, {"scale": 0}, "scale is 0; it must be a positive integer"),
        (GRADUAL, {"scale": 2}, "scale is 2; it must be 4, the scale of the estimate"),
        (K2, {"scale": 2, "method": "x"}, "method is 'x'; it must be bicubic or"),
        (K2, {"scale": 2, "config": 1}, "config is 1; it must be a ZSSRConfig"),
        (None, {"scale": 2, "method": "bicubic", "config": ZSSRConfig()},
         "must be None, as the method bicubic has no settings"),
        (K4, {"scale": 4, "evidence": evidence(0.0)},
         "evidence.scale is 2; it must be 4"),
        (GRADUAL._replace(evidence=evidence(0.0)), {},
         "evidence.scale is 2; it must be 4"),
        (KernelEstimate(None, 2), {}, "^estimate.kernel has shape"),
        (KernelEstimate(K2, "2"), {}, "^estimate.scale is '2'; it must be a positive"),
    ],
)  # fmt: skip
def test_arguments_that_are_refused(estimate, options, message):
    with pytest.raises(ValueError, match=message):
        plan(estimate, **options)


@pytest.mark.parametrize("estimate", [None, K2, GRADUAL._replace(failure="none found")])
def test_a_method_without_a_kernel_plans_without_one(estimate):
    scale = 4 if isinstance(estimate, KernelEstimate) else 2
    planned = plan(estimate, scale=scale, method="bicubic", image_shape=(9, 9))
    assert planned == Plan("bicubic", scale) and planned.kernel is None


def test_the_scale_may_be_given_with_an_estimate():
    assert plan(NOISY, scale=2) == plan(NOISY)


def test_the_settings_are_adapted_to_the_noise_of_the_estimate():
    planned = plan(NOISY)
    assert planned.noise_std == planned.config.noise_std == 5 / 255
    assert planned.config.back_projections == 0
    assert planned.notes == ("as an image with noise of 5.0 gray levels",)


def test_the_noise_of_the_evidence_goes_first():
    for estimate in (NOISY, K2):
        planned = plan(estimate, scale=2, evidence=evidence(8 / 255))
        assert planned.noise_std == planned.config.noise_std == 8 / 255
    assert plan(NOISY, evidence=evidence(0.0)).config == ZSSRConfig()
    # Of an image of low contrast it is much.
    planned = plan(K2, scale=2, evidence=evidence(0.5 / 255, span=0.25))
    assert planned.noise_std == 0.5 / 255 and planned.config.noise_std == 2 / 255


def test_notes_are_all_there_and_in_order():
    failed = NOISY._replace(failure="it diverged")
    notes = plan(failed, image_shape=(64, 500, 3)).notes
    assert [note.split()[0] for note in notes] == ["from", "as", "with"]
    assert plan(K2, scale=2, image_shape=(128, 128)).notes == ()
