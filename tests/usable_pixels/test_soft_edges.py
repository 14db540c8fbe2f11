"""Which pixels beside drawn areas are mixed with them."""

import helpers
import numpy as np
import pytest

from kernelgan_jax.usable_pixels.soft_edges import find_mixed

PICTURE = np.rint(40 + 150 * helpers.smooth(80, 90, 3)).astype(np.uint8)
ROWS, COLUMNS = np.mgrid[:80, :90]


def drawn_with(share):
    """White, as far as it covers each pixel, on the picture."""
    whole = PICTURE + share[..., None] * (255.0 - PICTURE)
    return np.rint(whole).astype(np.uint8), share == 1


def line(soft):
    """Lines of a grid; with soft edges on one side."""
    share = np.where((ROWS % 20 == 9) | (COLUMNS % 20 == 9), 1.0, 0.0)
    soften = (COLUMNS % 20 == 10) & (share == 0)
    return np.where(soften, soft, share)


def disk(soft):
    """A disk with a soft edge of some pixels."""
    apart = np.hypot(ROWS - 40, COLUMNS - 45)
    return np.clip((20 - apart) / max(soft, 1e-6) + 1, 0, 1)


@pytest.mark.parametrize("share", [line(0), disk(0), np.where(ROWS < 9, 1.0, 0.0)],
                         ids=["grid", "disk", "bar"])  # fmt: skip
def test_steps_are_not_mixed(share):
    assert not find_mixed(*drawn_with(share)).any()


@pytest.mark.parametrize("share", [line(0.3), line(0.6), disk(1)],
                         ids=["faint", "half", "disk"])  # fmt: skip
def test_soft_edges_are_found_and_little_else(share):
    mixed = find_mixed(*drawn_with(share))
    soft = (share > 0.05) & (share < 1)
    assert mixed[soft].mean() > 0.98
    assert not mixed[share == 1].any()
    apart = np.zeros_like(mixed)
    near = share > 0
    for down in (-2, -1, 0, 1, 2):
        for right in (-2, -1, 0, 1, 2):
            apart |= np.roll(near, (down, right), (0, 1))
    assert not mixed[~apart].any()


def test_thin_strokes_that_go_on_from_letters_are_found():
    share = np.where((ROWS > 30) & (ROWS < 40) & (COLUMNS % 9 == 4), 1.0, 0.0)
    share[(COLUMNS % 9 == 5) & (ROWS > 30) & (ROWS < 40)] = 0.4
    share[40:42, COLUMNS[0] % 9 == 4] = 0.8
    mixed = find_mixed(*drawn_with(share))
    assert mixed[(share > 0) & (share < 1)].all()
    assert not mixed[:29].any() and not mixed[45:].any()
