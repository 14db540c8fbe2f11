"""The choice between the families."""

import numpy as np
import pytest

from kernelgan_jax.estimators.spectral.families import GAUSSIAN, GENERALISED, MOTION
from kernelgan_jax.estimators.spectral.fit import Fit
from kernelgan_jax.estimators.spectral.search import choose_family


@pytest.mark.parametrize(
    ("losses", "power", "family"),
    [
        ((0.1, 0.1, 0.1), 3.0, GAUSSIAN),
        ((0.1, 0.098, 0.1), 3.0, GAUSSIAN),  # better by less than 0.0025
        ((0.1, 0.097, 0.1), 3.0, GENERALISED),
        ((0.1, 0.097, 0.1), 1.2, GAUSSIAN),  # long tails or nearly a Gaussian
        ((0.1, 0.1, 0.096), 3.0, GAUSSIAN),  # better by less than 0.005
        ((0.1, 0.1, 0.094), 3.0, MOTION),
        ((0.1, 0.093, 0.094), 3.0, GENERALISED),
        ((0.1, np.nan, np.nan), 3.0, GAUSSIAN),
        ((np.nan, 0.1, np.nan), 3.0, GENERALISED),
    ],
)
def test_the_gaussian_unless_another_family_is_much_better(losses, power, family):
    losses = np.array(losses, np.float32)
    vectors = np.zeros((3, 11), np.float32)
    vectors[GENERALISED, 3] = np.log(power)
    fits = Fit(vectors, losses, None, None, None, None)
    assert choose_family(fits) == family
    np.testing.assert_array_equal(losses, fits.loss)  # The argument is not changed.
