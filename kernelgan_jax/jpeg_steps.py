"""The steps to which JPEG rounds the cosine transforms of blocks of 8 x 8 pixels."""

import numpy as np

BLOCK = 8
"""Side of the blocks, pixels."""

LUMA_STEPS = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
"""Steps of luma at quality 50 (ITU-T T.81, table K.1), lowest frequency first."""

CHROMA_STEPS = np.full((BLOCK, BLOCK), 99, np.float32)
CHROMA_STEPS[:4, :4] = [
    [17, 18, 24, 47],
    [18, 21, 26, 66],
    [24, 26, 56, 99],
    [47, 66, 99, 99],
]
"""The same of both colour differences (table K.2)."""
