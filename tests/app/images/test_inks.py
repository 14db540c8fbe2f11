"""CMYK by its ICC profile."""

import itertools
import struct

import helpers
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as pillow

from kernelgan_jax.app.images import image_files

PAPER, CYAN, BLACK = (100.0, 0.0, 0.0), (60.0, -20.0, -30.0), (20.0, 0.0, 0.0)
"""CIELab of paper and of two inks; magenta and yellow look like black."""


def profile():
    """An ICC profile for CMYK: a table of two amounts of each ink."""
    corners = []
    for inks in itertools.product((0, 1), repeat=4):
        lab = PAPER if not any(inks) else CYAN if inks == (1, 0, 0, 0) else BLACK
        lab = (0.0, 0.0, 0.0) if all(inks) else lab
        corners += [round(lab[0] * 2.55), round(lab[1] + 128), round(lab[2] + 128)]
    unit = struct.pack(">9i", *(np.eye(3) * 65536).astype(int).ravel())
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0\4\3\2\0" + unit + 4 * ramp + bytes(corners) + 3 * ramp
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"A2B0": table, b"wtpt": white}
    place = 128 + 4 + 12 * len(tags)
    entries, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        entries += struct.pack(">4sII", name, place + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s12x4s", place + len(data), b"", 0x02400000, b"prtr",
                       b"CMYK", b"Lab ", b"acsp")  # fmt: skip
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + entries + data


def srgb(lab):
    """CIELab as sRGB in [0, 1], by the book."""
    middle = (lab[0] + 16) / 116
    parts = np.array([middle + lab[1] / 500, middle, middle - lab[2] / 200])
    linear = np.where(parts > 6 / 29, parts**3, (parts - 4 / 29) * 3 * (6 / 29) ** 2)
    xyz = linear * (0.9642, 1, 0.8249)
    matrix = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    light = np.clip(matrix @ xyz, 0, 1)
    curve = 1.055 * light ** (1 / 2.4) - 0.055
    return np.where(light > 0.0031308, curve, 12.92 * light)


INKS = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0.5]])
COLOURS = [srgb(lab) for lab in (PAPER, CYAN, BLACK, (60.0, 0.0, 0.0))]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
@pytest.mark.parametrize("has_alpha", [False, True])
def test_cmyk_by_its_profile(tmp_path, dtype, has_alpha):
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    pixels = (INKS[np.newaxis] * top).astype(dtype)
    options = {"photometric": "separated", "iccprofile": profile()}
    if has_alpha:
        alpha = helpers.noise(1, 4, 1).astype(dtype)
        pixels = np.concatenate([pixels, alpha], axis=2)
        options["extrasamples"] = ["unassalpha"]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, planarconfig="contig", metadata=None, **options)
    image = image_files.read(path)
    error = 0.0025 if dtype == "uint8" else 0.0005
    np.testing.assert_allclose(image.pixels[0] / top, COLOURS, atol=error)
    assert image.pixels.dtype == dtype and image.icc_profile is None
    assert "CMYK converted to sRGB by its colour profile" in image.conversions
    assert (image.alpha is not None) == has_alpha


def test_a_jpeg_in_cmyk_by_its_profile(tmp_path):
    inks = np.rint(INKS * 255).astype(np.uint8)[:, np.newaxis].repeat(16, axis=0)
    picture = pillow.frombytes("CMYK", (16, 64), inks.repeat(16, axis=1).tobytes())
    path = tmp_path / "a.jpg"
    picture.save(path, quality=100, subsampling=0, icc_profile=profile())
    image = image_files.read(path)
    np.testing.assert_allclose(image.pixels[8::16, 8] / 255, COLOURS, atol=0.015)
    assert image.icc_profile is None and "sRGB by its colour profile" in image.note


def test_a_profile_of_other_colours_is_not_used(tmp_path):
    picture = pillow.new("CMYK", (16, 16), (0, 255, 0, 0))
    path = tmp_path / "a.jpg"
    picture.save(path, quality=100, icc_profile=imagecodecs.cms_profile("srgb"))
    image = image_files.read(path)
    np.testing.assert_allclose(image.pixels[8, 8], (255, 0, 255), atol=2)
    assert "without its colour profile" in image.note
