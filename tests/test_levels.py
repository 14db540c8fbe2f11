"""The own range of an image: the same for `a * image + b`, and the way back."""

import helpers
import numpy as np
import pytest

from kernelgan_jax.levels import (
    count_steps,
    from_own_range,
    to_own_range,
)
from kernelgan_jax.super_resolution.zssr.config import HEADROOM, OWN_SPAN

IMAGE = helpers.noise(9, 7, 3).astype(np.int64)
IMAGE[..., 0] = IMAGE[..., 0] // 2  # Mostly dark.

SAME = {
    "dark": (np.uint8, 1, 0),
    "16 bits": (np.uint16, 257, 0),
    "12 bits in 16": (np.uint16, 16, 0),
    "bright": (np.uint16, 3, 64000),
    "float": (np.float64, 1 / 255, 0),
    "float of low contrast": (np.float64, 1e-4 / 255, 0.7),
    "float, half": (np.float64, 0.5 / 255, 0.4),
    "float32": (np.float32, 1 / 255, 0),
}
"""What `a * image + b` is stored as, a and b."""


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("headroom", [0.0, HEADROOM])
def test_the_own_range_is_the_same_for_all_levels(name, headroom):
    dtype, a, b = SAME[name]
    expected, _ = to_own_range(IMAGE.astype(np.uint8), headroom=headroom)
    stored = (a * IMAGE + b).astype(dtype)
    own, levels = to_own_range(stored, headroom=headroom)
    assert own.dtype == np.float32
    assert own.min() == np.float32(headroom) and own.max() == np.float32(1 - headroom)
    if dtype in (np.uint8, np.uint16):
        np.testing.assert_array_equal(own, expected)  # To the bit.
    np.testing.assert_allclose(own, expected, rtol=0, atol=1e-6)
    top = np.iinfo(dtype).max if stored.dtype.kind == "u" else 1
    assert (levels.bright - levels.dark) * top == pytest.approx(a * np.ptp(IMAGE))
    back = from_own_range(own, levels, headroom=headroom)
    np.testing.assert_allclose(back, stored / top, rtol=0, atol=5e-7)


def test_edges_go_beyond_the_own_range_but_not_beyond_that_of_the_type():
    _, levels = to_own_range(np.array([100, 100, 150], np.uint8).reshape(3, 1, 1))
    ends = from_own_range(np.float32([0, 1]), levels, headroom=HEADROOM)
    room = 50 * HEADROOM / OWN_SPAN
    np.testing.assert_allclose(255 * ends, [100 - room, 150 + room], rtol=1e-5)
    far = from_own_range(np.float32([-9, 9]), levels, headroom=HEADROOM)
    np.testing.assert_array_equal(far, [0, 1])


@pytest.mark.parametrize("value", [0, 7, 255, 0.0, 1e-9, 0.3, 1.0])
def test_an_image_without_structure_stays_so(value):
    dtype = np.float32 if isinstance(value, float) else np.uint8
    image = np.full((3, 4, 1), value, dtype)
    own, levels = to_own_range(image, headroom=HEADROOM)
    assert np.ptp(own) == 0 and levels.span == pytest.approx(1)
    back = from_own_range(own, levels, headroom=HEADROOM)
    np.testing.assert_allclose(back, image / (1 if dtype == np.float32 else 255.0))


def test_steps_between_levels():
    assert count_steps(IMAGE) == len(np.unique(IMAGE[..., 1])) - 1
    assert count_steps(np.tile(np.arange(5.0), 300_000).reshape(1000, -1, 1)) == 4
