"""Finished results as a system: kernels and images that lie in a folder already."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from kernelgan_jax.app import kernel_files
from kernelgan_jax.app.images import image_files
from kernelgan_jax.app.job import REPORT
from kernelgan_jax.app.result_names import MADE_OF_KERNELS
from kernelgan_jax.benchmark.systems import Output, System, UserEstimator
from kernelgan_jax.benchmark.testset import Case, sizes_match
from kernelgan_jax.benchmark.user_files import output_of

_SUFFIXES = (".npy", ".mat", ".png")


def finished_results(name: str, folder: Path) -> System:
    """A system whose results lie in a folder: someone else's, or those of the command.

    The files of an image are those below the folder that lie in a folder of its name or
    have its name in their own, set off from other letters and digits; a file with the
    names of two images belongs to the longer one. Of several scales those count that
    have the scale in the name of the file or of a folder (`x2`). The kernel is a .npy
    or .mat file, the super-resolved image a .png file of the size that the scale asks
    for. Folders that hold a benchmark (`runs.jsonl`) are left out, and so is what the
    command makes of a kernel: refitted ones, maps, and those for other tools.

    Args:
      name: Name of the system.
      folder: Folder of the results.

    Raises:
      ValueError: If there is no such folder.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from kernelgan_jax.benchmark import finished_results
      >>> finished_results("theirs", Path(tempfile.mkdtemp())).title
      'theirs'
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of results")
    benchmarks = {path.parent for path in folder.rglob("runs.jsonl")}
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and benchmarks.isdisjoint(path.parents)
    )

    @functools.cache
    def by_image(names: frozenset[str]) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {name: [] for name in names}
        for file in files:
            for owner in _owners(file.relative_to(folder), names):
                found[owner].append(file)
        return found

    def read(case: Case, seed: int) -> Output:
        del seed
        return _read(folder, by_image(case.all_names)[case.name], case)

    def digest(case: Case) -> str:
        own = [(path, path.stat()) for path in by_image(case.all_names)[case.name]]
        return repr([(str(path), s.st_size, s.st_mtime_ns) for path, s in own])

    return System(name, name, UserEstimator(read, digest, seeded=False, timed=False))


def _read(folder: Path, files: Sequence[Path], case: Case) -> Output:
    """The kernel and the image of one image's files: one of both, or one of each."""
    found = [path for path in files if path.suffix.lower() in (".npy", ".mat")]
    found = [path for path in found if not _is_made_of_a_kernel(path)]
    found = _of_scale(folder, found, case.scale)
    # The same kernel in both formats counts once.
    same = {path.with_suffix(".mat") for path in found if path.suffix == ".npy"}
    found = [path for path in found if path not in same]
    if len(found) > 1:
        raise ValueError(f"there are several kernels: {' and '.join(map(str, found))}")
    kernel = kernel_files.read(found[0]) if found else None
    lr_shape = case.lr().shape
    images = []
    for path in files:
        if path.suffix.lower() == ".png":
            pixels = image_files.read_pixels(path)
            if sizes_match(pixels.shape, lr_shape, scale=case.scale):
                images.append((path, pixels))
    if len(images) > 1:
        several = " and ".join(str(path) for path, _ in images)
        raise ValueError(f"there are several super-resolved images: {several}")
    if not found and not images:
        raise ValueError(f"{folder}: has no kernel and no super-resolved image of it")
    image = images[0][1] if images else None
    return output_of((kernel, image), lr_shape=lr_shape, scale=case.scale)


def _is_made_of_a_kernel(path: Path) -> bool:
    """Whether the command has written a file beside the kernel that it has found."""
    return path.name in MADE_OF_KERNELS and (path.parent / REPORT).exists()


def _owners(path: Path, names: frozenset[str]) -> list[str]:
    """The images that a file belongs to, by its folders, or else by its own name."""
    by_folder = [name for name in names if name in path.parts[:-1]]
    if by_folder:
        return by_folder
    # The name is set off from other letters and digits.
    held = (
        name
        for name in names
        if re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", path.stem)
    )
    return sorted(held, key=len)[-1:]


def _of_scale(folder: Path, paths: list[Path], scale: int) -> list[Path]:
    """The files that name the scale, if any do; otherwise those that name none."""

    def scales(path: Path) -> list[str]:
        text = "/".join(path.relative_to(folder).with_suffix("").parts)
        return re.findall(r"(?<![^\W_])x(\d+)(?![^\W_])", text)

    named = [path for path in paths if str(scale) in scales(path)]
    return named or [path for path in paths if not scales(path)]
