"""How kernels are compared with the true one."""

from types import SimpleNamespace

import numpy as np
import pytest

from kernelgan_jax import blur_kernels, equivalent_gaussian, kernels
from kernelgan_jax.benchmark.measure import kernel_measures


def test_kernels_with_lobes_are_compared_by_the_gaussians_that_stand_for_them():
    """The moments of the bicubic kernel are next to nothing: errors were of 10^16."""
    bicubic = kernels.centre(blur_kernels.bicubic(2), 2)
    covariance = equivalent_gaussian.covariance(bicubic, scale=2)
    case = SimpleNamespace(kernel=lambda: bicubic, scale=2)
    same = equivalent_gaussian.gaussian(25, covariance=covariance, scale=2)
    assert kernel_measures(same, case)["covariance_error"] < 0.02
    wide = equivalent_gaussian.gaussian(25, covariance=1.5 * covariance, scale=2)
    found = kernel_measures(wide, case)
    assert found["covariance_error"] == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(found["true_widths"][:2], 0.76, atol=0.01)
