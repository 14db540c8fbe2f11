"""Gaps that are filled as smoothly as the picture around them goes on."""

import numpy as np
import pytest

from kernelgan_jax.usable_pixels.smooth_fill import fill_smoothly

ROWS, COLUMNS = np.mgrid[:40.0, :50.0]
SURFACE = np.dstack([3 + ROWS / 9 - COLUMNS / 7, np.hypot(ROWS - 90, COLUMNS + 80)])


@pytest.mark.parametrize(
    "unknown",
    [
        COLUMNS == 20,
        (ROWS % 12 == 5) | (COLUMNS % 12 == 5),
        abs(ROWS - COLUMNS) < 3,
        np.hypot(ROWS - 20, COLUMNS - 25) < 8,
    ],
    ids=["line", "grid", "slanted", "disk"],
)
def test_levels_and_slopes_go_on(unknown):
    start = np.where(unknown[..., None], 60, SURFACE)  # of levels from -4 to 158
    filled = fill_smoothly(start, unknown, np.argwhere(unknown).T)
    np.testing.assert_allclose(filled, SURFACE[unknown], atol=0.4)
    np.testing.assert_array_equal(start[unknown], 60)
    higher = fill_smoothly(start + 5000, unknown, np.argwhere(unknown).T)
    np.testing.assert_allclose(higher, filled + 5000, rtol=0, atol=1e-3)


def test_levels_stay_in_the_range_of_what_is_known():
    edge = np.where(COLUMNS > 25, 1.0, 0.0)[..., None]
    unknown = abs(COLUMNS - 27) < 4
    filled = fill_smoothly(np.where(unknown[..., None], 9, edge), unknown,
                           np.argwhere(unknown).T)  # fmt: skip
    assert filled.min() >= 0 and filled.max() <= 1


def test_pixels_that_are_not_chosen_stay_and_count():
    unknown = (ROWS < 20) & (COLUMNS < 25)
    image = np.where(unknown[..., None], 2.0, 1.0)
    chosen = np.argwhere(unknown & (ROWS > 10) & (COLUMNS > 10)).T
    filled = fill_smoothly(image, unknown, chosen)
    assert filled.shape == (chosen.shape[1], 1)
    assert (filled == 1).all()  # no more than where it is known
    everything = np.ones_like(unknown)
    filled = fill_smoothly(image, everything, chosen)
    np.testing.assert_array_equal(filled, 2.0)
