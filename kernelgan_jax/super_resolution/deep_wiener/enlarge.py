"""The trained network on images of any size, and on many: tiles and batches.

Large images are cut into tiles, small ones are extended to few different sizes. Tiles
of one shape, of one image or of several, make up the batches of one compiled program.
Where a scale or a kernel was not trained for, the Wiener filter takes its place.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from kernelgan_jax.parallel import map_images
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import closed_form
from kernelgan_jax.super_resolution.deep_wiener import batch_program
from kernelgan_jax.super_resolution.deep_wiener.config import SCALES, in_two_steps
from kernelgan_jax.super_resolution.deep_wiener.network import MAX_KERNEL
from kernelgan_jax.super_resolution.deep_wiener.parts import (
    BUCKET,
    MARGIN,
    TILE,
    extended,
    extended_shape,
    tiles,
)
from kernelgan_jax.super_resolution.deep_wiener.request import (
    NUMBERS,
    Request,
    first_step,
)
from kernelgan_jax.super_resolution.deep_wiener.weights import Weights
from kernelgan_jax.super_resolution.tiles import Tile

DIVERGED = 0.1
"""Mean difference between an image and its result from which the Wiener filter takes
the network's place, of a range of 1; 0.01 is usual."""

SAMPLED_ROWS = 256
"""At least so many rows of a result are compared with its image, evenly spread."""


def enlarge_images(
    weights: Weights,
    requests: Sequence[Request],
    *,
    tile: int = TILE,
    batch: int | None = None,
) -> list[np.ndarray]:
    """Enlarges images of any size with the trained network.

    Args:
      weights: As `weights.load` gives them.
      tile: Side of the tiles, more than `2 * MARGIN`; a multiple of `BUCKET`.
      batch: Tiles that are worked on at a time; None for what suits the device.

    Returns:
      `scale*H x scale*W x C` float32, within the bounds, for each image.

    Raises:
      ValueError: If an argument is out of range.
    """
    if tile <= 2 * MARGIN or tile % BUCKET:
        raise ValueError(
            f"tile is {tile}; it must be a multiple of {BUCKET} above {2 * MARGIN}"
        )
    for request in requests:
        request.check()
    twice = [in_two_steps(request.scale) for request in requests]
    requests = [
        first_step(request) if two else request
        for request, two in zip(requests, twice, strict=True)
    ]
    strengths = [r.strength if _is_trained(weights, r) else 0.0 for r in requests]
    chosen = [r for r, strength in zip(requests, strengths, strict=True) if strength]
    restored = iter(_restore(weights, chosen, tile=tile, batch=batch))
    results = []
    for request, strength, two in zip(requests, strengths, twice, strict=True):
        result = next(restored) if strength else None
        if result is None or has_diverged(result, request):
            result = _wiener(request)
        elif strength < 1:
            result *= strength
            result += (1 - strength) * _wiener(request)
        if two:
            result = np.array(bicubic_resize(result, 2), np.float32)
        results.append(np.clip(result, *request.bounds, out=result))
    return results


def _wiener(request: Request) -> np.ndarray:
    return np.array(
        closed_form.restore(
            request.image,
            request.kernel,
            scale=request.scale,
            noise_std=request.noise_std,
            kernel_std=request.kernel_std,
            spectrum=request.spectrum,
            bounds=request.bounds,
        ),
        np.float32,
    )


def prepare(weights: Weights, image_shape: Sequence[int], *, scale: int) -> None:
    """Loads or compiles the program for an image, whose kernel may not be known yet.

    Args:
      weights: As `weights.load` gives them.
      image_shape: `H x W x C`, C 1 or 3.
      scale: Positive integer; nothing is done if the network was not trained for it.
    """
    scale = scale // 2 if in_two_steps(scale) else scale
    if scale not in weights.about.get("scales", SCALES):
        return
    whole = extended_shape(image_shape, scale=scale, tile=TILE)
    parts = tiles(whole, tile=TILE)
    count = batch_program.size(len(parts))
    part = parts[0].read(np.broadcast_to(np.float32(0), (*whole, image_shape[2])))

    def batch(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((count, *shape), np.float32)

    kernels, inputs = batch(MAX_KERNEL, MAX_KERNEL), [batch() for _ in NUMBERS]
    wanted = jax.ShapeDtypeStruct((), np.int32)
    program = batch_program.compiled(weights.network, scale)
    shapes = weights.params, wanted, batch(*part.shape), kernels, *inputs
    program.preload(*shapes, compiling=True)


def _is_trained(weights: Weights, request: Request) -> bool:
    """Whether the network was trained for a scale and has room for a kernel."""
    scales = weights.about.get("scales", SCALES)
    return request.scale in scales and max(request.kernel.shape) <= MAX_KERNEL


def has_diverged(result: np.ndarray, request: Request) -> bool:
    """Whether a result is nothing like its image.

    The network can fail on kernels that are unlike all that it was trained with.
    """
    height, width, channels = request.image.shape
    scale = request.scale
    rows = np.arange(0, height, max(height // SAMPLED_ROWS, 1))
    enlarged = result[(scale * rows[:, None] + np.arange(scale)).ravel()]
    blocks = enlarged.reshape(len(rows), scale, width, scale, channels).mean((1, 3))
    return not np.abs(blocks - request.image[rows]).mean() < DIVERGED


def _restore(
    weights: Weights, requests: Sequence[Request], *, tile: int, batch: int | None
) -> list[np.ndarray]:
    """The network's results, not clipped."""
    wholes = [extended(r.image, scale=r.scale, tile=tile) for r in requests]
    outs = [
        np.empty(
            (*(r.scale * side for side in whole.shape[:2]), whole.shape[2]), np.float32
        )
        for whole, r in zip(wholes, requests, strict=True)
    ]
    by_shape: dict[Any, list[tuple[int, Tile]]] = defaultdict(list)
    for index, (whole, request) in enumerate(zip(wholes, requests, strict=True)):
        for part in tiles(whole.shape, tile=tile):
            key = (request.scale, part.read(whole).shape)
            by_shape[key].append((index, part))
    # Kernels of one size share a program.
    padded = [closed_form.padded(r.kernel, MAX_KERNEL) for r in requests]

    def work(_: int, job: tuple[list[tuple[int, Tile]], int], __: Any) -> None:
        wanted, size = job
        # Batches of one size share a program: the last part fills them up.
        some = wanted + wanted[-1:] * (size - len(wanted))
        scale = requests[some[0][0]].scale
        inputs = ([getattr(requests[i], name) for i, _ in some] for name in NUMBERS)
        found = batch_program.compiled(weights.network, scale)(
            weights.params,
            len(wanted),
            np.stack([part.read(wholes[i]) for i, part in some]),
            np.stack([padded[i] for i, _ in some]),
            *(np.array(values, np.float32) for values in inputs),
        )
        results = np.asarray(found)[: len(wanted)]
        for (i, part), result in zip(wanted, results, strict=True):
            part.write(result, outs[i], scale=scale)

    jobs = []
    for parts in by_shape.values():
        size = min(batch or batch_program.size(len(parts)), len(parts))
        firsts = range(0, len(parts), size)
        jobs += [(parts[first : first + size], size) for first in firsts]
    on_cpu = batch_program.on_cpu()
    map_images(work, jobs, workers=batch_program.CPU_WORKERS if on_cpu else 1)
    return [
        out[: r.scale * r.image.shape[0], : r.scale * r.image.shape[1]]
        for out, r in zip(outs, requests, strict=True)
    ]
