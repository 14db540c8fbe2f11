"""What results look like when they are printed."""

import numpy as np

from kernelgan_jax.estimate import (
    Confidence,
    Evidence,
    KernelEstimate,
    KernelMap,
    Spectrum,
)

KERNEL = np.full((5, 7), 1 / 35)


def test_results_are_printed_in_a_line():
    confidence = Confidence("high", "", 60.0, 0.1, 0.2, 0.1, 0.1, 5.0, KERNEL[None])
    evidence = Evidence(
        2, KERNEL, KERNEL, (), KERNEL[None], Spectrum(1.0, 2.0, np.zeros(4), 0.0),
        0.1, 40.0, 0.004, False, True, family="Gaussian",
    )  # fmt: skip
    made = KernelMap(np.zeros((3, 4, 5, 5)), 2, np.zeros((3, 4)), (("low",) * 4,) * 3)
    estimate = KernelEstimate(
        KERNEL, 2, confidence=confidence, failure="why", evidence=evidence,
        kernel_map=made,
    )  # fmt: skip
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
