"""TODO docstring."""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import ml_collections
import numpy as np
from absl import flags
from ml_collections import config_flags

if TYPE_CHECKING:
    pass

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.app import kernel_files
from kernelgan_jax.config import BEST, SR_METHODS, Config, SRConfig

_USAGE = """\
Usage: python main.py --image=PHOTO [--image=FOLDER ...] [flags]

Finds the kernel that each image was downscaled with (by its power spectrum or, with
--config=configs/x2_paper.py, by KernelGAN), and super-resolves the image with it
(ZSSR). The results of a/photo.png go to OUTPUT_DIR/photo: sr_x2.png, comparison.png,
kernel_x2.npy, kernel_x2.mat (or x3, ...; for scale 4 both x2 and x4), kernel.png (to
look at) and report.json. OUTPUT_DIR/manifest.jsonl has a line on each image. Images
that are finished with the same settings are left out.

Flags:
{flags}

Settings and their defaults, explained in kernelgan_jax/config.py:
{settings}

Exit status: 0 if all images were done, 1 if some failed, 2 for a mistake in the flags,
130 or 143 if interrupted or terminated: the same command then goes on where it stopped.
"""


class UsageError(Exception):
    """A mistake in the flags or the config; the message is one line."""


class Options(NamedTuple):
    """What the command line asks for."""

    image_files: list[str]
    config: Config
    output_dir: Path
    seed: int
    quiet: bool
    kernel: np.ndarray | None = None
    """A known kernel, in place of the estimated one."""
    kernel_source: str = "estimated"
    """`estimated`, `bicubic`, or the file of the known kernel."""
    batch_size: int | None = None
    """None: as fits."""
    resume: bool = True
    figures: bool = True
    shard: tuple[int, int] = (0, 1)
    """Which part of the images, of how many."""
    cluster: str | None = None
    """`ray`, or None for this machine alone."""


def parse(argv: Sequence[str]) -> Options:
    """Makes options of the arguments.

    Raises:
      UsageError: For flags that are unknown or of a wrong value, a config file that
        does not work, or if there is no image.
    """
    for argument in argv:
        if override := re.match(r"--?config\.([^=]*)", argument):
            _check_setting(override[1])
    values = flags.FlagValues()
    try:
        _define_flags(values, argv)
        images = values(["kernelgan-jax", *argv])[1:]
        settings = {
            name: value.to_dict()
            if isinstance(value, ml_collections.ConfigDict)
            else value
            for name, value in dict(values.config).items()
        }
    except flags.Error as error:
        first, *more = str(error).splitlines()
        raise UsageError(" ".join([first, *more[-1:]])) from error
    except Exception as error:  # A config file is a program: it can raise anything.
        last_line = f"{type(error).__name__}: {error}".splitlines()[-1]
        raise UsageError(f"--config: {last_line}") from error
    sr = settings.get("sr", {})
    if not isinstance(sr, dict):
        raise UsageError("config.sr must hold settings, as config.sr.method")
    for name in (*settings, *(f"sr.{name}" for name in sr)):
        _check_setting(name)
    if values.sr is not None:
        settings["sr"] = sr | {"method": values.sr}
    try:
        config = Config(**settings)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    images = values.image + images
    if not images:
        raise UsageError("no image: name a file, a folder or a glob with --image=")
    kernel, source = _known_kernel(values, config)
    output_dir = _output_dir(values.output_dir)
    return Options(
        images,
        config,
        output_dir,
        values.seed,
        values.quiet,
        kernel,
        source,
        _batch_size(values.batch_size),
        values.resume,
        values.figures,
        _shard(values.shard),
        values.cluster,
    )


def _output_dir(text: str) -> Path:
    """A folder, or what has the methods of a `Path` for a URL, and is none."""
    if "://" not in text:
        return Path(text)
    try:
        from upath import UPath

        return cast(Path, UPath(text))
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"--output_dir={text}: {error}; URLs need "
            'pip install "kernelgan-jax[cluster]" and fsspec\'s package for the store'
        ) from error


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise UsageError(f"--batch_size={text}: it must be auto or a positive number")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    if not found or int(found[1]) >= int(found[2]):
        raise UsageError(f"--shard={text}: it must be I/N, with I from 0 to N - 1")
    return int(found[1]), int(found[2])


def _known_kernel(
    values: flags.FlagValues, config: Config
) -> tuple[np.ndarray | None, str]:
    if values.kernel is None and values.sr_kernel != "bicubic":
        return None, "estimated"
    if values.kernel is not None and values.sr_kernel == "bicubic":
        raise UsageError("--kernel and --sr_kernel=bicubic exclude each other")
    if config.sr.method == "none":
        raise UsageError("a known kernel serves super-resolution; leave out --sr=none")

    if values.kernel is None:
        return blur_kernels.bicubic(config.scale), "bicubic"
    try:
        kernel = kernel_files.read(values.kernel)
    except kernel_files.KernelFileError as error:
        raise UsageError(f"--kernel: {error}") from error
    try:
        kernels.check(kernel, scale=config.scale)
    except ValueError as error:
        raise UsageError(f"--kernel: {values.kernel}: {error}") from error
    return kernel, values.kernel


_FLAGS = (
    "image", "config", "output_dir", "seed", "quiet", "sr", "kernel", "sr_kernel",
    "batch_size", "resume", "figures", "shard", "cluster",
)  # fmt: skip


def _define_flags(values: flags.FlagValues, argv: Sequence[str]) -> None:
    # In values of its own instead of absl's global ones, so that `main` can be called
    # again and that --help shows only this.
    flags.DEFINE_multi_string(
        "image",
        [],
        # absl adds that it may be repeated.
        "Image file, folder or glob. Arguments without a flag are images too, as from "
        "a glob that the shell expands",
        flag_values=values,
    )
    config_help = (
        "Python file with get_config() -> ConfigDict, such as those in configs/. After "
        "it, single settings can be changed: --config.iterations=500"
    )
    argv = list(argv)
    if any(re.match(r"--?config(=|$)", argument) for argument in argv):
        config_flags.DEFINE_config_file(
            "config", None, config_help, flag_values=values, sys_argv=argv
        )
    else:
        default = ml_collections.ConfigDict(BEST.asdict())
        config_flags.DEFINE_config_dict(
            "config", default, config_help, flag_values=values, sys_argv=argv
        )
    flags.DEFINE_string(
        "output_dir",
        "results",
        "Folder for the results, or a URL that fsspec knows (s3://...).",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed",
        0,
        "Random seed. Each image starts from it anew, so that its kernel does not "
        "depend on the other images.",
        lower_bound=0,
        upper_bound=2**32 - 1,  # JAX drops higher bits.
        flag_values=values,
    )
    flags.DEFINE_enum(
        "sr",
        None,
        SR_METHODS,
        "How to super-resolve, short for --config.sr.method; none: the kernel alone.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "kernel",
        None,
        "Known kernel for the super-resolution (.npy, or .mat with Kernel); none is "
        "estimated then.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "sr_kernel",
        "estimated",
        ["estimated", "bicubic"],
        "Kernel for the super-resolution; bicubic: the ideal one, without estimation.",
        flag_values=values,
    )
    flags.DEFINE_boolean("quiet", False, "Print errors only.", flag_values=values)
    flags.DEFINE_string(
        "batch_size",
        "auto",
        "Images to work on at a time; auto: one a core on CPU, else what fits into the "
        "memory of the devices.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "resume",
        True,
        "Leave out images that are finished with the same settings; --noresume does "
        "them again.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "figures",
        True,
        "Draw kernel.png and comparison.png; --nofigures saves about a second of one "
        "core an image.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "shard",
        "0/1",
        "I/N: only every Nth image, from the Ith on, counted from 0: the part of one "
        "machine among N.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "cluster",
        None,
        ["ray"],
        "Work on a Ray cluster: that of RAY_ADDRESS, or one of this machine's cores. "
        'Needs pip install "kernelgan-jax[cluster]"; see docs/cluster.md.',
        flag_values=values,
    )


def _check_setting(name: str) -> None:
    known = [field.name for field in dataclasses.fields(Config)]
    known += [f"sr.{field.name}" for field in dataclasses.fields(SRConfig)]
    if name not in known:
        nearest = difflib.get_close_matches(name, known, 1, cutoff=0)[0]
        raise UsageError(
            f"there is no setting config.{name}; did you mean config.{nearest}?"
        )


def usage() -> str:
    """The text of --help."""
    values = flags.FlagValues()
    _define_flags(values, [])
    described = []
    shown_defaults = ("output_dir", "seed", "batch_size", "shard")
    for name in _FLAGS:
        default = values[name].default
        shown = f" (default: {default})" if name in shown_defaults else ""
        text = f"--{name}: {' '.join(values[name].help.split())}{shown}"
        described.append(flags.text_wrap(text, 88, "      ", "  "))
    settings = [
        f"  --config.{name}="
        + (f'"{value}"' if isinstance(value, tuple) else f"{value}")
        for name, value in _flat(BEST.asdict())
    ]
    return _USAGE.format(flags="\n".join(described), settings="\n".join(settings))


def _flat(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", v) for inner, v in _flat(value))
        else:
            yield name, value
