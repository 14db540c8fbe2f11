"""Metadata of image files: what is read, and what is true of an enlarged image."""

import bisect
import dataclasses
import io
import itertools
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import IO, Any

from PIL import Image as pillow

from kernelgan_jax.app.images import xmp_packets
from kernelgan_jax.app.images.image import Image

COLOUR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
"""Chunks of a PNG that say what its colours mean."""

GEO_TAGS = {
    33550: "d",  # ModelPixelScale
    33922: "d",  # ModelTiepoint
    34264: "d",  # ModelTransformation
    34735: "H",  # GeoKeyDirectory
    34736: "d",
    34737: "s",
    50844: "d",  # RPCCoefficient
    42112: "s",  # Metadata of GDAL
    42113: "s",  # The value that stands for no data
}
"""Tags of a GeoTIFF, with the type that tifffile writes."""

_RASTER_TYPE, _IS_POINT = 1025, 2
"""The key, and its value if coordinates are of the pixels' centres."""

_RPC, _RPC_OFFSETS, _RPC_SCALES = 50844, slice(2, 4), slice(7, 9)
"""The tag of a camera model by rational polynomials (NGA's RPC00B, as GDAL writes it),
and its values for lines and samples of the image, which are of the pixels' centres."""

_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")

_PLAIN_CHUNKS = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf"),
    *(b"acTL", b"fcTL", b"fdAT"),
)
"""Chunks that the decoders of pixels read."""

_TRIVIAL_CHUNKS = (b"tIME", b"sBIT", b"hIST", b"sPLT", b"pHYs")
"""Chunks of which nobody misses what is not kept."""

_BEHIND_HEADER = 2
"""The place among a PNG's parts after its first bytes and the header."""

_MAX_TEXT = 2**20
"""Bytes of the longest text that is kept. Pillow refuses a PNG with a longer one that
is compressed."""

_MAX_CHUNK = 2**26
"""Bytes of the longest chunk of metadata that is looked at."""

_MAX_PROFILE = 2**26
"""Bytes of the longest ICC profile that is kept."""

_MOST_NAMED = 8
"""Chunks that are left out of which each is named."""

_XMP_KEYWORD = b"XML:com.adobe.xmp\0"

_EXIF_KEYWORD = b"Raw profile type exif\0"
"""Keyword of EXIF in digits, as ImageMagick writes it."""

_RAW_XMP_KEYWORD = b"Raw profile type xmp\0"
"""The same of an XMP packet."""

_TEXT_ON_LAYOUT = re.compile(
    rb"(?:exif|tiff|xmp):(?:thumbnail:.*|Image(?:Width|Length)|Orientation"
    rb"|Pixel[XY]Dimension|ExifImage(?:Width|Length)|Subject(?:Area|Location)"
    rb"|FocalPlane[XY]Resolution|ExifOffset|GPSInfo|InteroperabilityOffset)\0"
)
"""Keywords under which ImageMagick repeats what EXIF and XMP say of sizes and places,
which are others when the image is enlarged."""

_INCH = 0.0254
"""Metres of an inch."""


@dataclasses.dataclass
class Metadata:
    """Fields of `Image` that are not pixels."""

    icc_profile: bytes | None = None
    """The ICC profile, or None."""
    exif: bytes | None = None
    """The EXIF block without orientation, or None."""
    xmp: bytes | None = None
    """The XMP packet, or None."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch, or None."""
    aspect: tuple[int, int] | None = None
    """Pixels per unknown unit, or None."""
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    """Chunks of a PNG that are kept as they are."""
    geo: Mapping[int, Any] = dataclasses.field(default_factory=dict)
    """Tags of a GeoTIFF that are kept, by their numbers."""
    left_out: tuple[str, ...] = ()
    """Names of what is in the file and not kept."""


# --- PNG ---


class Spliced(io.RawIOBase):
    """Parts of an open file, one behind the other, as a file; nothing is copied.

    Args:
      file: The file.
      parts: Start and length of each part, or bytes that stand between them.
    """

    def __init__(self, file: IO[bytes], parts: Sequence[tuple[int, int] | bytes]):
        self._file, self._place = file, 0
        self._parts = [
            (part, 0, len(part)) if isinstance(part, bytes) else (b"", *part)
            for part in parts
        ]
        lengths = (length for _, _, length in self._parts)
        self._ends = list(itertools.accumulate(lengths))
        self._size = self._ends[-1] if self._ends else 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = (0, self._place, self._size)[whence] + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        # Searched, as a damaged file may have millions of parts that are empty.
        number = bisect.bisect_right(self._ends, self._place)
        if number == len(self._parts):
            return 0
        given, start, length = self._parts[number]
        inside = self._place - (self._ends[number] - length)
        most = min(length - inside, len(buffer))
        data = given[inside : inside + most]
        if not given:
            self._file.seek(start + inside)
            data = self._file.read(most)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def split_png(file: IO[bytes], notes: list[str]) -> tuple[Spliced, Metadata]:
    """Takes the metadata out of a PNG, however long they are.

    Args:
      file: The file.
      notes: Gets a note on everything that is left out.

    Returns:
      The PNG with EXIF and its pixels alone, in this order, and the other metadata. A
      file that is damaged in the chunks of its pixels is returned with these as they
      are.
    """
    found = Metadata()
    size = file.seek(0, io.SEEK_END)
    plain: list[tuple[int, int] | bytes] = [(0, 8)]
    chunks, left_out = [], []
    at = 8
    while at + 12 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        here, at = at, at + 12 + length
        if kind in _PLAIN_CHUNKS or at > size:
            place = _BEHIND_HEADER if kind == b"eXIf" else len(plain)
            plain.insert(place, (here, min(at, size) - here))
            if kind == b"IEND":  # Whatever lies behind is no part of the picture.
                at = size
            continue
        if length > _MAX_CHUNK:
            left_out.append(f"{length:,} bytes of {kind.decode('latin-1')}")
            continue
        body, check = file.read(length), file.read(4)
        if struct.pack(">I", zlib.crc32(kind + body)) != check:
            left_out.append(f"damaged {kind.decode('latin-1')}")
        elif kind == b"iCCP":
            found.icc_profile = _unpacked_profile(body)
            if found.icc_profile is None:
                left_out.append("an ICC profile that cannot be read")
        elif kind == b"pHYs" and length == 9:
            _read_density(body, found)
        elif kind in _TEXT_CHUNKS:
            is_xmp = kind == b"iTXt" and body.startswith(_XMP_KEYWORD)
            text = _text_of(kind, body, _MAX_CHUNK if is_xmp else _MAX_TEXT)
            if text is None:
                left_out.append(f"{length:,} bytes of text")
            elif is_xmp:
                found.xmp = text
            elif body.startswith(_RAW_XMP_KEYWORD) and (xmp := _raw_profile(text)):
                found.xmp = found.xmp or xmp
            elif body.startswith(_EXIF_KEYWORD):  # For Pillow, as EXIF.
                plain.insert(_BEHIND_HEADER, (here, at - here))
            elif not _TEXT_ON_LAYOUT.match(body):
                chunks.append((kind, body))
        elif kind in COLOUR_CHUNKS:
            chunks.append((kind, body))
        elif kind[:1].isupper():  # A critical chunk: the decoder refuses it.
            plain.append((here, at - here))
        elif kind not in _TRIVIAL_CHUNKS:
            left_out.append(f"the chunk {kind.decode('latin-1')}")
    plain.append((at, max(size - at, 0)))
    found.chunks = tuple(chunks)
    named = list(dict.fromkeys(left_out))
    if len(named) > _MOST_NAMED:
        named[_MOST_NAMED:] = [f"{len(named) - _MOST_NAMED:,} kinds of other chunks"]
    notes.extend(f"{text} left out" for text in named)
    return Spliced(file, plain), found


def png_chunks(image: Image) -> list[tuple[bytes, bytes]]:
    """The chunks between the header and the pixels of a PNG that keep the metadata."""
    chunks = [chunk for chunk in image.chunks if chunk[0] in COLOUR_CHUNKS]
    if image.icc_profile is not None:
        # The rules of PNG allow only one of both.
        chunks = [chunk for chunk in chunks if chunk[0] != b"sRGB"]
        packed = b"ICC profile\0\0" + zlib.compress(image.icc_profile)
        chunks.append((b"iCCP", packed))
    if image.dpi is not None:
        per_metre = [min(max(round(x / _INCH), 1), 2**31 - 1) for x in image.dpi]
        chunks.append((b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    elif image.aspect is not None:
        chunks.append((b"pHYs", struct.pack(">IIB", *image.aspect, 0)))
    if image.exif is not None:
        chunks.append((b"eXIf", image.exif.removeprefix(b"Exif\0\0")))
    if image.xmp is not None:
        chunks.append((b"iTXt", _XMP_KEYWORD + b"\0\0\0\0" + image.xmp))
    return chunks + [chunk for chunk in image.chunks if chunk[0] in _TEXT_CHUNKS]


def _text_of(kind: bytes, body: bytes, most: int) -> bytes | None:
    """The text in a chunk, unpacked; None if it is damaged or has more bytes."""
    text = body.partition(b"\0")[2]
    is_packed = kind == b"zTXt"
    if kind == b"iTXt":  # Two flags, the language, and the keyword translated.
        is_packed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]
    elif is_packed:
        text = text[1:]
    if is_packed:
        try:
            text = zlib.decompressobj().decompress(text, most + 1)
        except zlib.error:
            return None
    return text if len(text) <= most else None


def _raw_profile(text: bytes) -> bytes | None:
    """What ImageMagick writes in digits, behind a name and a length, each in a line.

    None if it is damaged.
    """
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode())
    except ValueError:
        return None


def _unpacked_profile(body: bytes) -> bytes | None:
    _, _, rest = body.partition(b"\0")
    reader = zlib.decompressobj()
    try:
        profile = reader.decompress(rest[1:], _MAX_PROFILE)
    except zlib.error:
        return None
    return profile if reader.eof and profile else None


def _read_density(body: bytes, found: Metadata) -> None:
    x, y, unit = struct.unpack(">IIB", body)
    if not (x and y):
        return
    if unit == 1:
        found.dpi = (x * _INCH, y * _INCH)
    elif x != y:
        found.aspect = (x, y)


# --- Colours by their codes ---

_AS_SRGB = (1, 2, 6, 13)
"""Transfer functions that programs show as sRGB, and that of unknown colours."""


def colour_chunks(primaries: int, transfer: int) -> tuple[tuple[bytes, bytes], ...]:
    """The chunk of a PNG for colours by their codes in ITU-T H.273; none for sRGB."""
    if primaries in (1, 2) and transfer in _AS_SRGB:
        return ()
    return ((b"cICP", bytes([primaries & 255, transfer & 255, 0, 1])),)  # Full range.


# --- BMP ---

_BMP_EMBEDDED = b"DEBM"
"""What a BMP of version 5 has as its colour space if a profile is in the file."""


def of_bmp(file: IO[bytes]) -> Metadata:
    """Density of a BMP, and its ICC profile if it is one."""
    file.seek(14)
    header = file.read(124)
    found = Metadata()
    if len(header) >= 40 and header[0] >= 40:
        x, y = (
            per_metre * _INCH for per_metre in struct.unpack_from("<II", header, 24)
        )
        if 1 < min(x, y) and max(x, y) < 1e6:  # 1 stands for none.
            found.dpi = (x, y)
    if len(header) == 124 and header[0] >= 124 and header[56:60] == _BMP_EMBEDDED:
        start, length = struct.unpack_from("<II", header, 112)
        file.seek(14 + start)
        profile = file.read(min(length, _MAX_PROFILE))
        found.icc_profile = profile if profile[36:40] == b"acsp" else None
    return found


# --- What the formats of Pillow say ---


def of_pillow(image: pillow.Image) -> Metadata:
    """ICC profile, XMP and density of an image that Pillow has opened."""
    info = image.info
    found = Metadata(icc_profile=info.get("icc_profile") or None)
    xmp = info.get("xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    xmp = xmp if isinstance(xmp, bytes) and xmp else None
    found.xmp = xmp and xmp_packets.alone(xmp)
    found.left_out = (
        "what XMP has beyond its first packet" if found.xmp != xmp else "",
        "IPTC and data of Photoshop" if info.get("photoshop") else "",
        "a comment" if info.get("comment") else "",
    )
    if "jfif_density" in info:
        x, y = info["jfif_density"]
        per_inch = {1: 1.0, 2: 2.54}.get(info.get("jfif_unit", 0))
        if x > 0 and y > 0 and per_inch:
            found.dpi = (x * per_inch, y * per_inch)
        elif x > 0 and y > 0 and x != y:
            found.aspect = (x, y)
    return found


# --- A georeference ---


def enlarged_geo(geo: Mapping[int, Any], scale: int) -> dict[int, Any]:
    """The tags of a GeoTIFF for smaller pixels that cover the same ground.

    The column i becomes `scale*i`, or `scale*i + (scale - 1)/2` where coordinates are
    of the centres of pixels.
    """
    found = dict(geo)
    keys = geo.get(34735, ())
    entries = [tuple(keys[at : at + 4]) for at in range(4, len(keys) - 3, 4)]
    is_point = (_RASTER_TYPE, 0, 1, _IS_POINT) in entries
    shift = (scale - 1) / 2 if is_point else 0.0
    if 33550 in geo:
        x, y, *rest = geo[33550]
        found[33550] = (x / scale, y / scale, *rest)
    if 33922 in geo:
        points = list(geo[33922])
        for at in range(0, len(points) - 5, 6):
            points[at : at + 2] = [scale * p + shift for p in points[at : at + 2]]
        found[33922] = tuple(points)
    if 34264 in geo and len(geo[34264]) == 16:
        matrix = list(geo[34264])
        for row in range(0, 12, 4):
            matrix[row : row + 2] = [m / scale for m in matrix[row : row + 2]]
            matrix[row + 3] -= shift * (matrix[row] + matrix[row + 1])
        found[34264] = tuple(matrix)
    if _RPC in geo and len(geo[_RPC]) > _RPC_SCALES.stop:
        model = list(geo[_RPC])
        centre = (scale - 1) / 2
        model[_RPC_OFFSETS] = [scale * at + centre for at in model[_RPC_OFFSETS]]
        model[_RPC_SCALES] = [scale * part for part in model[_RPC_SCALES]]
        found[_RPC] = tuple(model)
    return found
