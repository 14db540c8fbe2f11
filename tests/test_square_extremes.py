"""Extremes of squares are those that SciPy finds."""

import numpy as np
import pytest
import scipy.ndimage

from kernelgan_jax import square_extremes


@pytest.mark.parametrize("shape", [(1, 5), (3, 40), (50, 33)])
@pytest.mark.parametrize("side", [1, 2, 3, 9, 16, 17])
def test_the_same_as_scipy(shape: tuple[int, int], side: int) -> None:
    values = np.random.default_rng(0).random(shape)
    for image in (values < 0.3, values.astype(np.float32), np.uint8(255 * values)):
        for name in ("minimum", "maximum"):
            found = getattr(square_extremes, name)(image, side)
            expected = getattr(scipy.ndimage, f"{name}_filter")(image, side)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == image.dtype
