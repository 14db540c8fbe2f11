"""What a camera makes of the light on its sensor: a mosaic, developed.

A sensor sees one colour at each pixel, with noise that grows with the light. The camera
fills in the others, removes noise and sharpens. The network is trained on such images
among others, and test sets of them (`kernelgan-benchmark degrade --camera`) tell how an
estimator does on photographs that were not made by its own model: neither is their
noise white, nor their blur the kernel alone.

All functions take arrays of NumPy or of JAX, and give the same; images wrap around.

References:
  Malvar, He, Cutler, "High-quality linear interpolation for demosaicing of
    Bayer-patterned color images", ICASSP 2004, section 2 and figure 2.
  Lee, "Digital image enhancement and noise filtering by use of local statistics", IEEE
    Transactions on Pattern Analysis and Machine Intelligence 1980, for the denoising.
  IEC 61966-2-1, the transfer function of sRGB.
"""

from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax.pixels import LUMA

READ_SHARE = 0.05
"""Part of the noise's variance at middle gray that does not depend on the light."""

MIDDLE = 0.5
"""Middle gray of sRGB."""

REACH = 10
"""How far away a pixel of the scene may be that a pixel of the result depends on."""

_COLOURS = np.array([[0, 1], [1, 2]])
"""Bayer's pattern: the colour of each pixel."""

_GAUSSIAN = 4
"""Radius of the Gaussian of the unsharp masking, pixels."""

# Malvar's filters, in eighths: what is seen, around a pixel, to the missing colour.
_GREEN = np.array(
    [
        [0, 0, -1, 0, 0],
        [0, 0, 2, 0, 0],
        [-1, 2, 4, 2, -1],
        [0, 0, 2, 0, 0],
        [0, 0, -1, 0, 0],
    ]
)
_BESIDE = np.array(
    [
        [0, 0, 0.5, 0, 0],
        [0, -1, 0, -1, 0],
        [-1, 4, 5, 4, -1],
        [0, -1, 0, -1, 0],
        [0, 0, 0.5, 0, 0],
    ]
)
_DIAGONAL = np.array(
    [
        [0, 0, -1.5, 0, 0],
        [0, 2, 0, 2, 0],
        [-1.5, 0, 6, 0, -1.5],
        [0, 2, 0, 2, 0],
        [0, 0, -1.5, 0, 0],
    ]
)

Array = Any
"""An array of NumPy or of JAX."""


class Camera(NamedTuple):
    """How a camera develops; numbers, or scalar arrays of JAX."""

    noise_std: Array = 0.0
    """Standard deviation of the sensor's noise at middle gray, in [0, 1]."""
    filled_in: Array = 1.0
    """Part of the missing colours that is interpolated; the rest is as it was seen, as
    by better methods."""
    denoising: Array = 1.0
    """Noise that is assumed in denoising, relative to that of the sensor."""
    sharpening: Array = 0.6
    """Amount of the unsharp masking."""
    sharpening_std: Array = 1.0
    """Standard deviation of its Gaussian, pixels."""


def develop(scene: Array, noise: Array, camera: Camera) -> Array:
    """The image that a camera makes of a scene.

    Args:
      scene: `H x W x 3`, sRGB in [0, 1]: what each pixel of the sensor would see
        of each colour. Sides that are odd break the pattern where the image wraps.
      noise: `H x W x 3`, of the standard normal distribution.

    Returns:
      `H x W x 3`, sRGB in [0, 1].
    """
    xp = scene.__array_namespace__()
    light = _to_linear(xp.clip(scene, 0, 1))
    # What is not interpolated has the noise of a pixel of its own.
    light = light + _noise_std(light, camera.noise_std) * noise
    height, width = scene.shape[:2]
    colours = np.tile(_COLOURS, ((height + 1) // 2, (width + 1) // 2))[:height, :width]
    mosaic = xp.stack([light[..., i] * (colours == i) for i in range(3)]).sum(0)
    filled = demosaic(mosaic, colours)
    light = xp.clip(light + camera.filled_in * (filled - light), 0, 1)
    return xp.clip(_sharpened(_denoised(light, camera), camera), 0, 1)


def demosaic(mosaic: Array, colours: np.ndarray) -> Array:
    """All colours of each pixel, by Malvar's linear interpolation.

    Args:
      mosaic: `H x W`, one colour for each pixel.
      colours: `H x W`, which: 0, 1, 2 for R, G, B in Bayer's pattern.

    Returns:
      `H x W x 3`.
    """
    xp = mosaic.__array_namespace__()
    green, along, across, diagonal = (
        _correlated(mosaic, kernel / 8)
        for kernel in (_GREEN, _BESIDE, _BESIDE.T, _DIAGONAL)
    )
    planes = []
    for colour in range(3):
        here = colours == colour
        if colour == 1:
            planes.append(xp.where(here, mosaic, green))
            continue
        rows, columns = here.any(1, keepdims=True), here.any(0)
        missing = xp.where(rows, along, xp.where(columns, across, diagonal))
        planes.append(xp.where(here, mosaic, missing))
    return xp.stack(planes, -1)


def _correlated(plane: Array, kernel: np.ndarray) -> Array:
    xp, half = plane.__array_namespace__(), len(kernel) // 2
    return sum(
        kernel[row, column] * xp.roll(plane, (half - row, half - column), (0, 1))
        for row, column in np.argwhere(kernel)
    )


def _noise_std(light: Array, at_middle: Array) -> Array:
    """Noise of linear light, if sRGB has so much of it at middle gray."""
    xp = light.__array_namespace__()
    middle = _to_linear(np.array(MIDDLE))
    share = READ_SHARE + (1 - READ_SHARE) * light / middle
    return at_middle / float(_slope(middle)) * xp.sqrt(share)


def _slope(light: Array) -> Array:
    """By how much more sRGB changes than the light."""
    xp = light.__array_namespace__()
    power = 1.055 / 2.4 * xp.maximum(light, 0.0031308) ** (1 / 2.4 - 1)
    return xp.where(light <= 0.0031308, 12.92, power)


def _denoised(light: Array, camera: Camera) -> Array:
    """The light as sRGB, without much of its noise: Lee's local Wiener filter.

    Windows are small for luma, larger for colours.
    """
    xp = light.__array_namespace__()
    image = _from_linear(light)
    luma = image @ LUMA.astype(image.dtype)
    std = camera.denoising * _slope(light) * _noise_std(light, camera.noise_std)
    power = std**2 @ LUMA.astype(image.dtype)

    def filtered(plane: Array, size: int) -> Array:
        mean, square, noise = (_box(each, size) for each in (plane, plane**2, power))
        variance = xp.maximum(xp.maximum(square - mean**2, noise), 1e-12)
        return mean + (1 - noise / variance) * (plane - mean)

    colours = [filtered(image[..., i] - luma, 7) for i in range(3)]
    return filtered(luma, 3)[..., None] + xp.stack(colours, -1)


def _box(plane: Array, size: int) -> Array:
    """The mean over windows."""
    xp, half = plane.__array_namespace__(), size // 2
    for axis in (0, 1):
        moved = [xp.roll(plane, shift, axis) for shift in range(-half, half + 1)]
        plane = sum(moved) / size
    return plane


def _sharpened(image: Array, camera: Camera) -> Array:
    xp, soft = image.__array_namespace__(), image
    taps = np.arange(-_GAUSSIAN, _GAUSSIAN + 1)
    weights = xp.exp(-(taps**2) / (2 * camera.sharpening_std**2))
    weights = weights / weights.sum()
    for axis in (0, 1):
        soft = sum(
            weight * xp.roll(soft, tap, axis)
            for weight, tap in zip(weights, taps.tolist(), strict=True)
        )
    return image + camera.sharpening * (image - soft)


def _to_linear(srgb: Array) -> Array:
    xp = srgb.__array_namespace__()
    return xp.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _from_linear(light: Array) -> Array:
    xp = light.__array_namespace__()
    power = 1.055 * xp.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return xp.where(light <= 0.0031308, 12.92 * light, power)
