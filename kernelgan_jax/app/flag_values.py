"""From the text of a flag to its value, for those that absl has no type for."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from kernelgan_jax.app import configuration
from kernelgan_jax.app.configuration import UsageError
from kernelgan_jax.kernel_formats import TOOLS

LEVELS = ("low", "medium", "high")
"""Levels of confidence, the least first."""

POOL = "pool"
"""Value of `--export` for all kernels in one file."""


def output_dir(text: str) -> Path:
    """A folder; for a URL an object that has the methods of a `Path` but is none."""
    if not text:  # It would mean the current folder, mostly by accident.
        raise UsageError("--output_dir is empty; name a folder")
    if "://" not in text:
        return Path(configuration.expanded(text))
    try:
        from upath import UPath

        return cast(Path, UPath(text))
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"--output_dir={text}: {error}; URLs need "
            'pip install "kernelgan-jax[cluster]" and fsspec\'s package for the store'
        ) from error


def exports(
    names: Sequence[str], least: str | None, *, estimates: bool
) -> tuple[tuple[str, ...], str | None]:
    """The tools that kernels are written for, and the least confidence of the pool.

    Args:
      names: The values of `--export`.
      least: The value of `--pool_confidence`.
      estimates: Whether the run estimates kernels.
    """
    for name in names:
        if name not in (*TOOLS, POOL):
            near = difflib.get_close_matches(name, (*TOOLS, POOL), 1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"--export={name}: no such tool; {meant}known: "
                f"{', '.join((*TOOLS, POOL))}"
            )
    if names and not estimates:
        raise UsageError(
            "--export writes estimated kernels, and this one is known; "
            "kernelgan_jax.kernels.export makes it into those of other tools"
        )
    if least and POOL not in names:
        raise UsageError(f"--pool_confidence belongs to --export={POOL}")
    pool = (least or LEVELS[0]) if POOL in names else None
    return tuple(name for name in TOOLS if name in names), pool


def batch_size(text: str) -> int | None:
    """The number of images at a time; None for as many as fit."""
    if text == "auto":
        return None
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise UsageError(f"--batch_size={text}: it must be auto or a positive number")
    return int(text)


def shard(text: str) -> tuple[int, int]:
    """The part of the images, and of how many parts."""
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    if not found or int(found[1]) >= int(found[2]):
        raise UsageError(f"--shard={text}: it must be I/N, with I from 0 to N - 1")
    return int(found[1]), int(found[2])
