"""Reading HEIC, by an extra package, with all its bits."""

from typing import IO

import numpy as np
from PIL import Image as pillow

from kernelgan_jax.app.images import xmp_packets
from kernelgan_jax.app.images.exif import kept_of_block
from kernelgan_jax.app.images.image import MAX_PIXELS, UnusableError
from kernelgan_jax.app.images.metadata import Metadata, colour_chunks
from kernelgan_jax.app.images.netpbm import whole_range
from kernelgan_jax.app.images.tiff_decoding import Decoded, straighten


def read(file: IO[bytes], notes: list[str]) -> tuple[Decoded, Metadata]:
    """Reads the main picture of a HEIC, which the decoder turns upright.

    Args:
      file: The file.
      notes: Get what is changed or left out.

    Raises:
      UnusableError: If pillow-heif is not installed.
      DecompressionBombError: If it is too large.
    """
    try:
        import pillow_heif
    except ImportError:
        raise UnusableError(
            'is HEIC, which needs pip install "kernelgan-jax[heic]"; or export it as '
            "JPEG or PNG"
        ) from None
    file.seek(0)
    opened = pillow_heif.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    if opened.size[0] * opened.size[1] > MAX_PIXELS:
        raise pillow.DecompressionBombError
    if len(opened) > 1:
        notes.append(f"only the main one of its {len(opened)} pictures used")
    if opened.info.get("aux") or opened.info.get("depth_images"):
        notes.append("gain maps, depth or mattes beside it left out")
    stored = np.asarray(opened)
    if stored.dtype == np.uint16 or opened.premultiplied_alpha:
        stored = stored.copy()  # What was decoded cannot be changed.
    stored = whole_range(stored, opened.info["bit_depth"], notes)
    if stored.ndim == 2:
        stored = stored[:, :, np.newaxis]
    if opened.premultiplied_alpha:
        straighten(stored, notes)
    metadata = Metadata(opened.info.get("icc_profile"), xmp=opened.info.get("xmp"))
    colours = opened.info.get("nclx_profile")
    if colours and metadata.icc_profile is None:
        codes = colours["color_primaries"], colours["transfer_characteristics"]
        metadata.chunks = colour_chunks(*map(int, codes))
    if block := opened.info.get("exif"):
        metadata.exif, orientation = kept_of_block(block, "HEIF", notes)
        metadata.xmp = xmp_packets.turned(metadata.xmp, orientation, notes)
    return Decoded(stored, stored.shape[2] in (2, 4)), metadata
