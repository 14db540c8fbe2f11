"""What results look like when they are printed, and as pytrees."""

import base64
import io
import pickle
import re

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image as pillow

from kernelgan_jax import blur_kernels, kernel_picture
from kernelgan_jax.estimate import (
    Confidence,
    Diagnostics,
    Evidence,
    KernelEstimate,
    KernelMap,
    Spectrum,
)

KERNEL = np.full((5, 7), 1 / 35)


def full(failure="why"):
    """An estimate with all parts, and its evidence."""
    confidence = Confidence("high", "", 60.0, 0.1, 0.2, 0.1, 0.1, 5.0, KERNEL[None])
    evidence = Evidence(
        2, KERNEL, KERNEL, (), KERNEL[None], Spectrum(1.0, 2.0, np.zeros(4), 0.0),
        0.1, 40.0, 0.004, False, True, family="Gaussian",
    )  # fmt: skip
    made = KernelMap(np.zeros((3, 4, 5, 5)), 2, np.zeros((3, 4)), (("low",) * 4,) * 3)
    estimate = KernelEstimate(
        KERNEL, 2, ((1, KERNEL),), confidence=confidence, failure=failure,
        evidence=evidence, kernel_map=made,
        diagnostics=Diagnostics(KERNEL, {"a": KERNEL}),
    )  # fmt: skip
    return estimate


def test_results_are_printed_in_a_line():
    estimate = full()
    confidence, evidence = estimate.confidence, estimate.evidence
    assert repr(estimate) == (
        "KernelEstimate(kernel=<5 x 7>, scale=2, confidence='high', trusted=False, "
        "failure='why', kernel_map=<3 x 4>)"
    )
    assert repr(evidence) == (
        "Evidence(scale=2, kernel=<5 x 7>, family='Gaussian', noise_std=0.004, "
        "jpeg_strength=0, converged=True)"
    )
    assert repr(confidence).startswith("Confidence(level='high', reason='', ")
    assert repr(confidence).endswith("angle_std=5.0, samples=<1 kernels>)")
    assert repr(KernelEstimate(KERNEL, 1)) == (
        "KernelEstimate(kernel=<5 x 7>, scale=1, confidence=None, trusted=False)"
    )


def test_results_are_printed_in_batches_and_inside_of_jit():
    estimate = full()
    batch = jax.tree.map(lambda *x: np.stack(x), estimate, estimate)
    assert "noise_std=array([0.004, 0.004]), " in repr(batch.evidence)
    assert repr(batch).startswith("KernelEstimate(kernel=<2 x 5>")
    assert batch._repr_html_() is None
    shapes = jax.eval_shape(lambda x: x, estimate.evidence)
    assert "noise_std=ShapeDtypeStruct(shape=(), " in repr(shapes)
    names = jax.tree.map(lambda _: "x", estimate.evidence)
    assert "noise_std='x', " in repr(names)
    traced = []
    jax.jit(lambda x: traced.append(repr(x)))(estimate.evidence)
    assert re.search(r"noise_std=\S*Trace", traced[0])


@pytest.mark.parametrize("kind", [float, np.float32, np.asarray, jnp.asarray])
def test_numbers_of_any_type_are_printed_with_two_digits(kind):
    evidence = full().evidence._replace(noise_std=kind(0.00412))
    assert "noise_std=0.0041, " in repr(evidence)


def test_the_structure_of_a_result_can_be_pickled():
    leaves, structure = jax.tree.flatten(full())
    again = pickle.loads(pickle.dumps(structure))
    assert again == structure
    np.testing.assert_array_equal(jax.tree.unflatten(again, leaves).kernel, KERNEL)


def test_results_go_through_jit_and_the_functions_on_trees():
    """Arrays and floats are traced; texts, whole numbers and truth values are kept."""
    estimate, traces = full(), []

    @jax.jit
    def doubled(result):
        traces.append(result.failure)
        assert (result.scale, result.trusted) == (2, False)
        return jax.tree.map(lambda x: 2 * x, result)

    found = doubled(estimate)
    assert type(found) is KernelEstimate and type(found.confidence) is Confidence
    np.testing.assert_allclose(found.kernel, 2 * KERNEL, rtol=1e-6)
    np.testing.assert_allclose(found.intermediate[0][1], 2 * KERNEL, rtol=1e-6)
    assert found.intermediate[0][0] == 1 and found.failure == "why"
    assert found.confidence.kernel_psnr == 120 and found.confidence.level == "high"
    assert found.evidence.family == "Gaussian" and found.evidence.converged is True
    assert found.kernel_map.levels == estimate.kernel_map.levels
    doubled(estimate)
    doubled(full("another"))
    assert traces == ["why", "another"]
    leaves, structure = jax.tree.flatten(estimate)
    again = jax.tree.unflatten(structure, leaves)
    assert repr(again) == repr(estimate)
    assert not any(isinstance(leaf, str | int) for leaf in leaves)
    types = [type(x) for x in (again, again.confidence, again.evidence)]
    assert types == [KernelEstimate, Confidence, Evidence]


def test_results_are_pytrees_in_whatever_order_is_imported():
    code = """from kernelgan_jax import KernelEstimate
import jax, numpy as np
estimate = KernelEstimate(np.eye(3), 2, failure="why")
assert jax.jit(lambda e: e.scale * e.kernel.sum())(estimate) == 6"""
    assert helpers.imported(code, "kernelgan_jax.estimators.spectral") == set()


def test_a_notebook_shows_the_kernel():
    kernel = blur_kernels.gaussian(15, variances=(6.0, 1.0), angle=0.0, scale=2)
    confidence = full().confidence._replace(level="low", reason="<why>")
    text = KernelEstimate(kernel, 2, confidence=confidence)._repr_html_()
    assert "×2 kernel, 15 × 15 px" in text and "confidence low (&lt;why&gt;)" in text
    assert " px wide at " in text
    circle = blur_kernels.gaussian(15, variances=(2.0, 2.0), scale=2)
    assert " px wide at " not in KernelEstimate(circle, 2)._repr_html_()
    data = base64.b64decode(re.search('base64,([^"]*)', text)[1])
    with pillow.open(io.BytesIO(data)) as picture:
        expected = np.round(255 * kernel / kernel.max())
        np.testing.assert_array_equal(np.asarray(picture), expected)
    points = re.search('points="([^"]*)"', text)[1].split()
    places = np.array([point.split(",") for point in points], float)
    sides = np.sort(np.ptp(places, axis=0))  # of the ellipse: twice the deviations
    np.testing.assert_allclose(sides, 2 * np.sqrt([1.0, 6.0]), rtol=0.1)
    empty = KernelEstimate(np.zeros((3, 5)), 1, failure="nothing")
    assert "not usable: nothing" in empty._repr_html_()
    assert kernel_picture.gray_png(np.zeros((3, 5)))[:4] == b"\x89PNG"
    nothing = kernel_picture.gray_png(np.full((3, 5), np.nan))  # without a warning
    assert nothing == kernel_picture.gray_png(np.zeros((3, 5)))
