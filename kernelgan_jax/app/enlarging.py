"""From the contents of an image file to unit pixels, and back from enlarged ones.

Pixels that nobody sees, or that have no data, are filled from their neighbours before
anything else: they have no part in the kernel, the noise or the colours at the rim.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage

from kernelgan_jax.app.images import exif, nodata, xmp_packets
from kernelgan_jax.app.images.image import Image
from kernelgan_jax.app.images.metadata import enlarged_geo
from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize

_SMOOTHING = 2.0
"""Standard deviation, pixels, of the Gaussian that smooths what was filled."""

_GROUP = 3
"""Bands that are super-resolved together, as the channels of a colour image are."""


def usual_pixels(image: Image) -> np.ndarray:
    """The pixels as estimators and methods take them, filled where nobody sees any.

    They are filled from the nearest pixels that are seen.

    Returns:
      `H x W x C`, C the number of channels or bands: uint8 or uint16 as they are, if
      nothing is filled, and else float32 in [0, 1].
    """
    hidden = _unseen(image)
    if image.pixels.dtype in (np.uint8, np.uint16):
        if hidden is None:
            return image.pixels
        unit = to_unit(image.pixels)
    else:
        low, high = image.levels()
        unit = np.empty(image.pixels.shape, np.float32)
        for row in range(len(unit)):
            with np.errstate(invalid="ignore", over="ignore"):  # Where none are seen.
                values = image.pixels[row].astype(np.float64)
                unit[row] = (values - low) / (high - low)
    if hidden is not None:
        _fill(unit, *hidden)
    return unit


def _fill(unit: np.ndarray, unseen: np.ndarray, source: np.ndarray) -> None:
    """Fills `H x W x C` pixels in place; see `_unseen`. Bands without data become 0."""
    count = unseen.shape[2]
    for band in range(count):
        hidden, known = unseen[..., band], source[..., band]
        part = unit[..., band : band + 1] if count > 1 else unit
        if not hidden.any():
            continue
        if not known.any():
            known = ~hidden
        if not known.any():
            part[...] = 0
            continue
        rows, columns = scipy.ndimage.distance_transform_edt(
            ~known, return_distances=False, return_indices=True
        )
        for values in np.moveaxis(part, -1, 0):
            values[hidden] = values[rows[hidden], columns[hidden]]
            # The seams between the fills of different neighbours would be taken for
            # noise.
            smooth = scipy.ndimage.gaussian_filter(values, _SMOOTHING)
            values[hidden] = smooth[hidden]


def unseen(image: Image, *, band: int | None = None) -> np.ndarray | None:
    """Where `usual_pixels` are filled: `H x W` bool, or None.

    Args:
      image: The image.
      band: In this band or channel, counted from 1; else in any that has data.
    """
    if band is not None and image.missing is not None and image.missing.shape[2] > 1:
        missing = image.missing[..., band - 1 : band]
        image = dataclasses.replace(image, missing=missing)
    hidden = _unseen(image)
    if hidden is None:
        return None
    found, source = hidden
    with_data = source.any(axis=(0, 1))
    anywhere: np.ndarray = np.any(found[:, :, with_data], axis=2)
    if anywhere.all():  # Bands that have nowhere data in common.
        anywhere = np.all(found, axis=2)
    return anywhere


def _unseen(image: Image) -> tuple[np.ndarray, np.ndarray] | None:
    """Where nothing is seen, and where there are pixels that it is filled from.

    Both are `H x W x 1`, or `H x W x C` if bands differ; None if all is seen.

    Filled are pixels without data or with an alpha of 0, from those with at least half
    of the full alpha if there are any: little remains of colour below a small alpha.
    If nothing at all is seen, only pixels without data are filled, from all others.
    """
    seen = image.seen()
    if image.alpha is None:
        return None if image.missing is None else (image.missing, ~image.missing)
    if seen is None or seen.all():
        return None
    alpha: Any = image.alpha[..., np.newaxis]
    top = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1
    source = (alpha >= top / 2) & seen
    return ~seen, source if source.any() else seen


def for_estimation(
    image: Image, *, band: int | None = None, pixels: np.ndarray | None = None
) -> np.ndarray:
    """The pixels that the kernel is estimated from: the mean of bands, else all.

    Args:
      band: Only this band or channel, counted from 1.
      pixels: Its `usual_pixels`, if they are known.
    """
    if pixels is None:
        pixels = usual_pixels(image)
    if band is not None:
        return np.ascontiguousarray(pixels[:, :, band - 1 : band])
    if not image.bands:
        return pixels
    unit = to_unit(pixels)
    mean: np.ndarray = unit.mean(axis=2, keepdims=True, dtype=np.float32)
    return mean


def is_constant(image: Image) -> bool:
    """Whether what is seen of an image is the same everywhere, as in a black frame."""
    pixels = image.pixels
    found = _unseen(image)
    if found is None:
        return bool(all((row == pixels[0, 0]).all() for row in pixels))
    unseen = np.broadcast_to(found[0], pixels.shape)
    for values, hidden in zip(pixels.T, unseen.T, strict=True):
        seen = values[~hidden]
        if (seen != seen[:1]).any():
            return False
    return True


def enlarge_groups(
    pixels: np.ndarray,
    enlarge: Callable[[np.ndarray, int], np.ndarray],
    *,
    missing: np.ndarray | None = None,
) -> np.ndarray:
    """Enlarges any number of bands, a group at a time.

    Args:
      pixels: `H x W x C`, of any C.
      enlarge: Enlarges gray (C = 1) and colour (C = 3); takes the number of the first
        band, too, counted from 1.
      missing: As `Image.missing`: bands that lack other data are in other groups.
    """
    parts = []
    for bands in _groups(pixels.shape[2], missing):
        group = pixels[:, :, bands]
        count = group.shape[2]
        if count == 2:  # Three are as fast as two.
            group = np.concatenate([group, group[:, :, 1:]], axis=2)
        larger = enlarge(np.ascontiguousarray(group), bands.start + 1)
        parts.append(larger[:, :, :count])
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _groups(channels: int, missing: np.ndarray | None) -> list[slice]:
    """Channels that are enlarged together: some that lack the same data."""
    masks = missing if missing is not None and missing.shape[2] > 1 else None
    starts = [0]
    for band in range(1, channels):
        first = starts[-1]
        if band - first == _GROUP or (
            masks is not None and (masks[..., band] != masks[..., first]).any()
        ):
            starts.append(band)
    return [slice(*ends) for ends in itertools.pairwise([*starts, channels])]


def as_stored(enlarged: np.ndarray, image: Image, scale: int) -> Image:
    """The result in the form of the image's file: its type, levels, alpha, metadata.

    Args:
      enlarged: `sH x sW x C` in [0, 1].
      image: The image that was enlarged.
      scale: By how much.
    """
    height, width = enlarged.shape[:2]
    pixels = _values(enlarged, image)
    value = nodata.stated_value(image.geo, pixels.dtype)
    nodata.avoid(pixels, value, bands=image.bands)
    if image.missing is not None:  # These stay as they are, each as s x s.
        for row in range(scale):
            for column in range(scale):
                part = pixels[row::scale, column::scale]
                np.copyto(part, image.pixels, where=image.missing)
    alpha = image.alpha
    if alpha is not None:
        if alpha.dtype in (np.uint8, np.uint16):
            alpha = from_unit(bicubic_resize(to_unit(alpha), scale), alpha.dtype)
        else:
            known = np.nan_to_num(alpha.astype(np.float32))
            larger = bicubic_resize(known, scale)
            np.clip(larger, known.min(), known.max(), out=larger)
            alpha = np.stack([_in_type(row, alpha.dtype) for row in larger])
    return dataclasses.replace(
        image,
        pixels=pixels,
        alpha=alpha,
        missing=None,
        exif=exif.enlarged(image.exif, width, height, scale),
        xmp=xmp_packets.enlarged(image.xmp, width, height, scale),
        geo=enlarged_geo(image.geo, scale),
        note="",
        conversions="",
    )


def _values(enlarged: np.ndarray, image: Image) -> np.ndarray:
    """Values in the type and with the levels of the image's file."""
    dtype = image.pixels.dtype
    if dtype in (np.uint8, np.uint16):
        return from_unit(enlarged, dtype)
    low, high = image.levels()
    seen = image.seen()
    is_positive = (image.pixels >= 0).all(where=True if seen is None else seen)
    bottom = 0.0 if is_positive else -np.inf  # Counts stay positive.
    values = np.empty(enlarged.shape, dtype)
    for row in range(len(values)):
        unit = np.clip(enlarged[row].astype(np.float64), 0, 1)
        values[row] = _in_type(np.maximum(low + unit * (high - low), bottom), dtype)
    return values


def _in_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values rounded, if the type is of integers, and clipped to what it holds."""
    is_float = dtype.kind == "f"
    limits = np.finfo(dtype) if is_float else np.iinfo(dtype)
    top = float(limits.max)
    if not is_float:
        values = np.rint(values)
        if top > limits.max:  # Rounded up: the largest integers of 64 bits.
            top = np.nextafter(top, 0)
    return np.clip(values.astype(np.float64), float(limits.min), top).astype(dtype)
