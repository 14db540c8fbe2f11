"""Which folder an image's results go to, and whose results lie in a folder already.

A folder has the image's name, made safe: whatever the image is called, the folder lies
directly in the output folder, is not hidden, and has no name that the program needs for
a file of its own. Results of another image of the same name are never replaced:
`report.json` names the image that they belong to, by path and by content.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from kernelgan_jax.app import files, summary_table
from kernelgan_jax.app.job import REPORT, SETTINGS, WITHOUT_QUALITY
from kernelgan_jax.app.manifest import is_manifest
from kernelgan_jax.app.result_names import is_result_name

LONGEST_NAME = 200
"""Bytes of a folder's longest name; file systems mostly allow 255."""

_KERNELS = re.compile(r"(kernel_pool|pooled_kernel)_x[0-9]+\.[a-z]+")
"""Names of the files in which a run writes kernels of all images."""


class Owner(NamedTuple):
    """The image whose results a folder holds, and the settings they were made with."""

    path: str | None
    """Absolute path of the image; None if the report is of another program."""
    content: files.Content | None
    """Size and digest of the image; None if the report does not say."""
    settings: dict[str, Any]
    """The settings, as `report.json` has them; see `report.settings`."""

    def is_image(self, path: Path) -> bool:
        """Whether an image is the owner: the same path, or the same content."""
        if self.path == os.path.abspath(path):
            return True
        try:
            if self.content is None or os.stat(path).st_size != self.content.bytes:
                return False
            return files.content(path) == self.content
        except OSError:
            return False


def folders(paths: Sequence[Path], output_dir: Path) -> list[Path]:
    """Chooses a folder in `output_dir` for the results of each image.

    It has the name of the image without suffix (see `safe_name`). If several images
    have the same name, or a folder holds the results of another image, the later ones
    get `_2`, `_3`, ..., and never the name of another image in the list. An image that
    has a folder already keeps it. Names that some file system takes for the same (case,
    composed accents) count as the same.
    """
    names = [safe_name(path) for path in paths]
    stems = {_normalised(name) for name in names}
    owners = _owners(output_dir, stems)
    own = {owner.path: name for name, owner in sorted(owners.items(), reverse=True)}
    owners = {_normalised(name): owner for name, owner in owners.items()}
    taken: set[str] = set()
    last: dict[str, int] = {}
    chosen = []
    for path, stem in zip(paths, names, strict=True):
        name = own.get(os.path.abspath(path), "")
        if not _is_numbered(name, stem) or _normalised(name) in taken:
            number = last.get(_normalised(stem), 1)
            name = _numbered(stem, number)
            while (
                _normalised(name) in taken
                or (number > 1 and _normalised(name) in stems)
                or _is_of_another(owners.get(_normalised(name)), path)
            ):
                number += 1
                name = _numbered(stem, number)
            last[_normalised(stem)] = number
        taken.add(_normalised(name))
        chosen.append(output_dir / name)
    return chosen


def safe_name(path: Path) -> str:
    """The name of an image without suffix, as a folder's name that is always legal.

    Example:
      >>> safe_name(Path("x/a.b.png")), safe_name(Path("x/...png"))
      ('a.b', '_')
      >>> safe_name(Path("manifest.jsonl.png")), safe_name(Path("Summary.csv.png"))
      ('manifest.jsonl_', 'Summary.csv_')
      >>> safe_name(Path("kernel_pool_x2.npz.png")), safe_name(Path("kernel_pool.png"))
      ('kernel_pool_x2.npz_', 'kernel_pool')
    """
    stem = path.name.rpartition(".")[0] or path.name  # The same in every Python.
    name = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in stem)
    name = name.encode("utf-8", "replace")[:LONGEST_NAME].decode("utf-8", "ignore")
    name = name.rstrip(" .") or "_"
    if name.startswith("."):
        name = f"_{name[1:]}"
    return f"{name}_" if is_of_the_program(name) else name


def is_of_the_program(name: str) -> bool:
    """Whether a file beside the folders of results has this name, in any case."""
    name = name.casefold()
    return (
        is_manifest(name)
        or ".jsonl.damaged" in name
        or name == summary_table.NAME
        or _KERNELS.fullmatch(name) is not None
    )


def owner_of(folder: Path) -> Owner | None:
    """The image whose results a folder holds; None if it holds no complete results.

    A folder with a `report.json` of another program belongs to that.
    """
    report = files.read_json(folder / REPORT)
    if report is None:
        return None
    try:
        settings = {"config": report["config"]}
        settings |= {name: report[name] for name in SETTINGS if name in report}
        owner, content = report["owner"], None
        if "sha256" in owner:
            content = files.Content(int(owner["bytes"]), str(owner["sha256"]))
        return Owner(str(owner["path"]), content, settings)
    except (KeyError, TypeError, ValueError, AttributeError):
        return Owner(None, None, {})


def different_settings(
    chosen: Sequence[Path], settings: Mapping[str, Any]
) -> tuple[int, str]:
    """How many folders hold results of other settings, and a setting that differs.

    Args:
      chosen: The folders of a run's images; those at URLs are not looked at.
      settings: The settings of this run, as `Owner.settings`.
    """
    count, example = 0, ""
    for folder in chosen:
        if not (isinstance(folder, Path) and folder.is_dir()):
            continue
        owner = owner_of(folder)
        found = "" if owner is None else _difference(owner.settings, settings)
        count += bool(found)
        example = example or found
    return count, example


def output_filter(output_dir: Path | None, *, start: Path) -> Callable[[Path], bool]:
    """A test for files that a search for images leaves out: a run's own results.

    Args:
      output_dir: The output folder; None, or one at a URL, leaves nothing out.
      start: The folder in which the search starts. If that lies in the output folder,
        images may lie beside results; only files in folders with a report, or of the
        names of results, are then left out.
    """
    if not isinstance(output_dir, Path):
        return lambda path: False
    root = os.path.realpath(output_dir)

    def lies_in(path: Path) -> bool:
        real = os.path.realpath(path)
        return real == root or real.startswith(os.path.join(root, ""))

    if not lies_in(start):
        return lambda path: lies_in(path.parent)

    def is_result(path: Path) -> bool:
        folder = os.path.realpath(path.parent)
        if os.path.dirname(folder) != root:
            return False
        return is_result_name(path.name) or os.path.exists(f"{folder}/{REPORT}")

    return is_result


def is_of_a_run(path: Path) -> bool:
    """Whether a file is a result of any run, beside its report."""
    return is_result_name(path.name) and os.path.exists(path.parent / REPORT)


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first setting that differs, and its two values; empty if none does.

    Settings that only one of them has, as reports of other versions, are not compared.
    """
    one, other = (dict(_flat("", tree)) for tree in (before, now))
    if now.get("format") in WITHOUT_QUALITY:
        other.pop("quality", None)
    for name in sorted(one.keys() & other, key=lambda name: (name.count("."), name)):
        if one[name] != other[name]:
            return f"{name} was {one[name]!r} and is {other[name]!r}"
    return ""


def _flat(prefix: str, tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found += _flat(f"{prefix}{name}.", value)
        else:
            found.append((f"{prefix}{name}", value))
    return found


def _is_of_another(owner: Owner | None, path: Path) -> bool:
    return owner is not None and not owner.is_image(path)


def _owners(output_dir: Path, stems: Collection[str]) -> dict[str, Owner]:
    """The owners of those folders that an image with such a name may get."""
    try:
        names = [path.name for path in output_dir.iterdir()]
    except Exception:  # There is none yet; a store of objects has errors of its own.
        return {}
    names = [name for name in names if _stem_of(name, stems) is not None]
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(owner_of, [output_dir / name for name in names])
        return {
            name: owner
            for name, owner in zip(names, found, strict=True)
            if owner is not None
        }


def _stem_of(name: str, stems: Collection[str]) -> str | None:
    """The stem, among some, that a folder's name stands for."""
    name = _normalised(name)
    short = re.sub(r"_\d+$", "", name)
    return next((stem for stem in (name, short) if stem in stems), None)


def _is_numbered(name: str, stem: str) -> bool:
    """Whether a name is the stem, alone or with a number."""
    found = re.fullmatch(r"(_[1-9]\d*)?", name.removeprefix(stem))
    return name.startswith(stem) and found is not None


def _numbered(stem: str, number: int) -> str:
    return stem if number == 1 else f"{stem}_{number}"


def _normalised(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
