"""Decoding image files: pixels with all their bits, upright, with their metadata.

Pillow reads what has 8 bits per sample and is gray or RGB. The other modules of this
folder and imagecodecs read the rest, of which Pillow would lose bits or bands.
"""

import contextlib
import dataclasses
import io
import struct
from typing import IO

import imagecodecs
import numpy as np
from PIL import Image as pillow
from PIL import ImageFile, UnidentifiedImageError

from kernelgan_jax.app.files import Clipped
from kernelgan_jax.app.images import (
    animations,
    avif,
    bmp,
    colour_profiles,
    declared,
    heic,
    jpeg2000,
    jpeg_ends,
    jpegxl,
    netpbm,
    pillow_pixels,
    xmp_packets,
)
from kernelgan_jax.app.images.animation_frames import Frames, Kept
from kernelgan_jax.app.images.exif import (
    block_of,
    is_adobe_rgb,
    kept_block,
    orientation_of,
    upright,
)
from kernelgan_jax.app.images.image import (
    GRAY_OR_COLOUR,
    MAX_PIXELS,
    Image,
    UnusableError,
)
from kernelgan_jax.app.images.image_kinds import OF_IPHONE, RAW, kind_of
from kernelgan_jax.app.images.metadata import (
    Metadata,
    of_bmp,
    of_pillow,
    split_png,
)
from kernelgan_jax.app.images.nodata import missing_values, stated_value
from kernelgan_jax.app.images.pillow_pixels import all_of
from kernelgan_jax.app.images.pillow_settings import open_pillow, own_pillow_settings
from kernelgan_jax.app.images.tiff_decoding import Decoded, Tiff


def decode(file: IO[bytes], *, frame: int = 0, kept: Kept | None = None) -> Image:
    """Decodes an open file; raises nearly anything if it is damaged.

    Args:
      file: The file, of any kind.
      frame: Which of its frames or pages, counted from 0.
      kept: What is kept of it for other frames, or None for nothing.
    """
    file.seek(0)
    head = file.read(32)
    kind = kind_of(head)
    if kind == "raw":
        raise UnusableError(RAW)
    if head.startswith(OF_IPHONE, 12):  # Pillow takes it for a damaged PNG.
        raise UnidentifiedImageError
    notes: list[str] = []
    if kind == "tiff":
        return _decode_tiff(file, frame, notes, kept)
    if kind == "jpegxl":
        if (jpeg := jpegxl.packed_jpeg(file)) is not None:
            return dataclasses.replace(decode(io.BytesIO(jpeg)), format="JXL")
        known = kept.count if kept else 0
        decoded, metadata, frames = jpegxl.read(file, frame, notes, frames=known)
        if kept:
            kept.count = frames
        parts = decoded, metadata, notes
        return _image(*parts, format="JXL", frame=frame, frames=frames)
    if kind == "jpeg2000":
        if (found := declared.read(file)) is not None and found.pixels > MAX_PIXELS:
            raise pillow.DecompressionBombError
        return _image(*jpeg2000.read(all_of(file), notes), notes, format="JPEG2000")
    if kind == "heic":
        return _image(*heic.read(file, notes), notes, format="HEIF", frame=frame)
    if kind in ("pnm", "pfm"):
        file = netpbm.by_the_book(file)
    if kind in ("pnm", "pam") and netpbm.is_followed(file):
        notes.append("only the first of its pictures used")
    if kind == "pfm":
        decoded = Decoded(netpbm.read_floats(all_of(file)))
        decoded.missing = missing_values(decoded.stored, notes)
        return _image(decoded, Metadata(), notes, format="PFM")
    if kind == "pnm" and netpbm.is_scaled(all_of(file)):
        decoded = Decoded(netpbm.read_integers(all_of(file), notes))
        return _image(decoded, Metadata(), notes, format="PPM")
    if kind == "pam":
        pam = Decoded(*netpbm.read_pam(all_of(file), notes))
        return _image(pam, Metadata(), notes, format="PPM")
    if kind == "jpeg":
        file = jpeg_ends.with_end(file, notes)
        if (deep := _decode_deep_jpeg(file, notes)) is not None:
            return deep
    if (bits_of_16 := bmp.read_16_bits(file)) is not None:
        bits_of_16 = bmp.shown(bits_of_16, notes)
        return _image(bits_of_16, of_bmp(file), notes, format="BMP")
    if kind == "png":
        plain, metadata = split_png(file, notes)
        return _decode_pillow(Clipped(plain), frame, notes, metadata, kept=kept)
    return _decode_pillow(file, frame, notes, kept=kept)


def _decode_tiff(
    file: IO[bytes], frame: int, notes: list[str], kept: Kept | None
) -> Image:
    """Decodes a TIFF by its tags, or lets Pillow do so where that is without loss."""
    if kept is not None and kept.tiff is not None:
        tiff = kept.tiff
        tiff.reopen(file)
    else:
        tiff = Tiff(file, max_pixels=MAX_PIXELS)
    if kept is not None:
        kept.tiff = tiff
    if tiff.left_out:
        notes.append(f"{tiff.left_out} previews or masks in the file left out")
    frames = len(tiff.pages)
    if tiff.is_cut_off:
        notes.append(f"what follows page {frames} is damaged and left out")
    pillow_pixels.check_memory(tiff.declared(frame), file.seek(0, 2))
    if tiff.is_for_pillow(frame):
        tiff.check_for_pillow(frame, notes)
        try:
            return _decode_pillow(file, frame, notes, tiff=tiff)
        except UnidentifiedImageError:
            pass  # Of a layout that Pillow does not know.
    decoded = tiff.read(frame, notes)
    metadata = tiff.metadata(frame)
    if not decoded.keeps_profile:
        metadata.icc_profile = None
    orientation = tiff.orientation(frame) or xmp_packets.orientation_of(metadata.xmp)
    tiff.hide(frame, decoded, notes, orientation=orientation)
    try:
        with own_pillow_settings(notes):
            exif = tiff.exif(file, frame)
            metadata.exif = kept_block(exif, "TIFF", notes, orientation=orientation)
    except (SyntaxError, ValueError, struct.error):
        notes.append("unreadable EXIF left out")
    parts = decoded, metadata, notes, orientation
    return _image(*parts, format="TIFF", frame=frame, frames=frames)


def _decode_deep_jpeg(file: IO[bytes], notes: list[str]) -> Image | None:
    """Decodes JPEG of more than 8 bits, and JPEG-LS; None if it is neither."""
    frame = declared.jpeg_frame(file)
    is_ls = frame is not None and frame.code == declared.JPEG_LS
    if frame is None or (frame.bits <= 8 and not is_ls):
        return None
    if frame.width * frame.height > MAX_PIXELS:
        raise pillow.DecompressionBombError
    data = all_of(file)
    if is_ls:
        stored = imagecodecs.jpegls_decode(data)
    else:
        stored = imagecodecs.jpeg8_decode(data)
    name = "JPEG-LS" if is_ls else f"JPEG of {frame.bits} bits"
    notes.append(f"metadata of {name} left out")
    stored = stored if stored.ndim == 3 else stored[:, :, np.newaxis]
    channels = stored.shape[2]
    if channels == 4 and not is_ls:
        raise UnusableError(f"is {name} in CMYK; export it as 16-bit TIFF")
    stored = netpbm.whole_range(stored, frame.bits, notes)
    decoded = Decoded(stored, bands=channels not in GRAY_OR_COLOUR)
    return _image(decoded, Metadata(), notes, format=name)  # No JPEG holds it.


def _decode_pillow(
    file: IO[bytes],
    frame: int,
    notes: list[str],
    png: Metadata | None = None,
    tiff: Tiff | None = None,
    kept: Kept | None = None,
) -> Image:
    """Decodes what Pillow knows, and deep PNG and AVIF after Pillow has looked at it.

    Args:
      file: The file.
      frame: Which of its frames, counted from 0.
      notes: Get what is changed or left out.
      png: Metadata that were taken out of a PNG, or None.
      tiff: The same file if it is a TIFF, which may have more images than frames.
      kept: As in `decode`.
    """
    with own_pillow_settings(notes):
        image = open_pillow(file if tiff is None else tiff.alone(frame))
        # The other one has lost metadata, and warns no more.
        decoder = kept.opened if kept and kept.opened else image
        shown = kept.frames if kept else None
        if shown is None and (found := animations.of_file(file, image.format)):
            shown = Frames(found, are_many=kept is not None)
        animation = shown.animation if shown else None
        if tiff is not None:
            frames = len(tiff.pages)
        else:
            frames = len(animation.parts) if animation else _frames(image, notes)
        if animation is None and tiff is None and frame != decoder.tell():
            decoder.seek(frame)
        if image.mode not in pillow_pixels.MODES:
            raise UnusableError(
                f"has colour mode {image.mode}, which is not supported; export it as "
                "RGB"
            )
        metadata = tiff.metadata(frame) if tiff else of_pillow(image)
        if png is not None:
            metadata = png
            # Without an entry Pillow decodes the picture to look for EXIF behind it.
            image.info.setdefault("exif", None)
        if image.format == "GIF" and animation is not None:
            metadata.icc_profile = animation.icc_profile
            metadata.xmp = animation.xmp
        if image.format == "BMP":
            metadata = of_bmp(file)
        if image.format == "AVIF":
            avif.read_colours(file, metadata)
            image.info.pop("xmp", None)  # Nothing but its container turns an AVIF.
        # Read before the pixels: Pillow turns a TIFF as it loads, and drops the tag.
        orientation = orientation_of(image, notes, xmp=png.xmp if png else None)
        if shown is not None:
            if shown.animation.note:
                notes.append(shown.animation.note)
            decoded = shown.read(file, frame, notes)
            if kept is not None:
                kept.frames = shown
            del shown  # With what it holds for another frame.
        else:
            decoded = pillow_pixels.read(decoder, file, frame, frames, notes)
            if image.format == "BMP":
                decoded = bmp.shown(decoded, notes)
        exif = image.getexif if tiff is None else lambda: tiff.exif(file, frame)
        _read_camera_colours(image, metadata, notes)
        metadata.exif = block_of(exif, image.format, notes, orientation)
        if tiff is not None:
            value = stated_value(metadata.geo, decoded.stored.dtype)
            samples = decoded.stored[..., :-1] if decoded.has_alpha else decoded.stored
            decoded.missing = missing_values(samples, notes, value=value)
            tiff.hide(frame, decoded, notes, orientation=orientation)
        if image.mode in ("CMYK", "YCbCr"):
            decoded.keeps_profile = False
        if not decoded.keeps_profile:
            metadata.icc_profile = None
        format = "JPEG" if image.format == "MPO" else image.format or ""
        if kept is not None and format in ("WEBP", "AVIF") and frames > 1:
            kept.opened = decoder
        else:
            image.close()
    read = decoded, metadata, notes, orientation
    return _image(*read, format=format, frame=frame, frames=frames)


def _read_camera_colours(
    image: ImageFile.ImageFile, metadata: Metadata, notes: list[str]
) -> None:
    """Gives photographs in Adobe RGB the profile that cameras leave out."""
    if image.mode != "RGB" or image.format not in ("JPEG", "MPO"):
        return
    with contextlib.suppress(SyntaxError, ValueError, struct.error):  # It is noted.
        if metadata.icc_profile is None and is_adobe_rgb(image.getexif()):
            metadata.icc_profile = colour_profiles.of_chunks(colour_profiles.ADOBE_RGB)
            notes.append("Adobe RGB, as EXIF says, given its ICC profile")


def _frames(image: ImageFile.ImageFile, notes: list[str]) -> int:
    """The number of frames that are images of their own."""
    frames = int(getattr(image, "n_frames", 1))
    if image.format == "MPO" and frames > 1:
        notes.append(
            f"only the first of its {frames} pictures used; the others are previews, "
            "gain maps or other views"
        )
        return 1
    return frames


def _image(
    decoded: Decoded,
    metadata: Metadata,
    notes: list[str],
    orientation: int = 1,
    *,
    format: str,
    frame: int = 0,
    frames: int = 1,
) -> Image:
    """The image of its parts, turned upright."""
    stored, missing = decoded.stored, decoded.missing
    # A page without data does not cost the others.
    if missing is not None and missing.all() and frames == 1:
        raise UnusableError("has no data in any pixel")
    dpi, aspect = metadata.dpi, metadata.aspect
    conversions = "; ".join(notes)
    if frames > 1:
        which = f"number {frame + 1}" if frame else "the first"
        notes.append(f"{which} of {frames} frames")
    if orientation != 1:
        notes.append(f"turned upright (orientation {orientation})")
        if not decoded.is_turned:
            stored = upright(stored, orientation)
            if missing is not None:
                missing = np.ascontiguousarray(upright(missing, orientation))
        metadata.xmp = xmp_packets.turned(metadata.xmp, orientation, notes)
        if orientation >= 5:
            dpi = dpi and (dpi[1], dpi[0])
            aspect = aspect and (aspect[1], aspect[0])
        if metadata.geo:
            notes.append("georeference left out, as it is not upright")
            metadata.geo = {}
    metadata.xmp = xmp_packets.without_companions(metadata.xmp, notes)
    lost = [name for name in metadata.left_out if name]
    if lost:
        notes.append(f"{' and '.join(lost)} left out")
    alpha = None
    if decoded.has_alpha:
        notes.append("alpha kept apart, colour used as stored (not composited)")
        alpha = np.ascontiguousarray(stored[:, :, -1])
        stored = stored[:, :, :-1]
    return Image(
        np.ascontiguousarray(stored),
        alpha,
        metadata.icc_profile,
        metadata.exif,
        "; ".join(notes),
        conversions=conversions,
        bands=decoded.bands,
        rgb_first=decoded.rgb_first,
        missing=missing,
        xmp=metadata.xmp,
        dpi=dpi,
        aspect=aspect,
        chunks=metadata.chunks,
        geo=metadata.geo,
        format=format,
        frames=frames,
    )
