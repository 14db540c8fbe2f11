"""Pictures of animations that fill a part of their canvas only."""

from typing import IO

import numpy as np

from kernelgan_jax.app.images.tiff_decoding import Decoded


def with_clear_rim(
    decoded: Decoded, place: tuple[int, int, int, int] | None
) -> Decoded:
    """Pixels of a GIF with alpha where its picture leaves some of them out.

    Programs show nothing there, and Pillow some colour.
    """
    if decoded.has_alpha or place is None:
        return decoded
    left, top, right, bottom = place
    alpha = np.zeros((*decoded.stored.shape[:2], 1), np.uint8)
    alpha[top:bottom, left:right] = 255
    if alpha.all():
        return decoded
    return Decoded(np.concatenate([decoded.stored, alpha], axis=2), has_alpha=True)


def without_opaque(decoded: Decoded) -> Decoded:
    """Pixels without an alpha that hides nothing.

    An animated WebP that stores only what changes has one, whatever is shown.
    """
    if decoded.stored[..., -1].min() < 255:
        return decoded
    return Decoded(decoded.stored[..., :-1])


def is_animated_webp(file: IO[bytes]) -> bool:
    """Whether a WebP is an animation, whose frames may be parts of the picture.

    Of that imagecodecs reads no alpha where there is nothing, even of a single frame.
    """
    file.seek(12)
    head = file.read(9)
    return head.startswith(b"VP8X") and bool(head[8] & 2)
