"""Test sets on disk: HR images, LR images and kernels that belong together.

A test set is a folder:

    hr/NAME.png                    or gt/
    lr_x2/NAME.png                 likewise lr_x3, lr_x4, ...
    gt_k_x2/NAME.mat               or .npy; the correlation kernel, in `Kernel`

Of DIV2KRK's own names (`gt/img_1_gt.png`, `lr_x2/im_1.png`, `gt_k_x2/kernel_1.mat`) the
number counts as the image's name; they are understood where the HR folder is `gt/`.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.app import image_files, kernel_files

_DIV2KRK = re.compile(r"(?:img|im|kernel)_(\d+)(?:_gt)?")
"""DIV2KRK's file names without suffix, and the image's number in them."""


class Case(NamedTuple):
    """One image of a test set at one scale."""

    name: str
    scale: int
    lr_path: Path
    hr_path: Path
    kernel_path: Path

    def lr(self) -> np.ndarray:
        """The LR image: `h x w x C`, uint8 or uint16, C = 1 or 3."""
        return image_files.read(self.lr_path).pixels

    def hr(self) -> np.ndarray:
        """The HR image: `H x W x C`, alike."""
        return image_files.read(self.hr_path).pixels

    def kernel(self) -> np.ndarray:
        """The true kernel: `n x m` float64, sum 1, otherwise as the file has it."""
        kernel = kernel_files.read(self.kernel_path)
        if kernel.ndim != 2:
            raise ValueError(f"the kernel has shape {kernel.shape}, not height x width")
        return kernels.normalise(kernel)


class Found(NamedTuple):
    """What `read` found."""

    cases: list[Case]
    problems: list[str]
    """One line on each image that cannot be used."""
    names: frozenset[str]
    """Of all images of the set at this scale, wanted or not."""


def scales(folder: Path) -> list[int]:
    """The scales that a test set has LR images of, ascending."""
    found = [re.fullmatch(r"lr_x(\d+)", path.name) for path in _entries(folder)]
    return sorted(int(match[1]) for match in found if match)


def read(folder: Path, scale: int, names: Iterable[str] = ()) -> Found:
    """Lists the images of a test set, and opens each file once.

    Args:
      folder: Of the test set; see the top of this module.
      scale: Which LR images.
      names: Of the images wanted; all if empty.

    Returns:
      The cases, sorted by name (numbers by value), and a line on each image that lacks
      a file, has one twice or unreadable, or whose files do not fit together.

    Raises:
      ValueError: If the folder has no LR images of the scale.
    """
    if not (folder / f"lr_x{scale}").is_dir():
        raise ValueError(f"{folder}: has no lr_x{scale}: it is no test set of x{scale}")
    theirs = (folder / "gt").is_dir() and not (folder / "hr").is_dir()
    problems: dict[str, str] = {}

    def files(part: str, suffixes: Iterable[str]) -> dict[str, Path]:
        return _files(folder / part, suffixes, theirs, problems)

    parts = {
        "LR image": files(f"lr_x{scale}", image_files.IMAGE_SUFFIXES),
        "HR image": files("gt" if theirs else "hr", image_files.IMAGE_SUFFIXES),
        "kernel": files(f"gt_k_x{scale}", (".mat", ".npy")),
    }
    known = set().union(*parts.values()) | problems.keys()
    wanted = set(names) or known
    for name in wanted - known:
        problems[name] = f"{name}: no such image in {folder}"
    cases = []
    for name in sorted(wanted - problems.keys(), key=natural):
        found = [part.get(name) for part in parts.values()]
        missing = [what for what, file in zip(parts, found, strict=True) if not file]
        if missing:
            problems[name] = f"{name}: has no {' and no '.join(missing)} at x{scale}"
            continue
        case = Case(name, scale, *(file for file in found if file))
        if problem := _problem(case):
            problems[name] = problem
        else:
            cases.append(case)
    ordered = sorted(wanted & problems.keys(), key=natural)
    return Found(cases, [problems[name] for name in ordered], frozenset(known))


def fits(large: tuple[int, ...], small: tuple[int, ...], scale: int) -> bool:
    """Whether one shape may be another's enlarged; its sides need not be multiples."""
    return all(
        abs(scale * b - a) < scale for a, b in zip(large[:2], small[:2], strict=True)
    )


def common(sr: np.ndarray, hr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two images cut to what both have, from the top left.

    HR images whose sides the scale does not divide are a little larger or smaller than
    what their LR images enlarge to.
    """
    height, width = np.minimum(sr.shape[:2], hr.shape[:2])
    return sr[:height, :width], hr[:height, :width]


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts numbers in names by their value."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _files(
    folder: Path, suffixes: Iterable[str], theirs: bool, problems: dict[str, str]
) -> dict[str, Path]:
    """The files of a folder by the names of their images; adds to the problems."""
    found: dict[str, list[Path]] = {}
    for path in _entries(folder):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            number = _DIV2KRK.fullmatch(path.stem) if theirs else None
            name = number[1] if number else path.stem
            found.setdefault(name, []).append(path)
    for name, paths in found.items():
        if len(paths) > 1:
            several = " and ".join(str(path) for path in paths)
            problems[name] = f"{name}: there are {several}; leave one"
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}


def _problem(case: Case) -> str:
    """What is wrong with the files of a case, in a line; empty if nothing is."""
    try:
        lr, hr, _ = case.lr(), case.hr(), case.kernel()
    except (image_files.ImageError, kernel_files.KernelFileError) as error:
        return str(error)  # It names the file.
    except ValueError as error:
        return f"{case.name}: {error}"
    if not fits(hr.shape, lr.shape, case.scale) or lr.shape[2] != hr.shape[2]:
        return (
            f"{case.name}: LR is {_size(lr)} and HR {_size(hr)}, which do not match at "
            f"x{case.scale}"
        )
    return ""


def _size(pixels: np.ndarray) -> str:
    height, width, channels = pixels.shape
    return f"{width}x{height}x{channels}"
