"""Small text and soft edges that were drawn on a picture: found by its kernel.

Few pixels of small or half-transparent letters have exactly one colour, so that
`usable_pixels` does not find them; sharpened with the picture they ring far into it.
But a picture that is blurred by a known kernel can be predicted from its neighbours,
and letters differ from that.
"""

import numpy as np

from kernelgan_jax import square_extremes
from kernelgan_jax.pixels import luma
from kernelgan_jax.super_resolution.filling import predicted
from kernelgan_jax.super_resolution.own_range import to_own
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.usable_pixels.find import (
    MOST_COVERED,
    RIM,
    UsablePixels,
    fill,
    leave_out,
)
from kernelgan_jax.usable_pixels.unblurred_steps import (
    REACH,
    allows_steps,
    find_unblurred_steps,
)

NEAR = 3
"""Pixels from unblurred steps in which strokes are looked for."""

STROKE = 7
"""Strokes are narrower than this, pixels..."""

LEAST = 0.06
"""... and stand out from what is around them by this part of the image's range."""

AROUND = 2
"""Pixels from soft edges in which more of these are looked for."""

APART = (0.3, 0.25, 0.2, 0.15)
"""How far strokes are from what the rest of the picture predicts, parts of its range,
in one round after the other. Those that are nearer are taken back, so that the others
are predicted better."""


def without_strokes(usable: UsablePixels, planned: Plan) -> UsablePixels:
    """Leaves out the strokes of letters, too, where an image has some.

    Where blur varies, no one kernel predicts the picture.

    Returns:
      The usable pixels, of which more are mixed with what was drawn.
    """
    evidence = planned.evidence
    if evidence is None or planned.kernel_map is not None:
        return usable
    # A refitted kernel has values of which its widths say little.
    is_estimate = planned.source == "estimated"
    kernel = evidence.kernel if is_estimate else planned.stages[-1].kernel
    forbids_steps = not allows_steps(kernel, scale=planned.scale)
    if not (forbids_steps or usable.drawn.any()):
        return usable
    own = to_own(usable, planned, headroom=0.0)
    near = square_extremes.maximum(usable.drawn, 2 * RIM + 1)
    candidates = square_extremes.maximum(usable.mixed & near, 2 * AROUND + 1)
    if forbids_steps:
        candidates = candidates | _strokes(own.image, usable.unusable)
    left_out = usable.drawn | usable.mixed
    candidates &= ~left_out
    if not candidates.any() or (left_out | candidates).mean() > MOST_COVERED:
        return usable
    found = candidates
    for limit in APART:
        unknown = left_out | found
        filled = predicted(fill(own.image, unknown), own.plan, unknown)
        found = candidates & (np.abs(own.image - filled).max(axis=2) > limit)
    if not found.any():
        return usable
    return leave_out(usable, square_extremes.maximum(found, 3) & ~usable.drawn)


def _strokes(image: np.ndarray, unusable: np.ndarray | None) -> np.ndarray:
    """Pixels near unblurred steps that stand out: `H x W` bool."""
    steps = find_unblurred_steps(luma(image), unusable=unusable)
    if not steps.any():
        return steps
    near = square_extremes.minimum(steps, 2 * (REACH - NEAR) + 1)
    found: np.ndarray = np.zeros(near.shape, bool)
    for channel in np.moveaxis(image, -1, 0):
        dark = square_extremes.minimum(channel, STROKE)
        bright = square_extremes.maximum(channel, STROKE)
        found |= channel - square_extremes.maximum(dark, STROKE) >= LEAST
        found |= square_extremes.minimum(bright, STROKE) - channel >= LEAST
    return square_extremes.maximum(found & near, 3)
