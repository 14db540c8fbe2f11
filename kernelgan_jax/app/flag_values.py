"""From the text of a flag to its value, for those that absl has no type for."""

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from kernelgan_jax.app import configuration
from kernelgan_jax.app.configuration import UsageError
from kernelgan_jax.app.job import WITHOUT_QUALITY
from kernelgan_jax.confidence_levels import LEVELS
from kernelgan_jax.config import Config
from kernelgan_jax.estimators.registry import GivenConfig
from kernelgan_jax.kernel_formats import TOOLS

LOG_LEVELS = ("debug", "info", "warning", "error")
"""Levels of messages; with each, those of it and of the later ones are printed."""

SHELLS = ("bash", "zsh", "fish")
"""Shells that can complete the flags."""

POOL = "pool"
"""Value of `--export` for all kernels in one file."""


def output_dir(text: str) -> Path:
    """A folder; for a URL an object that has the methods of a `Path` but is none."""
    if not text:  # It would mean the current folder, mostly by accident.
        raise UsageError("--output_dir is empty; name a folder")
    if "://" not in text:
        path = Path(configuration.expanded(text))
        try:
            os.path.abspath(path)
        except FileNotFoundError as error:
            raise UsageError(
                f"--output_dir={text}: the current folder is gone; go to another one"
            ) from error
        return path
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
    """The tools that kernels are written for, and the least confidence of the pool."""
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
        raise UsageError(f"--export_confidence belongs to --export={POOL}")
    pool = (least or LEVELS[0]) if POOL in names else None
    return tuple(name for name in TOOLS if name in names), pool


def unknown(name: str, known: Sequence[str]) -> str:
    """The message on a flag that is not known, with the one that may be meant."""
    settings = {
        setting.rpartition(".")[2]: f"config.{setting}"
        for setting in configuration.setting_names()
    }
    if scale := re.fullmatch(r"s(\d+)", name):
        return f"there is no flag -{name}; did you mean -s {scale[1]}?"
    near = difflib.get_close_matches(name, known, 1)
    near += [settings[n] for n in difflib.get_close_matches(name, settings, 1)]
    meant = f"; did you mean --{near[0]}?" if near else ""
    return f"there is no flag {'-' if len(name) == 1 else '--'}{name}{meant}"


def log_level(level: str | None, *, quiet: bool) -> str:
    """The least level of the messages that are printed."""
    if quiet and level not in (None, "error"):
        raise UsageError(f"--quiet and --log_level={level} exclude each other")
    return "error" if quiet else level or "info"


_PLAIN = (
    (r"^flag (--[\w.]+=)", r"\1"),
    (r"^Missing value for flag (--?\S+)", r"\1 has no value"),
    (r"invalid literal for int\(\) with base 10: '.*'", "it must be a whole number"),
    (r"could not convert string to float: '.*'", "it must be a number"),
    (r"\('Non-boolean argument to boolean flag', '.*'\)", "it must be true or false"),
    (
        r"value should be one of <([^>]*)>",
        lambda found: f"it must be {found[1].replace('|', ' or ')}",
    ),
)


def in_our_words(message: str) -> str:
    """A message of absl or of Python on the value of a flag, in one plain line.

    Example:
      >>> in_our_words("flag --scale=x: invalid literal for int() with base 10: 'x'")
      '--scale=x: it must be a whole number'
    """
    for pattern, plain in _PLAIN:
        message = re.sub(pattern, plain, message)
    return " ".join(message.split())


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


def check_written(given: Sequence[str], format: str, config: Config) -> None:
    """Checks that flags on the super-resolved image have an effect.

    Args:
      given: Those of `format` and `quality` that were given.
    """
    if given and config.chosen_method is None:
        raise UsageError(
            f"--{given[0]} is for super-resolved images, and here there are none; "
            "leave it out"
        )
    if "quality" in given and format in WITHOUT_QUALITY:
        raise UsageError(f"--quality has no effect with --format={format}")


def check_pool(config: Config, *, elsewhere: bool, exports: Sequence[str]) -> None:
    """Checks that there can be one kernel for all images.

    Args:
      elsewhere: Whether other machines work on a part of the images.
      exports: The tools that kernels are written for.
    """
    if config.estimator != "spectral":
        raise UsageError(
            f"--pool needs the estimator spectral; here it is {config.estimator}"
        )
    if config.spectral.kernel_map:
        raise UsageError("--pool and --kernel_map exclude each other")
    if exports:
        raise UsageError(
            "--pool and --export exclude each other; kernelgan_jax.kernels.export "
            "takes pooled_kernel_xS.npy"
        )
    if elsewhere:
        raise UsageError(
            "--pool looks at all images first, on this machine; without --cluster and "
            "--shard it writes pooled_kernel_xS.npy, which --kernel= then takes there"
        )


_OTHERS = "|".join(name for name, tool in TOOLS.items() if not tool.correlates)

_EXPORTED = re.compile(
    rf"(?P<own>kernel_x\d)_(?P<tool>{_OTHERS}|matlab(?=\.mat:psf))\.\w+(?:[:\[].*)?"
)
"""Names of files of `--export` that hold something else than a correlation kernel, also
with a variable's name, and of MATLAB's the variable that does."""


def known_kernel(path: str, config: Config) -> GivenConfig:
    """The kernel of a file, checked for the scale."""
    from kernelgan_jax import kernels
    from kernelgan_jax.app import kernel_files

    if not path:
        raise UsageError("--kernel is empty; name a file")
    path = configuration.expanded(path)
    if found := _EXPORTED.fullmatch(Path(path).name):
        raise UsageError(
            f"--kernel: {path}: was written for {found['tool']}; give "
            f"{found['own']}.npy, the correlation kernel beside it"
        )
    try:
        kernel = kernel_files.read(path)
    except kernel_files.KernelFileError as error:
        raise UsageError(f"--kernel: {error}") from error
    try:
        kernels.check(kernel, scale=config.scale)
    except ValueError as error:
        message = configuration.name_flags(str(error))
        raise UsageError(f"--kernel: {path}: {message}") from error
    return GivenConfig(kernel=tuple(map(tuple, kernel.tolist())), source=path)
