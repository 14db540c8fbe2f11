"""Examples for the second look: images with random kernels, and what each of the
kernels that are compared makes of them.
"""

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import scipy.ndimage
from PIL import Image

from kernelgan_jax import kernels, metrics
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral.analysis import fit_measured
from kernelgan_jax.estimators.spectral.best import best
from kernelgan_jax.estimators.spectral.measured import measure
from kernelgan_jax.estimators.spectral.second_look import SCALES, look
from kernelgan_jax.pixels import from_unit, textured_window, to_unit
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution.deep_wiener import pretrained, random_kernels
from kernelgan_jax.super_resolution.deep_wiener.enlarge import enlarge_images
from kernelgan_jax.super_resolution.deep_wiener.request import Request, added_noise_std

SHARES = (0.2, 0.45, 0.15, 0.2)
"""How often each of `SCALES` is drawn."""

SHRINKS = 1.25, 6.0
"""Photographs are shrunk by a factor between these."""

FILTERS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)
"""They are shrunk by one of these: scenes are as sharp or as soft as cameras, scanners
and programs make them."""

SIDE = 512
"""Largest side of an HR image."""

LEAST = 256
"""Smallest side of an HR image."""

PLACES = 3
"""Places that are drawn in a photograph; that of the steepest slopes is taken."""

FIELDS = 20
"""Of so many images one is a random field: it has the spectrum of a photograph, and no
edges that could speak for a kernel."""

SHARPENED = 0.3
"""Share of the kernels that are sharpened, as by unsharp masking."""

NOISY, COMPRESSED = 0.2, 0.2
"""Shares of the images with noise and with JPEG."""

MEASURED = 320
"""Side of the part of an HR image on which kernels are compared."""

MOST_PSNR = 50.0
"""PSNR that is good enough, dB: an image that was not blurred can be restored exactly.
"""

KERNEL_STD = 0.1
"""Uncertainty that super-resolution is told of."""


class Example(NamedTuple):
    """An image, and what the kernels that are compared make of it."""

    photo: int
    """Number of its photograph."""
    scale: int
    inputs: np.ndarray
    """`P x K x INPUTS` float32: what the network is given of each kernel in each of the
    parts of the image."""
    gains: np.ndarray
    """`K` float32: PSNR-Y over bicubic enlargement with each, dB."""


def draw(seed: tuple[int, ...], photos: Sequence[Path]) -> Example | None:
    """Draws an example; the same from the same seed.

    Args:
      seed: Integers, at least 0.
      photos: Files of photographs.

    Returns:
      The example; None if the photograph is too small, or shows nothing.
    """
    rng = np.random.default_rng(seed)
    number, scale = int(rng.integers(len(photos))), int(rng.choice(SCALES, p=SHARES))
    hr = _hr(rng, photos[number], scale)
    if seed[-1] % FIELDS == FIELDS - 1:
        hr = _random_field(rng)
    if hr is None:
        return None
    lr = _degraded(rng, hr, scale)
    try:
        measured, fits = fit_measured(measure(lr), scale=scale)
        likeliest = best(measured, fits, scale=scale)
    except ValueError:  # It shows nothing.
        return None
    found = look(measured, fits, likeliest, scale=scale)
    if found is None:
        return None
    image = to_unit(lr)
    # The same for all kernels, and a small part of the work: the middle of the detail.
    rows, columns = textured_window(image, 0, (MEASURED // scale) ** 2, 32)
    place = tuple(
        slice(part.start * scale, part.stop * scale) for part in (rows, columns)
    )
    noise_std = np.exp(float(likeliest.spectrum.log_noise) / 2) / 255
    requests = [
        Request(
            np.ascontiguousarray(image[rows, columns]),
            kernels.normalise(each.kernel).astype(np.float32),
            scale,
            noise_std=added_noise_std(measured.levels.span * noise_std),
            kernel_std=KERNEL_STD,
            jpeg=measured.jpeg_strength,
        )
        for each in found.compared
    ]
    plain = np.clip(bicubic_resize(image, scale), 0, 1)
    pictures = [plain[place], *enlarge_images(pretrained(fast=True), requests)]
    base, *values = (
        min(metrics.psnr_y(each, hr[place], scale=scale), MOST_PSNR)
        for each in pictures
    )
    gains = np.array(values, np.float32) - np.float32(base)
    return Example(number, scale, found.inputs, gains)


@functools.lru_cache(maxsize=4)
def _photograph(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _hr(rng: np.random.Generator, path: Path, scale: int) -> np.ndarray | None:
    """A part of a photograph that was shrunk, in [0, 1]; None if it is too small."""
    photograph = _photograph(path)
    least, most = SHRINKS
    most = min(most, min(photograph.size) / LEAST)
    if most < least:
        return None
    shrink = least * (most / least) ** rng.random()
    shrunk_by = FILTERS[rng.integers(len(FILTERS))]
    sides = [
        int(min(side / shrink, SIDE)) // (2 * scale) * 2 * scale
        for side in photograph.size
    ]

    def part() -> np.ndarray:
        left, top = (
            rng.uniform(0, whole - shrink * side)
            for whole, side in zip(photograph.size, sides, strict=True)
        )
        box = left, top, left + shrink * sides[0], top + shrink * sides[1]
        return np.asarray(photograph.resize(sides, shrunk_by, box))

    def steepness(part: np.ndarray) -> float:
        return float(np.abs(np.diff(part[..., 1].astype(np.float32), axis=1)).mean())

    return to_unit(max((part() for _ in range(PLACES)), key=steepness))


def _random_field(rng: np.random.Generator) -> np.ndarray:
    """A Gaussian random field with a photograph's power spectrum, in [0, 1]."""
    line = np.fft.fftfreq(SIDE) ** 2
    square = line + line[:, None]
    square[0, 0] = np.inf  # Its mean is set below.
    gain = square ** (-rng.uniform(1.8, 2.8) / 4)
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIDE, SIDE))) * gain).real
    pixels = 0.5 + rng.uniform(0.05, 0.2) * field / field.std()
    return np.repeat(np.clip(pixels, 0, 1)[..., None], 3, axis=2)


def _degraded(rng: np.random.Generator, hr: np.ndarray, scale: int) -> np.ndarray:
    """An LR image, uint8, with a random kernel, and with noise or JPEG at times."""
    lr = downscale(hr, _kernel(rng, scale), scale)
    kind = rng.random()
    if kind < NOISY:
        lr = lr + rng.normal(size=lr.shape) * rng.uniform(1, 6) / 255
    pixels = from_unit(np.clip(lr, 0, 1), np.uint8)
    if NOISY <= kind < NOISY + COMPRESSED:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(60, 97)))
        pixels = np.asarray(Image.open(file))
    return pixels


def _kernel(rng: np.random.Generator, scale: int) -> np.ndarray:
    """A kernel as the super-resolution network was trained with, sharpened at times."""
    drawn = _draw(jax.random.key(int(rng.integers(2**31))), scale=scale)
    kernel = np.asarray(drawn.kernel)
    if rng.random() >= SHARPENED:
        return kernel
    amount, width = rng.uniform(0.2, 1.1), scale * rng.uniform(0.7, 1.3)
    blurred = scipy.ndimage.gaussian_filter(
        kernel, width, output=np.float64, mode="constant", radius=len(kernel) // 2
    )
    sharpened: np.ndarray = (1 + amount) * kernel - amount * blurred / blurred.sum()
    return sharpened.astype(np.float32)


_draw = jax.jit(random_kernels.draw, static_argnames="scale")
