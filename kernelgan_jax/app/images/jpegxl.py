"""Reading JPEG XL: samples of any depth, frames of animations, bands, and metadata."""

from typing import IO

import imagecodecs
import numpy as np
from PIL import Image as pillow

from kernelgan_jax.app.images import declared, xmp_packets
from kernelgan_jax.app.images.declared import read_jpegxl as read_header
from kernelgan_jax.app.images.exif import kept_of_block
from kernelgan_jax.app.images.image import MAX_PIXELS, UnusableError
from kernelgan_jax.app.images.metadata import Metadata
from kernelgan_jax.app.images.netpbm import whole_range
from kernelgan_jax.app.images.tiff_decoding import Decoded, straighten

_MAX_UNPACKED = 2**22
"""Bytes of the longest metadata that are kept, unpacked."""

_EXIF, _XMP, _PACKED = b"Exif", b"xml ", b"brob"
"""Boxes of metadata; one that is packed names the kind that it holds."""


def packed_jpeg(file: IO[bytes]) -> bytes | None:
    """The JPEG that was packed as a JPEG XL without loss; None if it is none.

    All its metadata are as they were.
    """
    kinds = {kind for kind, _, _ in declared.boxes(file, 0, file.seek(0, 2))}
    if b"jbrd" not in kinds:
        return None
    file.seek(0)
    try:
        return bytes(imagecodecs.jpegxl_decode_jpeg(file.read(), numthreads=1))
    except imagecodecs.JpegxlError:  # Its metadata may have been changed since.
        return None


def read(
    file: IO[bytes], frame: int, notes: list[str], *, frames: int = 0
) -> tuple[Decoded, Metadata, int]:
    """Reads a JPEG XL, which imagecodecs turns upright.

    Args:
      file: The file.
      frame: Which of its frames, counted from 0.
      notes: Get what is changed or left out.
      frames: The number of frames if it is known; else all of them are decoded.

    Returns:
      The pixels, the metadata, and the number of frames.

    Raises:
      DecompressionBombError: If it is too large.
      UnusableError: If it is CMYK.
      ValueError: If it has no codestream.
      JpegxlError: If the codestream is damaged.
    """
    found = read_header(file)
    if found is None:
        raise ValueError("no codestream")
    if found.width * found.height > MAX_PIXELS:
        raise pillow.DecompressionBombError
    if found.has_inks:
        raise UnusableError("is JPEG XL in CMYK; export it as TIFF")
    file.seek(0)
    if frames > 1:
        stored = imagecodecs.jpegxl_decode(file.read(), index=frame)
    else:
        stored = imagecodecs.jpegxl_decode(file.read())
        # Gray frames have no axis for channels.
        is_animation = stored.ndim == 4 or (stored.ndim == 3 and found.channels == 1)
        frames = len(stored) if is_animation else 1
        if is_animation:
            stored = stored[frame]
    if stored.ndim == 2:
        stored = stored[:, :, np.newaxis]
    # Gray with other samples than alpha comes as planes.
    bands = sorted(stored.shape[:2]) != sorted((found.height, found.width))
    if bands:
        stored = np.moveaxis(stored, 0, -1)
        notes.append(f"{stored.shape[2]} bands, all of them used")
    if stored.dtype.kind == "u":
        stored = whole_range(stored, found.depth, notes)
    has_alpha = not bands and stored.shape[2] in (2, 4)
    if has_alpha and found.lacks_alpha:
        notes.append("a channel beside the colours that is no alpha left out")
        stored, has_alpha = stored[:, :, :-1], False
    if has_alpha and found.is_premultiplied:
        straighten(stored, notes)
    if found.has_profile:
        decoded_as = ", colours as linear sRGB" if found.chunks else ""
        notes.append(f"the ICC profile of JPEG XL left out{decoded_as}")
    metadata = _metadata(file, found.orientation, notes)
    metadata.chunks = found.chunks
    return Decoded(stored, has_alpha, bands), metadata, frames


def _metadata(file: IO[bytes], orientation: int, notes: list[str]) -> Metadata:
    """EXIF and XMP, if the file has a container, of the picture turned upright.

    Of several boxes of a kind only the first is unpacked, as that takes time.
    """
    found, seen = Metadata(), set()
    for kind, start, end in declared.boxes(file, 0, file.seek(0, 2)):
        file.seek(start)
        is_packed = kind == _PACKED
        if is_packed:
            kind, start = file.read(4), start + 4
        if kind not in (_EXIF, _XMP):
            continue
        data = None if kind in seen else _content(file, end - start, is_packed)
        seen.add(kind)
        if data is None:
            found.left_out = ("damaged or long metadata",)
        elif kind == _XMP:
            found.xmp = xmp_packets.turned(data, orientation, notes)
        else:
            block = data[4 + int.from_bytes(data[:4], "big") :]
            found.exif, _ = kept_of_block(block, "JXL", notes, orientation=orientation)
    return found


def _content(file: IO[bytes], length: int, is_packed: bool) -> bytes | None:
    """What is in a box, here in the file; None if it is damaged or too long."""
    if length > _MAX_UNPACKED:
        return None
    data = file.read(length)
    if not is_packed:
        return data
    try:
        return bytes(imagecodecs.brotli_decode(data, out=_MAX_UNPACKED))
    except imagecodecs.BrotliError:
        return None
