"""XMP packets: what they say of an image's size and orientation, and its changes.

They are text in XML, whose values are attributes or elements, and are changed where
they stand: the rest stays as it is, bit for bit.
"""

import re
from collections.abc import Callable
from decimal import Decimal

_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])")
"""The orientation, as an attribute or an element."""

_IN_PIXELS = (
    rb"GPano:(?:CroppedArea|FullPano)\w+Pixels",
    rb"GPano:LargestValidInteriorRect(?:Left|Top|Width|Height)",
    rb"exif:FocalPlane[XY]Resolution",  # Pixels of a sensor's unit of length.
)
"""Names of values that grow with an image; a fraction grows by its numerator."""

_SUBJECT = rb"<(exif:Subject(?:Area|Location))\s*>.{0,500}?</\1\s*>"
"""The place of the subject, a list of up to four numbers in pixels."""

SUBJECT_LEFT_OUT = "place of the subject left out, as it is not upright"
"""The note on that, whether XMP or EXIF had it."""

_EXTENDED = (
    rb"\sxmpNote:HasExtendedXMP\s*=\s*(?:\"[^\"]*\"|'[^']*')"
    rb"|<xmpNote:HasExtendedXMP\s*>[^<]*</xmpNote:HasExtendedXMP\s*>"
)
"""What points to another packet of a JPEG."""

_COMPANION = (
    rb"hdrgm:\w+|(?:G?Camera|OpCamera):(?:MotionPhoto|MicroVideo)\w*"
    rb"|(?:GDepth|GImage|GAudio):\w+|G?Container:Directory"
)
"""Names of values about a gain map, video, depth map or sound beside the picture."""

_COMPANION_VALUE = re.compile(rb"\s(?:%b)\s*=\s*(?:\"[^\"]*\"|'[^']*')" % _COMPANION)
_COMPANION_START = re.compile(rb"<(%b)\b[^<>]*>" % _COMPANION)


def orientation_of(xmp: bytes | None) -> int:
    """The orientation that an XMP packet states, 1 to 8; 1 if there is none."""
    found = _ORIENTATION.search(xmp or b"")
    return int(found[1]) if found else 1


def alone(xmp: bytes) -> bytes:
    """The packet without what points to the rest of a long one."""
    return re.sub(_EXTENDED, b"", xmp)


def without_companions(xmp: bytes | None, notes: list[str]) -> bytes | None:
    """The packet without values about data beside the picture, which are not kept.

    Programs would look for them in the enlarged image.

    Args:
      xmp: The packet.
      notes: Gets a note if something is left out.
    """
    if xmp is None:
        return None
    found = _COMPANION_VALUE.sub(b"", xmp)
    parts, at = [], 0
    while start := _COMPANION_START.search(found, at):
        end = start.end()
        if not start[0].endswith(b"/>"):
            close = b"</" + start[1] + b">"
            end = found.find(close, end) + len(close)
        if end < start.end():  # It is not closed.
            break
        parts.append(found[at : start.start()])
        at = end
    found = b"".join([*parts, found[at:]])
    if found != xmp:
        notes.append("gain map, video or depth that XMP speaks of left out")
    return found


def turned(xmp: bytes | None, orientation: int, notes: list[str]) -> bytes | None:
    """The packet of an image that has been turned upright from an orientation, 1 to 8.

    The place of the subject is left out, with a note if EXIF has not given it: it is
    that in the pixels as they were.
    """
    if xmp is None or orientation == 1:
        return xmp
    xmp, places = re.subn(_SUBJECT, b"", xmp, flags=re.DOTALL)
    if places and SUBJECT_LEFT_OUT not in notes:
        notes.append(SUBJECT_LEFT_OUT)
    if orientation < 5:
        return xmp
    xmp = _exchanged(xmp, rb"\b(tiff:|exif:FocalPlane)([XY])(?=Resolution\b)")
    if _has_pixels_alone(xmp):
        xmp = _exchanged(xmp, rb"\b(stDim:)([wh])\b")
    return xmp


def enlarged(xmp: bytes | None, width: int, height: int, scale: int) -> bytes | None:
    """The packet with the size of the image that it is written into, upright.

    Args:
      xmp: The packet of the image that was enlarged.
      width: Pixels of a row, after that.
      height: Number of rows, after that.
      scale: By how much it was enlarged.
    """
    if xmp is None:
        return None
    xmp = _with(
        xmp, rb"(?:tiff:ImageWidth|exif:PixelXDimension)", lambda _: Decimal(width)
    )
    xmp = _with(
        xmp, rb"(?:tiff:ImageLength|exif:PixelYDimension)", lambda _: Decimal(height)
    )
    xmp = _with(xmp, rb"tiff:Orientation", lambda _: Decimal(1))

    def larger(value: Decimal) -> Decimal:
        return scale * value

    names = list(_IN_PIXELS)
    if _has_pixels_alone(xmp):
        names.append(rb"stDim:[wh]")
    xmp = _with(xmp, rb"(?:%b)" % b"|".join(names), larger)
    return re.sub(
        _SUBJECT,
        lambda found: _with(found[0], rb"rdf:li", larger),
        xmp,
        flags=re.DOTALL,
    )


def _has_pixels_alone(xmp: bytes) -> bool:
    """Whether no dimensions in a packet are in another unit than pixels."""
    units = re.findall(rb"stDim:unit\s*(?:=\s*[\"']|>)\s*(\w+)", xmp)
    return {unit.lower() for unit in units} <= {b"pixel", b"pixels"}


def _exchanged(xmp: bytes, names: bytes) -> bytes:
    """The packet with names of values across and down exchanged."""
    other = {b"X": b"Y", b"Y": b"X", b"w": b"h", b"h": b"w"}
    return re.sub(names, lambda found: found[1] + other[found[2]], xmp)


def _with(xmp: bytes, name: bytes, change: Callable[[Decimal], Decimal]) -> bytes:
    """The packet with the numbers changed at which values of a name begin."""

    def changed(found: re.Match[bytes]) -> bytes:
        value = change(Decimal(found[2].decode()))
        return found[1] + f"{value.normalize():f}".encode()

    places = rb"(%b\s*=\s*[\"']\s*|<%b\s*>\s*)(\d+(?:\.\d+)?)" % (name, name)
    return re.sub(places, changed, xmp)
