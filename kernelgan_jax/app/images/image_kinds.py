"""Which kind of image a file is, by its first bytes; camera raw files."""

RAW_SUFFIXES = frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos .mrw .nef "
    ".nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f".split()
)
"""Suffixes, in lower case, of the raw files of cameras."""

RAW = (
    "is a camera raw file, of which only the preview could be read; develop it and "
    "export it as 16-bit TIFF or PNG"
)
"""What is wrong with a camera raw file."""

_RAW_STARTS = (
    b"FUJIFILMCCD-RAW",
    b"FOVb",
    b"\0MRM",
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"IIU\0",
    b"ARRI",
)
"""First bytes of raw files that are no TIFF by the book."""

OF_IPHONE = b"CgBI"
"""What the first chunk of a PNG is called that was made for an app of an iPhone."""

_OTHERS = (
    (
        12,
        OF_IPHONE,
        "a PNG of an iPhone's app (CgBI); convert it with "
        "pngcrush -revert-iphone-optimizations",
    ),
    (0, b"8BPS", "a Photoshop file; export it as PNG or TIFF"),
    (0, b"gimp xcf", "a GIMP file; export it as PNG or TIFF"),
    (0, b"%PDF", "a PDF; export the picture in it as PNG or TIFF"),
    (0, b"%!PS", "PostScript; export the picture in it as PNG or TIFF"),
    (0, b"v/1\x01", "an OpenEXR file; export it as floating-point TIFF"),
    (0, b"#?RADIANCE", "a Radiance HDR file; export it as floating-point TIFF"),
    (0, b"II\xbc", "a JPEG XR; export it as PNG or TIFF"),
    (0, b"DDS ", "a texture of DirectX; export it as PNG"),
    (0, b"qoif", "a QOI image; export it as PNG"),
    (0, b"\0\0\1\0", "an icon; export its largest picture as PNG"),
    (0, b"\n\5\1", "a PCX image; export it as PNG"),
    (0, b"\1\xda", "an SGI image; export it as PNG or TIFF"),
    (0, b"P7 332", "a thumbnail of XV; take the picture itself"),
    (0, b"SIMPLE  =", "a FITS file; export it as floating-point TIFF"),
    (0, b"XISF", "a PixInsight file (XISF); export it as floating-point TIFF"),
    (0, b"SDPX", "a film frame (DPX); export it as 16-bit TIFF"),
    (0, b"XPDS", "a film frame (DPX); export it as 16-bit TIFF"),
    (0, b"\x80\x2a\x5f\xd7", "a film frame (Cineon); export it as 16-bit TIFF"),
    (0, b"\x59\xa6\x6a\x95", "a Sun raster; export it as PNG"),
    (0, b"NRRD000", "an NRRD volume; export its slices as 16-bit TIFF"),
    (0, b"ZISRAWFILE", "a microscope's file (CZI); export it as TIFF"),
    (0, b"\xda\xce\xbe\x0a", "a microscope's file (ND2); export it as TIFF"),
    (0, b"\xd0\xcf\x11\xe0", "a document of Microsoft (OLE); export its picture"),
    (128, b"DICM", "a DICOM file; export its images as 16-bit TIFF or PNG"),
    (0, b"\x89HDF", "an HDF5 file; export the image in it as TIFF"),
    (0, b"CDF", "a NetCDF file; export the image in it as TIFF"),
    (0, b"\x93NUMPY", "a NumPy array; call the library with it, or save it as TIFF"),
    (0, b"PK\x03\x04", "a ZIP archive; unpack it"),
    (0, b"MATLAB", "a MATLAB file; save the image in it with imwrite, as PNG or TIFF"),
    (344, b"n+1\0", "a NIfTI volume; export its slices as 16-bit TIFF"),
    (0, b"\x1f\x8b", "compressed with gzip; unpack it"),
    (0, b"BZh", "compressed with bzip2; unpack it"),
    (0, b"\xfd7zXZ", "compressed with xz; unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it"),
    (0, b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (0, b"Rar!", "a RAR archive; unpack it"),
    (257, b"ustar", "a tar archive; unpack it"),
    (4, b"ftyp", "a video; take pictures out of it, as with ffmpeg"),
    (0, b"\x1aE\xdf\xa3", "a video; take pictures out of it, as with ffmpeg"),
    (8, b"AVI ", "a video; take pictures out of it, as with ffmpeg"),
    (0, b"version https://git-lfs", "a pointer of Git LFS; git lfs pull brings it"),
)
"""Kinds that are often given by mistake: where what stands, what they are, what to do.
"""

PNG_START = b"\x89PNG\r\n\x1a\n"
"""First bytes of PNG."""

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF."""

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")


def other_kind(head: bytes) -> str:
    """What a file is that cannot be read as an image, and what to do with it.

    Args:
      head: The first 512 bytes of the file.

    Returns:
      A text that names the kind; empty if nothing is known of it.
    """
    if kind_of(head[:32]) == "avif":
        return "an AVIF that is damaged or incomplete; copy or export it again"
    for place, start, text in _OTHERS:
        if head.startswith(start, place):
            return text
    words = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in words and words.startswith(b"<"):
        return "an SVG drawing, which has no pixels; export it as PNG"
    if words.startswith((b"<!doctype html", b"<html")):
        return "a web page and not the image; download it again"
    return ""


def kind_of(head: bytes) -> str:
    """The kind of a file by its first 32 bytes.

    Returns:
      `raw`, `tiff`, `png`, `jpegxl`, `jpeg2000`, `avif`, `heic`, `pfm`, `pnm`, `pam`,
      `jpeg`, or `other`, which Pillow may know.
    """
    if head.startswith(_RAW_STARTS) or head[6:14] == b"HEAPCCDR":
        return "raw"
    if head.startswith(TIFF_STARTS):
        return "raw" if head[8:10] == b"CR" else "tiff"
    if head.startswith(PNG_START):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "jpegxl"
    if head.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")):
        return "jpeg2000"
    if head[4:8] == b"ftyp":
        return _kind_of_box(head)
    if head[:2] in (b"PF", b"Pf") and head[2:3].isspace():
        return "pfm"
    if head[:2] in (b"P2", b"P3", b"P4", b"P5", b"P6") and head[2:3].isspace():
        return "pnm"
    if head.startswith((b"P7\n", b"P7\r\n")):
        return "pam"
    return "other"


def _kind_of_box(head: bytes) -> str:
    """The kind of a file in the container of MPEG-4, by its brands."""
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, len(head) - 3, 4))]
    if brands[0] == b"crx ":
        return "raw"
    if b"avif" in brands or b"avis" in brands:
        return "avif"
    if brands[0] in _HEIC_BRANDS or not set(brands).isdisjoint(_HEIC_BRANDS):
        return "heic"
    return "heic" if brands[0] in (b"mif1", b"msf1") else "other"
