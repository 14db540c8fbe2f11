"""Photographs for training: decoded once, drawn by their gradients.

Large parts of photographs are sky or out of focus, and teach nothing. Patches are
drawn from cells of 64 x 64 pixels in proportion to their mean gradient, from each
photograph and from the same at smaller sizes, which is sharper. A few patches are of
rendered pages: text, drawn lines or flat areas. All pixels lie on the device, where
patches are cut, so that a GPU does not wait for the host.
"""

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL = 64
"""Side of the cells that patches are drawn from."""

EVEN = 0.08
"""Part of the patches that is drawn without regard to gradients."""

PAGES = 200
"""Rendered pages beside the photographs."""

RENDERED = 0.06
"""Part of the patches that is of rendered pages."""

SIZES = (1.0, 0.5)
"""Sizes in which each photograph is used, relative to the file's."""

MAX_PIXELS = 2**31 - 1
"""Most pixels in memory, of all photographs at all sizes: int32 counts them."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


class Photographs(NamedTuple):
    """Decoded photographs, and where to draw patches from. Arrays of NumPy or JAX."""

    pixels: Any
    """`P x 3` uint8: of all photographs, one after the other, row by row."""
    starts: Any
    """`n` int32: first pixel of each photograph."""
    shapes: Any
    """`n x 2` int32: height and width of each."""
    cells: Any
    """`N x 3` int32: photograph, first row and first column of each cell."""
    chances: Any
    """`N` float32: cumulative chances of the cells."""


def find(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name.

    Raises:
      ValueError: If there is none.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"photos is {str(folder)!r}; it must hold image files")
    return paths


def check_held_out(count: int, photos: int) -> None:
    """Checks how many of so many photographs are for validation.

    Raises:
      ValueError: If none is, or none is left.
    """
    if not 1 <= count < photos:
        raise ValueError(
            f"held_out is {count}; it must be from 1 to {photos - 1}, as there are "
            f"{photos} photographs; take more of them"
        )


def hold_out(paths: Sequence[Path], count: int) -> tuple[list[Path], list[Path]]:
    """Parts files into those of training and those of validation.

    Args:
      paths: All files.
      count: How many are for validation: every so many in their order.
    """
    every = len(paths) // count
    held = list(paths)[every - 1 :: every][:count]
    return [path for path in paths if path not in held], held


def load(
    paths: Sequence[Path],
    *,
    least: int,
    sizes: Sequence[float] = SIZES,
    pages: int = PAGES,
) -> Photographs:
    """Decodes photographs, 3 bytes in memory for each pixel of each size.

    Args:
      paths: Image files.
      least: Side of the largest patch; smaller images are left out.
      sizes: At which each photograph is kept, relative to the file's.
      pages: How many pages are rendered beside the photographs.

    Raises:
      ValueError: If no image is large enough, all are flat, or they have more than
        `MAX_PIXELS` pixels in all.
    """
    with ThreadPoolExecutor() as pool:
        pixels = [
            image
            for images in pool.map(functools.partial(_decode, sizes=sizes), paths)
            for image in images
            if min(image.shape[:2]) >= least
        ]
        if not pixels:
            raise ValueError(
                f"photos has no image of at least {least} pixels at each side"
            )
        gradients = list(pool.map(_gradients, pixels))
    weight = np.concatenate([part.ravel() for part in gradients])
    if not weight.any():
        raise ValueError("photos are flat; they must show something")
    weight = np.minimum(weight, np.percentile(weight, 95))
    weight = (1 - EVEN) * weight / weight.sum() + EVEN / len(weight)
    rng = np.random.default_rng(0)
    rendered = [render(rng, least + CELL) for _ in range(pages)]
    areas = [*gradients, *map(_gradients, rendered)]
    count = sum(area.size for area in areas) - len(weight)
    share = RENDERED if pages else 0.0
    even = np.full(count, share / max(count, 1))
    chances = np.concatenate([(1 - share) * weight, even], dtype=np.float64)
    cells = [
        (index, CELL * row, CELL * column)
        for index, area in enumerate(areas)
        for row, column in np.ndindex(area.shape)
    ]
    pixels += rendered
    *starts, total = np.cumsum([0, *(photo.size // 3 for photo in pixels)])
    if total > MAX_PIXELS:
        raise ValueError(
            f"photos have {total} pixels at the sizes {sizes}; they must have at most "
            f"{MAX_PIXELS}: take fewer or smaller photographs"
        )
    return Photographs(
        np.concatenate([photo.reshape(-1, 3) for photo in pixels]),
        np.array(starts, np.int32),
        np.array([photo.shape[:2] for photo in pixels], np.int32),
        np.array(cells, np.int32),
        np.cumsum(chances).astype(np.float32),
    )


def _decode(path: Path, sizes: Sequence[float]) -> list[np.ndarray]:
    """A photograph at several sizes."""
    with Image.open(path) as file:
        whole = file.convert("RGB")

    def resized(size: float) -> np.ndarray:
        width, height = (max(int(size * n), 1) for n in whole.size)
        return np.asarray(whole.resize((width, height), Image.Resampling.BICUBIC))

    return [resized(size) for size in sizes]


def _gradients(photo: np.ndarray) -> np.ndarray:
    """Mean gradient of each cell."""
    rows, columns = photo.shape[0] // CELL, photo.shape[1] // CELL
    green = photo[: rows * CELL, : columns * CELL, 1].astype(np.float32)
    steps = np.zeros_like(green)
    steps[:-1] += np.abs(np.diff(green, axis=0))
    steps[:, :-1] += np.abs(np.diff(green))
    return steps.reshape(rows, CELL, columns, CELL).mean((1, 3))


def draw(
    key: jax.Array, photographs: Photographs, *, size: int, count: int
) -> jax.Array:
    """Draws patches, turned and mirrored at random.

    Args:
      key: JAX random key.
      photographs: As `load` gives them.
      size: Side of the patches.
      count: How many.

    Returns:
      `count x size x size x 3` uint8.
    """
    pixels, starts, shapes, cells, chances = (jnp.asarray(x) for x in photographs)

    def one(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, 3)
        cell = jnp.searchsorted(chances, jax.random.uniform(keys[0]))
        index, *corner = cells[jnp.minimum(cell, len(cells) - 1)]
        # The cell lies somewhere in the patch.
        room = max(size - CELL, 0) + 1
        moved = jnp.stack(corner) - jax.random.randint(keys[1], (2,), 0, room)
        top, left = jnp.clip(moved, 0, shapes[index] - size)
        across, down, turned = jax.random.bernoulli(keys[2], shape=(3,))
        places = jnp.arange(size)
        rows = jnp.where(down, places[::-1], places)[:, None]
        columns = jnp.where(across, places[::-1], places)[None]
        i = top + jnp.where(turned, columns, rows)
        j = left + jnp.where(turned, rows, columns)
        return pixels[starts[index] + i * shapes[index, 1] + j]

    return jax.vmap(one)(jax.random.split(key, count))


@functools.cache
def _font(height: int) -> Any:
    return ImageFont.load_default(height)


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
        font = _font(height)
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
