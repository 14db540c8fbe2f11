"""Makes test sets from HR images: random kernels and the LR images that they make."""

import io
import json
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as pillow

from kernelgan_jax import camera as cameras
from kernelgan_jax import checks
from kernelgan_jax.app import kernel_files
from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark import varying_blur
from kernelgan_jax.benchmark.protocols import PROTOCOLS
from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import from_unit, to_unit


class DegradedSet(NamedTuple):
    """The outcome of `make_test_set`."""

    names: list[str]
    """Names of the images that were made."""
    problems: list[str]
    """One line for each HR image that could not be used."""


class _Recipe(NamedTuple):
    """How a test set is made; `degrade.json` holds it."""

    protocol: str
    scales: tuple[int, ...]
    seed: int
    kernel_noise: float | None
    image_noise: float
    jpeg_quality: int | None
    camera: bool = False  # Older sets do not say it.

    def check(self) -> None:
        """Checks all settings; raises a ValueError if one is out of range."""
        if self.protocol not in PROTOCOLS:
            raise ValueError(
                f"protocol is {self.protocol!r}; it must be one of: "
                f"{', '.join(PROTOCOLS)}"
            )
        if not self.scales:
            raise ValueError("scales is empty; it must have at least one scale")
        for scale in self.scales:
            checks.whole("scales", scale)
        if self.kernel_noise is not None and not 0 <= self.kernel_noise <= 1:
            raise ValueError(
                f"kernel_noise is {self.kernel_noise}; it must be from 0 to 1"
            )
        checks.number("image_noise", self.image_noise)
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise ValueError(
                f"jpeg_quality is {self.jpeg_quality}; it must be from 1 to 100"
            )
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must be at least 0")
        draw = PROTOCOLS[self.protocol].draw
        # All protocols have kernels for 2: what fails there is not about the scale.
        draw(np.random.default_rng(0), 2, self.kernel_noise)
        for scale in self.scales:
            try:
                draw(np.random.default_rng(0), scale, self.kernel_noise)
            except ValueError as error:
                raise ValueError(
                    f"scales has {scale}, for which the protocol {self.protocol} has "
                    f"no kernel: {error}"
                ) from error

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        return self._asdict() | {"scales": sorted(self.scales)}

    def degrade(
        self, pixels: np.ndarray, name: str, scale: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws the kernel of an image, or a map of kernels, and makes the LR image."""
        protocol = PROTOCOLS[self.protocol]
        draw = 0 if protocol.shared else scale
        # Names of files may be no text at all.
        text = f"{self.protocol}/{name}".encode(errors="surrogateescape")
        image = zlib.crc32(text)
        rng = np.random.default_rng([self.seed, draw, image])
        kernel = protocol.draw(rng, scale, self.kernel_noise)
        blur = downscale if kernel.ndim == 2 else varying_blur.downscale
        lr = blur(to_unit(pixels).astype(np.float64), kernel, scale)
        noise_std = self.image_noise / 255
        if self.camera:
            lr = _developed(rng, lr, noise_std)
        else:
            lr = lr + noise_std * rng.standard_normal(lr.shape)
        stored = from_unit(lr, pixels.dtype)
        if self.jpeg_quality is not None:
            subsampling = 2 if self.camera else 0  # Most cameras halve the colours.
            stored = _after_jpeg(stored, self.jpeg_quality, subsampling)
        return kernel, stored


def make_test_set(
    hr: Sequence[Path],
    folder: Path,
    *,
    protocol: str = "div2krk",
    scales: Sequence[int] = (2, 4),
    seed: int = 0,
    kernel_noise: float | None = None,
    image_noise: float = 0.0,
    jpeg_quality: int | None = None,
    camera: bool = False,
) -> DegradedSet:
    """Makes a test set, in the layout of `testset`, from HR images.

    The HR images are cut at the right and at the bottom to sides that all scales
    divide. For each image and scale a kernel is drawn and aligned; the image is
    downscaled with it (mirrored at the borders) and rounded. Each draw depends on the
    seed, the name of the image, the scale and the protocol alone: the same call makes
    the same files bit for bit, whichever other images there are. `varying` has a map of
    kernels for each image, `gt_kernel_map_x2/NAME.npy`.

    Args:
      hr: Files of HR images; their names without suffix must differ.
      folder: Folder of the test set; files of the same names are replaced. Its
        `degrade.json` records how the set was made.
      protocol: A name in `PROTOCOLS`.
      scales: Positive integers; 1 blurs the images.
      seed: Seed of all draws, at least 0.
      kernel_noise: The values of kernels are multiplied by `1 + U(-n, n)` with this n,
        from 0 to 1; None for the noise of the protocol.
      image_noise: Standard deviation of Gaussian noise on the LR images, in 8-bit gray
        levels, at least 0.
      jpeg_quality: LR images are compressed by JPEG of this quality, 1 to 100, after
        everything else, without chroma subsampling; 8-bit images only.
      camera: Whether the LR images are developed as a camera does (`camera.develop`):
        `image_noise` is that of the sensor at middle gray, and JPEG halves the colours.

    Returns:
      Names of the images that were made, and problems.

    Raises:
      ValueError: If an argument is out of range, or if there is an image and the
        folder holds a set that was made with other settings.
      OSError: If the folder cannot be written.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from kernelgan_jax.benchmark import make_test_set
      >>> made = make_test_set([], Path(tempfile.mkdtemp()), scales=(2,))
      >>> made.names, made.problems
      ([], [])
    """
    recipe = _Recipe(
        protocol, tuple(scales), seed, kernel_noise, image_noise, jpeg_quality, camera
    )
    recipe.check()
    parts = ["hr", *(f"lr_x{scale}" for scale in scales)]
    names: list[str] = []
    problems: list[str] = []
    for path in hr:
        name = path.stem
        if name in names:
            problems.append(f"{path}: there is another image named {name}; rename one")
            continue
        try:
            pixels = _read_hr(path, recipe)
        except image_files.ImageError as error:
            problems.append(str(error))
            continue
        if not names:  # Without an image there is no set.
            _refuse_other_sets(folder, recipe.to_dict())
            for part in parts:
                (folder / part).mkdir(parents=True, exist_ok=True)
            (folder / "degrade.json").write_text(json.dumps(recipe.to_dict()) + "\n")
        _write_png(folder / "hr" / f"{name}.png", pixels)
        for scale in scales:
            kernel, lr = recipe.degrade(pixels, name, scale)
            _write_png(folder / f"lr_x{scale}" / f"{name}.png", lr)
            _write_truth(folder, name, scale, kernel)
        names.append(name)
    return DegradedSet(names, problems)


def _read_hr(path: Path, recipe: _Recipe) -> np.ndarray:
    """The pixels of an HR image, cut to sides that all scales divide."""
    pixels = image_files.read_pixels(path)
    step, largest = math.lcm(*recipe.scales), max(recipe.scales)
    height, width = (side // step * step for side in pixels.shape[:2])
    if min(height, width) < 8 * largest:
        raise image_files.ImageError(
            f"{path}: is too small to be downscaled by {largest}"
        )
    if recipe.jpeg_quality is not None and pixels.dtype != np.uint8:
        raise image_files.ImageError(f"{path}: has {pixels.dtype}; JPEG has 8 bits")
    if recipe.camera and pixels.shape[2] != 3:
        raise image_files.ImageError(f"{path}: is gray; a camera's image has colours")
    return pixels[:height, :width]


def _write_png(path: Path, pixels: np.ndarray) -> None:
    image_files.write_png(path, image_files.Image(pixels))


def _developed(
    rng: np.random.Generator, scene: np.ndarray, noise_std: float
) -> np.ndarray:
    """What a camera makes of a scene, which is mirrored at its borders."""
    around = [(cameras.REACH, cameras.REACH)] * 2 + [(0, 0)]
    scene = np.pad(scene, around, mode="reflect")
    made = cameras.develop(
        scene, rng.standard_normal(scene.shape), cameras.Camera(noise_std)
    )
    inside = slice(cameras.REACH, -cameras.REACH)
    image: np.ndarray = made[inside, inside]
    return image


def _write_truth(folder: Path, name: str, scale: int, kernel: np.ndarray) -> None:
    """Writes the kernel of an image, or its map of kernels."""
    part = folder / f"{'gt_k' if kernel.ndim == 2 else 'gt_kernel_map'}_x{scale}"
    part.mkdir(exist_ok=True)
    if kernel.ndim == 2:
        kernel_files.write_mat(part / f"{name}.mat", kernel)
    else:
        np.save(part / f"{name}.npy", kernel)


def _after_jpeg(pixels: np.ndarray, quality: int, subsampling: int) -> np.ndarray:
    """An image, `H x W x C` uint8, after compression by JPEG."""
    file = io.BytesIO()
    pillow.fromarray(pixels.squeeze()).save(
        file, "JPEG", quality=quality, subsampling=subsampling
    )
    return np.asarray(pillow.open(file)).reshape(pixels.shape)


def _refuse_other_sets(folder: Path, recipe: dict[str, Any]) -> None:
    """Raises a ValueError if a folder holds a set that was made with other settings."""
    file = folder / "degrade.json"
    if not file.exists():
        return
    try:
        before = _Recipe._field_defaults | json.loads(file.read_text())
        changed = [name for name in recipe if before.get(name) != recipe[name]]
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{file}: does not say how a set was made; choose another folder"
        ) from error
    if changed:
        raise ValueError(
            f"{folder}: holds a set that was made with other settings: "
            f"{', '.join(changed)} (degrade.json); choose another folder"
        )
