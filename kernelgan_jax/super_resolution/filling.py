"""Pixels that are no part of an image's picture: filled before, put back after.

`usable_pixels` finds them and fills them from their neighbours. Such a fill is not
as blurred as the picture, so that its rim rings when it is sharpened. Here the fill is
blurred together with the picture, by its kernel.
"""

import numpy as np

from kernelgan_jax.pixels import to_unit
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution.closed_form import continued
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.usable_pixels import UsablePixels, find_flat


def fill_unusable(image: np.ndarray, planned: Plan, usable: UsablePixels) -> np.ndarray:
    """Fills an image's unusable pixels as its kernel would have blurred them.

    Args:
      image: `H x W x C` float32 in its own range, filled from its neighbours.
    """
    unusable = usable.unusable
    if unusable is None:
        return image
    return np.clip(predicted(image, planned, unusable), *planned.bounds)


def predicted(image: np.ndarray, planned: Plan, unknown: np.ndarray) -> np.ndarray:
    """An image with what the kernel of its plan predicts where it is unknown.

    Args:
      image: `H x W x C` float32 in its own range, roughly filled where it is unknown.
      unknown: `H x W` bool.
    """
    evidence = planned.evidence
    return continued(
        image,
        planned.stages[-1].aligned_kernel(image_shape=image.shape),
        unknown,
        scale=planned.scale,
        noise_std=planned.noise_std,
        spectrum=None if evidence is None else evidence.spectrum,
    )


def put_back(result: np.ndarray, image: np.ndarray, usable: UsablePixels) -> np.ndarray:
    """Puts the pixels that are not part of the picture into its enlargement.

    Drawn areas, flat and isolated pixels come out as they are, each as s x s pixels,
    and the pixels around drawn areas bicubically.
    """
    scale = len(result) // len(image)
    kept = usable.drawn | usable.isolated | find_flat(image)
    if usable.mixed.any():
        larger = bicubic_resize(to_unit(image), scale)
        place = usable.mixed.repeat(scale, 0).repeat(scale, 1)
        result[place] = np.clip(larger[place], 0, 1)
    if kept.any():
        rows, columns = np.nonzero(kept)
        for row, column in np.ndindex(scale, scale):
            result[scale * rows + row, scale * columns + column] = to_unit(image[kept])
    return result
