"""Photographs for training: decoded once, drawn by their gradients.

Large parts of photographs are sky or out of focus, and teach nothing. Patches are
drawn from cells of 64 x 64 pixels in proportion to their mean gradient, from each
photograph and from the same at half its size, which is sharper. A few patches are
rendered text, drawn lines or flat areas. NumPy, on the host.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL = 64
"""Side of the cells that patches are drawn from."""

EVEN = 0.08
"""Part of the patches that is drawn without regard to gradients."""

DRAWN = 0.06
"""Part of the patches that is rendered: text, lines or flat areas."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


class Photographs(NamedTuple):
    """Decoded photographs, and where to draw patches from."""

    pixels: list[np.ndarray]
    """`H x W x 3` uint8 each."""
    cells: np.ndarray
    """`N x 3`: photograph, first row and first column of each cell."""
    chances: np.ndarray
    """`N`: cumulative chances of the cells."""


def find(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name.

    Raises:
      ValueError: If there is none.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"photos is {str(folder)!r}; it must hold image files")
    return paths


def load(paths: Sequence[Path], *, least: int) -> Photographs:
    """Decodes photographs, about 3.75 bytes per pixel in memory.

    Args:
      paths: Image files.
      least: Side of the largest patch; smaller images are left out.

    Raises:
      ValueError: If no image is large enough.
    """
    pixels = []
    for path in paths:
        with Image.open(path) as file:
            whole = file.convert("RGB")
        half = whole.resize(
            (whole.width // 2, whole.height // 2), Image.Resampling.BICUBIC
        )
        pixels += [
            np.asarray(x) for x in (whole, half) if min(x.width, x.height) >= least
        ]
    if not pixels:
        raise ValueError(f"photos has no image of at least {least} pixels at each side")
    cells, weights = [], []
    for index, photo in enumerate(pixels):
        luma = photo[..., 1].astype(np.float32)
        steps = np.abs(np.diff(luma, axis=0))[:, :-1] + np.abs(np.diff(luma))[:-1]
        for row in range(0, photo.shape[0] - CELL + 1, CELL):
            for column in range(0, photo.shape[1] - CELL + 1, CELL):
                part = steps[row : row + CELL, column : column + CELL]
                cells.append((index, row, column))
                weights.append(part.mean())
    weight = np.minimum(weights, np.percentile(weights, 95))
    weight = (1 - EVEN) * weight / weight.sum() + EVEN / len(weight)
    return Photographs(pixels, np.array(cells), np.cumsum(weight))


def draw(
    rng: np.random.Generator, photographs: Photographs, *, size: int, count: int
) -> np.ndarray:
    """Draws patches, turned and mirrored at random.

    Args:
      rng: Random generator.
      photographs: As `load` gives them.
      size: Side of the patches.
      count: How many.

    Returns:
      `count x size x size x 3` uint8.
    """
    patches = np.empty((count, size, size, 3), np.uint8)
    for i in range(count):
        if rng.random() < DRAWN:
            patch = render(rng, size)
        else:
            cell = int(np.searchsorted(photographs.chances, rng.random()))
            index, *corner = photographs.cells[min(cell, len(photographs.cells) - 1)]
            photo = photographs.pixels[index]
            # The cell lies somewhere in the patch.
            top, left = (
                int(np.clip(c - rng.integers(0, max(size - CELL, 0) + 1), 0, n - size))
                for c, n in zip(corner, photo.shape[:2], strict=True)
            )
            patch = photo[top : top + size, left : left + size]
        patch = np.rot90(patch, int(rng.integers(4)))
        patches[i] = patch[:, ::-1] if rng.random() < 0.5 else patch
    return patches


def render(rng: np.random.Generator, size: int) -> np.ndarray:
    """Renders text, lines or a flat area, `size x size x 3` uint8."""
    paper, ink = (tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(2))
    if rng.random() < 0.5:  # Most pages are black on white, or the reverse.
        paper, ink = (255,) * 3, (int(rng.integers(0, 80)),) * 3
        if rng.random() < 0.3:
            paper, ink = ink, paper
    canvas = Image.new("RGB", (size, size), paper)
    pen = ImageDraw.Draw(canvas)
    kind = rng.random()
    if kind < 0.6:
        height = int(rng.integers(9, 32))
        font = ImageFont.load_default(height)
        letters = np.array(
            list("abcdefghijklmnopqrstuvwxyzABCDEFGHIKLMNOP 0123456789.,")
        )
        for top in range(int(rng.integers(0, 8)), size, int(height * 1.3)):
            text = "".join(rng.choice(letters, 2 * size // height + 4))
            pen.text((-int(rng.integers(0, height)), top), text, ink, font)
    elif kind < 0.9:
        for _ in range(int(rng.integers(3, 20))):
            points = [tuple(p) for p in rng.integers(-8, size + 8, (2, 2)).tolist()]
            if rng.random() < 0.7:
                pen.line(points, ink, int(rng.integers(1, 6)))
            else:
                (a, b), (c, d) = points
                box = [min(a, c), min(b, d), max(a, c), max(b, d)]
                pen.ellipse(box, outline=ink, width=int(rng.integers(1, 4)))
    return np.asarray(canvas)
