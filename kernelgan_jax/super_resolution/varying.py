"""Super-resolution with a kernel for each part of an image.

Each part of a `KernelMap` is enlarged with its own kernel and a margin of its
neighbours, and parts are faded into each other. Any method that uses a kernel serves.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from kernelgan_jax.estimate import Progress, ProgressCallback
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.super_resolution.registry import Enlarge
from kernelgan_jax.super_resolution.stage import Stage

MARGIN = 24
"""Pixels around a part, with what it is faded over, that its result depends on."""

FADE = 16
"""Pixels at each side of the border between two parts over which they are faded."""


def by_parts(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    plans: Sequence[Plan],
    *,
    enlarge: Enlarge,
    progress: ProgressCallback | None = None,
) -> list[np.ndarray]:
    """Enlarges images by a method, part by part where a plan has a kernel map."""
    if all(planned.kernel_map is None for planned in plans):
        return enlarge(keys, images, plans, progress=progress)
    parts = [
        piece
        for i, (image, planned) in enumerate(zip(images, plans, strict=True))
        for piece in pieces(i, image.shape[:2], planned)
    ]

    def report(done: Progress) -> None:
        if progress is not None:
            progress(done._replace(image=parts[done.image].image))

    found = enlarge(
        [keys[piece.image] for piece in parts],
        [images[piece.image][piece.rows, piece.columns] for piece in parts],
        [piece.plan for piece in parts],
        progress=report,
    )
    results: list[np.ndarray | None] = [None] * len(images)
    for piece, result in zip(parts, found, strict=True):
        if piece.weights is None:
            results[piece.image] = result
            continue
        height, width, channels = images[piece.image].shape
        scale = piece.plan.scale
        whole = results[piece.image]
        if whole is None:
            shape = (scale * height, scale * width, channels)
            whole = results[piece.image] = np.zeros(shape, np.float32)
        place = tuple(
            slice(scale * span.start, scale * span.stop)
            for span in (piece.rows, piece.columns)
        )
        down, right = piece.weights
        whole[place] += down[:, None, None] * right[None, :, None] * result
    return [result for result in results if result is not None]


class Piece(NamedTuple):
    """A part of an image, as the method gets it."""

    image: int
    """Index of the image."""
    rows: slice
    columns: slice
    plan: Plan
    """The image's plan, with the part's own kernel."""
    weights: tuple[np.ndarray, np.ndarray] | None
    """Weights of the rows and of the columns of its result; None for a whole image."""
    part: tuple[int, int] = (0, 0)
    """Row and column of its kernel in the map."""


def pieces(image: int, shape: tuple[int, ...], planned: Plan) -> Iterator[Piece]:
    """The pieces of an image: one, or one for each kernel of its map."""
    kernel_map = planned.kernel_map
    if kernel_map is None:
        whole = slice(0, shape[0]), slice(0, shape[1])
        yield Piece(image, *whole, planned, None)
        return
    count = kernel_map.kernels.shape[:2]
    downs, rights = (
        _spans(side, parts, planned.scale)
        for side, parts in zip(shape, count, strict=True)
    )
    for i, (rows, down) in enumerate(downs):
        for j, (columns, right) in enumerate(rights):
            own = planned._replace(
                stages=(Stage(planned.scale, kernel_map.kernels[i, j]),),
                kernel_std=float(kernel_map.width_std[i, j]),
                kernel_map=None,
            )
            yield Piece(image, rows, columns, own, (down, right), (i, j))


def _spans(side: int, count: int, scale: int) -> list[tuple[slice, np.ndarray]]:
    """What is read of an axis for each part, and the weights of its result."""
    edges = np.linspace(0, side, count + 1)
    fade = min(FADE, side / count / 2)
    # All are as long, so that few shapes are compiled.
    length = min(int(np.ceil(side / count + 2 * (fade + MARGIN))) + 1, side)
    found = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        start = min(max(int(low - fade) - MARGIN, 0), side - length)
        stop = start + length
        place = (np.arange(scale * start, scale * stop) + 0.5) / scale
        weights = np.ones(len(place))
        if low > 0:
            weights *= np.clip((place - low) / (2 * fade) + 0.5, 0, 1)
        if high < side:
            weights *= np.clip((high - place) / (2 * fade) + 0.5, 0, 1)
        found.append((slice(start, stop), weights.astype(np.float32)))
    return found
