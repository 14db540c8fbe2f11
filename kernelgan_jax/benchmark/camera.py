"""What a camera makes of the light on its sensor: a mosaic, developed.

A sensor sees one colour at each pixel, with noise that grows with the light. The camera
fills in the others, removes noise, sharpens and encodes. Test sets of such images
(`kernelgan-benchmark degrade --camera`) tell how an estimator does on photographs that
were not made by its own model: neither is their noise white, nor their blur the kernel
alone.

References:
  Malvar, He, Cutler, "High-quality linear interpolation for demosaicing of
    Bayer-patterned color images", ICASSP 2004, section 2 and figure 2.
  Lee, "Digital image enhancement and noise filtering by use of local statistics", IEEE
    Transactions on Pattern Analysis and Machine Intelligence 1980, for the denoising.
  IEC 61966-2-1, the transfer function of sRGB.
"""

import numpy as np
import scipy.ndimage

from kernelgan_jax.pixels import LUMA

SHARPENING = 0.6
"""Amount of the unsharp masking."""

SHARPENING_STD = 1.0
"""Standard deviation of its Gaussian, pixels."""

READ_SHARE = 0.05
"""Part of the noise's variance at middle gray that does not depend on the light."""

MIDDLE = 0.5
"""Middle gray of sRGB."""

_COLOURS = np.array([[0, 1], [1, 2]])
"""Bayer's pattern: the colour of each pixel."""

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


def develop(
    rng: np.random.Generator, scene: np.ndarray, *, noise_std: float
) -> np.ndarray:
    """The image that a camera makes of a scene.

    Args:
      rng: Source of the noise.
      scene: `H x W x 3`, sRGB in [0, 1]: what each pixel of the sensor would see
        of each colour.
      noise_std: Standard deviation of the sensor's noise at middle gray, in [0, 1].

    Returns:
      `H x W x 3`, sRGB in [0, 1].
    """
    light = _to_linear(np.clip(scene, 0, 1))
    colours = np.tile(_COLOURS, [(side + 1) // 2 for side in scene.shape[:2]])
    colours = colours[: scene.shape[0], : scene.shape[1]]
    mosaic = np.take_along_axis(light, colours[..., None], 2)[..., 0]
    noise = rng.standard_normal(mosaic.shape)
    mosaic = mosaic + _noise_std(mosaic, noise_std) * noise
    light = np.clip(demosaic(mosaic, colours), 0, 1)
    return np.clip(_sharpened(_denoised(light, noise_std)), 0, 1)


def demosaic(mosaic: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """All colours of each pixel, by Malvar's linear interpolation.

    Args:
      mosaic: `H x W`, one colour for each pixel.
      colours: `H x W`, which: 0, 1, 2 for R, G, B in Bayer's pattern.

    Returns:
      `H x W x 3`.
    """
    green, along, across, diagonal = (
        scipy.ndimage.correlate(mosaic, kernel / 8, mode="mirror")
        for kernel in (_GREEN, _BESIDE, _BESIDE.T, _DIAGONAL)
    )
    planes = []
    for colour in range(3):
        here = colours == colour
        if colour == 1:
            planes.append(np.where(here, mosaic, green))
            continue
        rows, columns = here.any(1, keepdims=True), here.any(0)
        missing = np.where(rows, along, np.where(columns, across, diagonal))
        planes.append(np.where(here, mosaic, missing))
    return np.stack(planes, 2)


def _noise_std(light: np.ndarray, at_middle: float) -> np.ndarray:
    """Noise of linear light, if sRGB has so much of it at middle gray."""
    middle = _to_linear(np.array(MIDDLE))
    share = READ_SHARE + (1 - READ_SHARE) * light / middle
    found: np.ndarray = at_middle / _slope(middle) * np.sqrt(share)
    return found


def _slope(light: np.ndarray) -> np.ndarray:
    """By how much more sRGB changes than the light."""
    step = 1e-4
    return (_from_linear(light + step) - _from_linear(light)) / step


def _denoised(light: np.ndarray, noise_std: float) -> np.ndarray:
    """The light as sRGB, without much of its noise: Lee's local Wiener filter.

    Windows are small for luma, larger for colours.
    """
    image = _from_linear(light)
    if not noise_std:
        return image
    luma = image @ LUMA
    power = (_slope(light) * _noise_std(light, noise_std)) ** 2 @ LUMA

    def filtered(plane: np.ndarray, size: int) -> np.ndarray:
        mean, square, noise = (
            scipy.ndimage.uniform_filter(each, size, mode="mirror")
            for each in (plane, plane**2, power)
        )
        variance = np.maximum(square - mean**2, noise)
        kept: np.ndarray = mean + (1 - noise / variance) * (plane - mean)
        return kept

    colours = [filtered(plane - luma, 7) for plane in np.moveaxis(image, 2, 0)]
    return filtered(luma, 3)[..., None] + np.stack(colours, 2)


def _sharpened(image: np.ndarray) -> np.ndarray:
    sigma = (SHARPENING_STD, SHARPENING_STD, 0)
    soft = scipy.ndimage.gaussian_filter(image, sigma, mode="mirror")
    return image + SHARPENING * (image - soft)


def _to_linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _from_linear(light: np.ndarray) -> np.ndarray:
    return np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )
