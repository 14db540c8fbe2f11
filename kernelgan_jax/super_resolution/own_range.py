"""Methods see an image in its own range, filled where it is not part of its picture.

They see the channels alone that show something of their own: a gray photograph stored
as RGB stays gray, and black channels stay black.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from kernelgan_jax.estimate import ProgressCallback
from kernelgan_jax.levels import Levels, from_own_range, to_own_range
from kernelgan_jax.pixels import OwnChannels, own_channels
from kernelgan_jax.super_resolution.filling import fill_unusable, put_back
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.super_resolution.registry import Enlarge
from kernelgan_jax.usable_pixels import UsablePixels


class Own(NamedTuple):
    """An image in its own range."""

    image: np.ndarray
    """`H x W x C` float32, its own range mapped to `[headroom, 1 - headroom]`."""
    plan: Plan
    """The plan with the noise and the spectrum of that image, and its bounds."""
    levels: Levels
    """What maps it back."""
    channels: OwnChannels
    """Which channels of the whole image it has."""


def to_own(usable: UsablePixels, planned: Plan, *, headroom: float) -> Own:
    """An image, filled from its neighbours, and its plan in the image's own range.

    Args:
      headroom: What the method needs free at both ends of the range.
    """
    channels = own_channels(usable.image)
    image, levels = to_own_range(channels.select(usable.image), headroom=headroom)
    gain = (1 - 2 * headroom) / levels.span
    planned = _amplified(planned, gain)._replace(bounds=levels.bounds)
    return Own(image, planned, levels, channels)


def in_own_range(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    plans: Sequence[Plan],
    *,
    enlarge: Enlarge,
    usable: Sequence[UsablePixels],
    headroom: float,
    progress: ProgressCallback | None,
) -> list[np.ndarray]:
    """Enlarges images in the range of their types; see `Enlarge` for the others.

    Args:
      enlarge: The function of a method; it is called with images in their own ranges,
        and with noise and spectra of these.
      usable: Usable pixels of the images.
      headroom: What the method needs free at both ends of the range.
    """
    mapped = [
        to_own(seen, planned, headroom=headroom)
        for seen, planned in zip(usable, plans, strict=True)
    ]
    own = [
        fill_unusable(each.image, each.plan, seen)
        for each, seen in zip(mapped, usable, strict=True)
    ]
    results = enlarge(keys, own, [each.plan for each in mapped], progress=progress)
    return [
        put_back(
            each.channels.restore(
                from_own_range(result, each.levels, headroom=headroom), seen.image
            ),
            image,
            seen,
        )
        for result, each, image, seen in zip(
            results, mapped, images, usable, strict=True
        )
    ]


def _amplified(planned: Plan, gain: float) -> Plan:
    """The plan for an image whose levels are `gain` times as far apart."""
    evidence = planned.evidence
    if evidence is not None and evidence.spectrum is not None:
        more = np.float32(2 * np.log(evidence.span * gain))
        spectrum = evidence.spectrum._replace(
            log_amplitude=evidence.spectrum.log_amplitude + more,
            log_noise=evidence.spectrum.log_noise + more,
        )
        evidence = evidence._replace(
            spectrum=spectrum, noise_std=gain * evidence.noise_std, span=1 / gain
        )
    return planned._replace(noise_std=gain * planned.noise_std, evidence=evidence)
