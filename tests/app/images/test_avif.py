"""What the container of an AVIF says of its picture."""

import io
import struct

import numpy as np
import pytest

from kernelgan_jax.app.images import avif, image_files

CROPPED = bytes.fromhex(
    "00000020667479706176696600000000617669666d6966316d6961664d413141000001256d657461"
    "000000000000002868646c720000000000000000706963740000000000000000000000006c696261"
    "766966000000000e7069746d0000000000010000001e696c6f630000000044000001000100000001"
    "0000014d0000006a0000002869696e660000000000010000001a696e666502000000000100006176"
    "3031436f6c6f72000000009d697072700000007c6970636f00000014697370650000000000000020"
    "00000020000000107069786900000000030808080000000c617631438120000000000013636f6c72"
    "6e636c780001000d00068000000028636c617000000014000000010000000a00000001fffffffe00"
    "000001fffffffb000000010000000969726f74010000001969706d61000000000000000100010601"
    "0283048586000000726d64617412000a0838113ffe5010d069325c11400000400065f86363950c65"
    "29240c24e38dbd0999423f7652b0ed052dc87c276c0dae4260f72bc52557e25c2f0f26ea88529037"
    "498ffa1ae44f6958fea8f0df8fe9193164e2821d251c3a245337c22c16642ef12ec1db91fcd634"
)
"""32 x 32 pixels of ramps by avifenc, of which 20 x 10 are shown, from column 4 and row
6 on, turned by a quarter against the clock."""

BOX = CROPPED.index(b"clap") + 4


def test_what_is_cropped_is_not_read(tmp_path):
    path = tmp_path / "a.avif"
    path.write_bytes(CROPPED)
    image = image_files.read(path)
    rows, columns = np.mgrid[6:16, 4:24]
    shown = np.dstack([8 * columns, 8 * rows, 4 * (rows + columns)])
    np.testing.assert_allclose(image.pixels, np.rot90(shown), atol=3)
    assert "cropped as the file says" in image.conversions


def test_where_the_picture_lies():
    assert avif.crop(io.BytesIO(CROPPED), 32, 32) == (slice(6, 16), slice(4, 24))
    # It is symmetric about the middle but for the offsets.
    assert avif.crop(io.BytesIO(CROPPED), 34, 32) == (slice(6, 16), slice(5, 25))


@pytest.mark.parametrize(
    "box",
    [
        (20, 0, 10, 1, -2, 1, -5, 1),  # a denominator of 0
        (20, 1, 10, 1, -2, 1, -12, 1),  # outside
        (0, 1, 10, 1, -2, 1, -5, 1),  # nothing
        (20, 1, 11, 1, -2, 1, -5, 1),  # half a row
        (20, 3, 10, 1, -2, 1, -5, 1),  # a third of a column
    ],
)
def test_a_crop_that_does_not_fit_is_left_alone(box):
    content = bytearray(CROPPED)
    struct.pack_into(">8i", content, BOX, *box)
    assert avif.crop(io.BytesIO(content), 32, 32) is None


def test_damaged_containers_are_not_cropped():
    for length in range(0, BOX + 60, 3):
        assert avif.crop(io.BytesIO(CROPPED[:length]), 32, 32) in (
            None,
            (slice(6, 16), slice(4, 24)),
        )
    for name in (b"pitm", b"iprp", b"ipco", b"ipma", b"meta"):
        assert avif.crop(io.BytesIO(CROPPED.replace(name, b"free")), 32, 32) is None


def test_a_last_box_larger_than_any_file_is_no_damage(tmp_path):
    path = tmp_path / "a.avif"
    path.write_bytes(CROPPED + struct.pack(">I4sQ", 1, b"free", 2**64 - 1))
    image = image_files.read(path)
    assert "cropped as the file says" in image.conversions
