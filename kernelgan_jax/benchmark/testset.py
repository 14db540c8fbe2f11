"""Test sets on disk: HR images, LR images and kernels that belong together.

A test set is a folder:

    hr/NAME.png                    or gt/
    lr_x2/NAME.png                 and lr_x3, lr_x4, ...
    gt_k_x2/NAME.mat               or .npy; the correlation kernel, in `Kernel`

In DIV2KRK's own file names (`gt/img_1_gt.png`, `lr_x2/im_1.png`,
`gt_k_x2/kernel_1.mat`) the number is the image's name; they are recognised where the
folder of the HR images is `gt/`. A set whose blur varies is not read; it has
`gt_kernel_map_x2/NAME.npy` in place of `gt_k_x2`.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.app import kernel_files
from kernelgan_jax.app.images import image_files

_DIV2KRK = re.compile(r"(?:img|im|kernel)_(\d+)(?:_gt)?")
"""DIV2KRK's file names without suffix, and the image's number in them."""


class Case(NamedTuple):
    """One image of a test set at one scale."""

    name: str
    scale: int
    lr_path: Path
    hr_path: Path
    kernel_path: Path
    all_names: frozenset[str] = frozenset()
    """Names of all images of the test set at this scale."""

    def lr(self) -> np.ndarray:
        """The LR image: `h x w x C`, uint8 or uint16, C = 1 or 3."""
        return image_files.read_pixels(self.lr_path)

    def hr(self) -> np.ndarray:
        """The HR image: `H x W x C`, uint8 or uint16, C = 1 or 3."""
        return image_files.read_pixels(self.hr_path)

    def kernel(self) -> np.ndarray:
        """The true kernel of the file: `n x m` float64, divided by its sum."""
        kernel = kernel_files.read(self.kernel_path)
        if kernel.ndim != 2:
            raise ValueError(f"the kernel has shape {kernel.shape}, not height x width")
        return kernels.normalise(kernel)


class CaseList(NamedTuple):
    """The images of a test set at one scale."""

    cases: list[Case]
    """The images that can be used."""
    problems: list[str]
    """One line for each image that cannot be used."""


def find_scales(folder: Path) -> list[int]:
    """The scales that a test set has LR images for, ascending."""
    found = [re.fullmatch(r"lr_x(\d+)", path.name) for path in _entries(folder)]
    return sorted(int(match[1]) for match in found if match)


def read_test_set(folder: Path, scale: int, *, names: Iterable[str] = ()) -> CaseList:
    """Lists the images of a test set, and opens each file once.

    Args:
      folder: Folder of the test set; the top of this module describes its layout.
      scale: The scale of the LR images.
      names: Names of the images that are wanted; all images if empty.

    Returns:
      The images, sorted by name (numbers in names by value), and a line for each image
      of which a file is missing, there twice or not readable, or whose files do not
      match.

    Raises:
      ValueError: If the folder has no LR images of the scale, or maps of kernels.

    Example:
      >>> from pathlib import Path
      >>> from kernelgan_jax.benchmark import read_test_set
      >>> read_test_set(Path("no folder"), 2)
      Traceback (most recent call last):
      ValueError: no folder: has no lr_x2, so it is no test set for x2
    """
    if not (folder / f"lr_x{scale}").is_dir():
        raise ValueError(
            f"{folder}: has no lr_x{scale}, so it is no test set for x{scale}"
        )
    if (folder / f"gt_kernel_map_x{scale}").is_dir():
        raise ValueError(
            f"{folder}: the blur of its images varies, and one kernel is measured for "
            "each image; benchmarks/varying.py measures maps of kernels"
        )
    is_div2krk = (folder / "gt").is_dir() and not (folder / "hr").is_dir()
    problems: dict[str, str] = {}

    def files(part: str, suffixes: Iterable[str]) -> dict[str, Path]:
        return _files(folder / part, suffixes, is_div2krk, problems)

    parts = {
        "LR image": files(f"lr_x{scale}", image_files.IMAGE_SUFFIXES),
        "HR image": files("gt" if is_div2krk else "hr", image_files.IMAGE_SUFFIXES),
        "kernel": files(f"gt_k_x{scale}", (".mat", ".npy")),
    }
    known = frozenset().union(*parts.values(), problems)
    wanted = set(names) or known
    for name in wanted - known:
        problems[name] = f"{name}: no such image in {folder}"
    cases = []
    for name in sorted(wanted - problems.keys(), key=natural_order):
        missing = [what for what, part in parts.items() if name not in part]
        if missing:
            problems[name] = f"{name}: has no {' and no '.join(missing)} at x{scale}"
            continue
        lr, hr, kernel = (part[name] for part in parts.values())
        case = Case(name, scale, lr, hr, kernel, known)
        if problem := _problem(case):
            problems[name] = problem
        else:
            cases.append(case)
    ordered = sorted(wanted & problems.keys(), key=natural_order)
    return CaseList(cases, [problems[name] for name in ordered])


def sizes_match(large: tuple[int, ...], small: tuple[int, ...], *, scale: int) -> bool:
    """Whether an image of one shape may be the enlargement of one of the other.

    Sides of the larger image need not be multiples of the scale.

    Example:
      >>> sizes_match((95, 112, 3), (48, 56, 3), scale=2)
      True
      >>> sizes_match((94, 112, 3), (48, 56, 3), scale=2)
      False
    """
    return all(
        abs(scale * b - a) < scale for a, b in zip(large[:2], small[:2], strict=True)
    )


def common_part(sr: np.ndarray, hr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two images, both cut at the bottom and right to the size that they share.

    HR images whose sides the scale does not divide are a little larger or smaller than
    the enlarged LR images.
    """
    height, width = np.minimum(sr.shape[:2], hr.shape[:2])
    return sr[:height, :width], hr[:height, :width]


def natural_order(name: str) -> list[tuple[int, str]]:
    """A sorting key that orders numbers in names by their value.

    Example:
      >>> sorted(["10", "9", "a"], key=natural_order)
      ['9', '10', 'a']
    """
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _files(
    folder: Path, suffixes: Iterable[str], is_div2krk: bool, problems: dict[str, str]
) -> dict[str, Path]:
    """The files of a folder by the names of their images; adds to the problems."""
    found: dict[str, list[Path]] = {}
    for path in _entries(folder):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            number = _DIV2KRK.fullmatch(path.stem) if is_div2krk else None
            name = number[1] if number else path.stem
            found.setdefault(name, []).append(path)
    for name, paths in found.items():
        if len(paths) > 1:
            several = " and ".join(str(path) for path in paths)
            problems[name] = f"{name}: there are {several}; keep one of them"
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}


def _problem(case: Case) -> str:
    """What is wrong with the files of an image, in one line; empty if nothing is."""
    try:
        lr, hr, _ = case.lr(), case.hr(), case.kernel()
    except (image_files.ImageError, kernel_files.KernelFileError) as error:
        return str(error)  # The message names the file.
    except ValueError as error:
        return f"{case.name}: {error}"
    matching = sizes_match(hr.shape, lr.shape, scale=case.scale)
    if not matching or lr.shape[2] != hr.shape[2]:
        return (
            f"{case.name}: LR is {_size(lr)} and HR {_size(hr)}, which do not match at "
            f"x{case.scale}"
        )
    return ""


def _size(pixels: np.ndarray) -> str:
    height, width, channels = pixels.shape
    return f"{width}x{height}x{channels}"
