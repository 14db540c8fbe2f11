"""What is measured of an image before kernels are fitted to it."""

from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax.estimators.spectral.jpeg_strength import UNKNOWN, find_jpeg
from kernelgan_jax.estimators.spectral.noise import flat_noise_std, rounding_noise_std
from kernelgan_jax.estimators.spectral.observation import (
    UNCOMPRESSED,
    WITH_BLOCKS,
    Observation,
    jpeg_effect,
)
from kernelgan_jax.estimators.spectral.periodogram import (
    has_blocks,
    mean_window_power,
    to_gray,
)
from kernelgan_jax.levels import Levels, count_steps, to_own_range
from kernelgan_jax.pixels import luma, own_channels, to_unit
from kernelgan_jax.usable_pixels import find_usable
from kernelgan_jax.usable_pixels.unblurred_steps import (
    are_of_letters,
    find_unblurred_steps,
)

MIN_POWER_DENSITY = 1e-3
"""Smallest value of a periodogram that is used, gray levels^2: drawn images can have
frequencies without power. It is far below the power of rounding to 8 bits, 1/12."""


class Measured(NamedTuple):
    """What is measured of an image before kernels are fitted."""

    unusable: np.ndarray | None
    """Pixels that had no part in it, `H x W` bool."""
    left_out: str
    """What is not part of the picture, in words."""
    levels: Levels
    own: np.ndarray
    """The image in its own range, with the channels that show something of their own.
    """
    contrast: float
    """Standard deviation, gray levels."""
    flat_noise_std: float
    """Most noise that the image can have, gray levels."""
    power: np.ndarray
    """Periodogram, `SHAPE` float32, gray levels^2, positive."""
    observation: Observation
    """How the image shows its power, float32."""
    jpeg: bool
    jpeg_strength: float
    text_share: float = 0.0
    """Share of the pixels that were left out as text is, by their unblurred steps."""
    of_letters: bool = False
    """Whether these are around letters that are known to be drawn."""
    with_steps: "Measured | None" = None
    """The same with these pixels; None if there are none."""


def measure(image: Any) -> Measured:
    """Measures an image, without the places of unblurred steps if it has some.

    Args:
      image: As `analyse` takes it.

    Raises:
      ValueError: If the image is of a wrong shape or type, too small or constant.
    """
    usable = find_usable(image)
    seen = own_channels(usable.image).select(usable.image)
    own, levels = to_own_range(seen)
    gray, unusable = to_gray(own), usable.unusable
    jpeg = has_blocks(gray, unusable=unusable)
    # Its own range has as many steps, but floating point may have more of them.
    steps = count_steps(seen if seen.dtype.kind == "u" else own)
    decoded = 255 * luma(to_unit(seen))
    compression = find_jpeg(decoded)
    strength = UNKNOWN if jpeg else 0.0
    if compression is not None:
        strength = compression.strength

    def observed(power: np.ndarray, unusable: np.ndarray | None) -> Observation:
        if compression is not None:
            effect = jpeg_effect(decoded, compression, unusable=unusable)
            return effect.observation(power)
        return WITH_BLOCKS if jpeg else UNCOMPRESSED

    power = window_power(gray, unusable)
    measured = Measured(
        unusable,
        usable.left_out,
        levels,
        own,
        contrast=float(gray.std()) * min(1.0, steps / 255),
        flat_noise_std=max(
            flat_noise_std(gray, unusable=unusable), rounding_noise_std(own, steps)
        ),
        power=power,
        observation=observed(power, unusable),
        jpeg=jpeg,
        jpeg_strength=strength,
    )
    drawn = find_unblurred_steps(luma(own), unusable=unusable)
    if not drawn.any():
        return measured
    of_letters = unusable is not None and are_of_letters(drawn, unusable)
    unusable = drawn if unusable is None else unusable | drawn
    power = window_power(gray, unusable)
    if (power == measured.power).all():  # They are everywhere, or at the rim.
        return measured
    return measured._replace(
        unusable=unusable,
        power=power,
        observation=observed(power, unusable),
        text_share=float(drawn.mean()),
        of_letters=of_letters,
        with_steps=measured,
    )


def window_power(gray: np.ndarray, unusable: np.ndarray | None) -> np.ndarray:
    """The power of an image's windows, or of a part's, as `Measured.power`."""
    power = mean_window_power(gray, unusable=unusable)
    return np.maximum(power, MIN_POWER_DENSITY).astype(np.float32)
