"""Test sets from HR images: random kernels, LR images, the truth beside them."""

import io
import json
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.signal
from PIL import Image as pillow

from kernelgan_jax import blur_kernels, checks, kernels
from kernelgan_jax.app import image_files, kernel_files
from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import from_unit, to_unit


class Protocol(NamedTuple):
    """How a test set's kernels are drawn."""

    about: str
    draw: Callable[[np.random.Generator, int, float | None], np.ndarray]
    """`draw(rng, scale, noise)`: a kernel, aligned, sum 1; `noise` None stands for the
    protocol's."""
    shared: bool = False
    """Whether the kernels of an image are of one draw, at all scales."""


def _div2krk(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
    # 11 x 11 at x2 and 31 x 31 at x4, as in DIV2KRK; widths grow with the scale.
    size = {2: 11, 3: 21, 4: 31}.get(scale, 8 * scale - 1)
    kernel = blur_kernels.random_gaussian(
        rng,
        size,
        scale=scale,
        variances=(0.6 * scale**2 / 4, 5 * scale**2 / 4),
        noise=0.25 if noise is None else noise,
    )
    return _aligned(kernel, scale)


def _div2krk_composed(
    rng: np.random.Generator, scale: int, noise: float | None
) -> np.ndarray:
    if scale not in (2, 4):
        raise ValueError(f"scale is {scale}; kernels are composed for 2 and 4")
    kernel = _div2krk(rng, 2, noise)
    if scale == 2:
        return kernel
    dilated = np.zeros([2 * side - 1 for side in kernel.shape])
    dilated[::2, ::2] = kernel
    return scipy.signal.convolve2d(kernel, dilated)


def _liang(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
    kernel = blur_kernels.random_gaussian(
        rng,
        4 * scale + 3,
        scale=scale,
        variances=(0.175 * scale, 2.5 * scale),
        noise=noise or 0.0,
    )
    return _aligned(kernel, scale)


def _motion(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
    length, angle = rng.uniform(1, 4) * scale, rng.uniform(0, math.pi)
    kernel = blur_kernels.motion(6 * scale + 1, length=length, angle=angle, scale=scale)
    return _aligned(_noisy(rng, kernel, noise), scale)


def _disk(rng: np.random.Generator, scale: int, noise: float | None) -> np.ndarray:
    radius = rng.uniform(0.75, 2) * scale
    kernel = blur_kernels.disk(6 * scale + 1, radius=radius, scale=scale)
    return _aligned(_noisy(rng, kernel, noise), scale)


def _noisy(
    rng: np.random.Generator, kernel: np.ndarray, noise: float | None
) -> np.ndarray:
    return kernel * (1 + (noise or 0.0) * rng.uniform(-1, 1, kernel.shape))


def _aligned(kernel: np.ndarray, scale: int) -> np.ndarray:
    """A kernel at its alignment, of the same size, non-negative: noise moves it off."""
    moved = kernels.centre(kernel, scale)
    pads = (np.array(moved.shape) - kernel.shape) // 2
    rows, columns = (
        slice(pad, pad + n) for pad, n in zip(pads, kernel.shape, strict=True)
    )
    return kernels.normalise(np.clip(moved[rows, columns], 0, None))


PROTOCOLS: dict[str, Protocol] = {
    "div2krk": Protocol(
        "anisotropic Gaussians, variances U(0.6, 5) at x2, in proportion to the square "
        "of other scales, with 25 % kernel noise (Bell-Kligler et al. 2019, section 5)",
        _div2krk,
    ),
    "div2krk_composed": Protocol(
        "likewise at x2; at x4 the x2 kernel of the image applied twice",
        _div2krk_composed,
        shared=True,
    ),
    "liang": Protocol(
        "anisotropic Gaussians, variances U(0.175 s, 2.5 s), side 4 s + 3 (Liang et "
        "al. 2021); --kernel_noise and --image_noise add its noises",
        _liang,
    ),
    "motion": Protocol(
        "straight motion over U(1, 4) s pixels while LR pixels collect light", _motion
    ),
    "disk": Protocol("out of focus: even circles of radius U(0.75, 2) s", _disk),
}
"""By name. `s` is the scale; lengths are in HR pixels."""


class Degraded(NamedTuple):
    """What `degrade` made."""

    names: list[str]
    problems: list[str]
    """One line on each HR image that could not be used."""


def degrade(
    hr: Sequence[Path],
    folder: Path,
    *,
    protocol: str = "div2krk",
    scales: Sequence[int] = (2, 4),
    seed: int = 0,
    kernel_noise: float | None = None,
    image_noise: float = 0.0,
    jpeg_quality: int | None = None,
) -> Degraded:
    """Makes a test set, in the layout of `testset`, from HR images.

    The HR images are cut at the right and at the bottom to what all scales divide. A
    kernel is drawn for each image and scale, aligned, and the image downscaled with it
    (mirrored at the borders) and rounded. What is drawn depends on the seed, the name
    of the image, the scale and the protocol alone: the same call makes the same files
    bit for bit, and other images beside change nothing.

    Args:
      hr: Files of HR images; their names without suffix must differ.
      folder: Where to; files of the same names are replaced. `degrade.json` there
        records how the set was made.
      protocol: A name in `PROTOCOLS`.
      scales: Integers of at least 2.
      seed: At least 0.
      kernel_noise: Values of kernels are multiplied by `1 + U(-n, n)`; from 0 to 1. By
        default the protocol's.
      image_noise: Standard deviation of Gaussian noise on the LR images, in 8-bit gray
        levels, at least 0.
      jpeg_quality: LR images are compressed by JPEG of this quality, 1 to 100, after
        all else, without reducing colours; 8-bit images only.

    Returns:
      Names of the images made, and problems.

    Raises:
      ValueError: If an argument is out of range, or the folder holds a set that was
        made in another way.
      OSError: If the folder cannot be written.
    """
    if protocol not in PROTOCOLS:
        legal = ", ".join(PROTOCOLS)
        raise ValueError(f"protocol is {protocol!r}; it must be one of: {legal}")
    for scale in scales:
        checks.whole("scales", scale)
        if scale < 2:
            raise ValueError(f"scales has {scale}; each must be at least 2")
    if not scales:
        raise ValueError("scales is empty; name at least one")
    if kernel_noise is not None and not 0 <= kernel_noise <= 1:
        raise ValueError(f"kernel_noise is {kernel_noise}; it must be from 0 to 1")
    checks.number("image_noise", image_noise)
    if jpeg_quality is not None and not 1 <= jpeg_quality <= 100:
        raise ValueError(f"jpeg_quality is {jpeg_quality}; it must be from 1 to 100")
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be at least 0")
    for scale in scales:  # a protocol may not know the scale
        PROTOCOLS[protocol].draw(np.random.default_rng(0), scale, kernel_noise)

    _record(folder, {
        "protocol": protocol,
        "scales": sorted(scales),
        "seed": seed,
        "kernel_noise": kernel_noise,
        "image_noise": image_noise,
        "jpeg_quality": jpeg_quality,
    })  # fmt: skip
    parts = ["hr", *(f"{part}_x{scale}" for scale in scales for part in ("lr", "gt_k"))]
    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
    done, problems = [], []
    for path in hr:
        name = path.stem
        if name in done:
            problems.append(f"{path}: there is another image named {name}; rename one")
            continue
        try:
            pixels = image_files.read(path).pixels
        except image_files.ImageError as error:
            problems.append(str(error))
            continue
        step = math.lcm(*scales)
        height, width = (side // step * step for side in pixels.shape[:2])
        if min(height, width) < 8 * max(scales):
            problems.append(f"{path}: is too small to be downscaled by {max(scales)}")
            continue
        if jpeg_quality is not None and pixels.dtype != np.uint8:
            problems.append(f"{path}: has {pixels.dtype}; JPEG has 8 bits")
            continue
        pixels = pixels[:height, :width]
        image_files.write_png(folder / "hr" / f"{name}.png", image_files.Image(pixels))
        for scale in scales:
            draw = 0 if PROTOCOLS[protocol].shared else scale
            image = zlib.crc32(f"{protocol}/{name}".encode())
            rng = np.random.default_rng([seed, draw, image])
            kernel = PROTOCOLS[protocol].draw(rng, scale, kernel_noise)
            lr = downscale(to_unit(pixels).astype(np.float64), kernel, scale)
            lr = lr + image_noise / 255 * rng.standard_normal(lr.shape)
            lr = from_unit(lr, pixels.dtype)
            if jpeg_quality is not None:
                lr = _compressed(lr, jpeg_quality)
            file = folder / f"lr_x{scale}" / f"{name}.png"
            image_files.write_png(file, image_files.Image(lr))
            kernel_files.write_mat(folder / f"gt_k_x{scale}" / f"{name}.mat", kernel)
        done.append(name)
    return Degraded(done, problems)


def _compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """What JPEG leaves of an image, `H x W x C` uint8."""
    file = io.BytesIO()
    pillow.fromarray(pixels.squeeze()).save(
        file, "JPEG", quality=quality, subsampling=0
    )
    return np.asarray(pillow.open(file)).reshape(pixels.shape)


def _record(folder: Path, how: dict[str, Any]) -> None:
    """Leaves word of how a set is made, and refuses to mix two."""
    file = folder / "degrade.json"
    if file.exists():
        before = json.loads(file.read_text())
        changed = [name for name in how if before.get(name) != how[name]]
        if changed:
            raise ValueError(
                f"{folder}: holds a set of another {' and '.join(changed)} "
                "(degrade.json); choose another folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(how) + "\n")
