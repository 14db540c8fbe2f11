"""The command line: from arguments to `Options`. Needs no JAX."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from absl import flags
from ml_collections import config_flags

from kernelgan_jax.app import configuration
from kernelgan_jax.app.configuration import UsageError
from kernelgan_jax.app.job import FORMATS, QUALITY, SAME, Job
from kernelgan_jax.config import NO_SR, Config
from kernelgan_jax.estimators.registry import GivenConfig
from kernelgan_jax.super_resolution.deep_wiener.config import DeepWienerConfig
from kernelgan_jax.super_resolution.registry import METHODS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks for."""

    images: list[str]
    """Files, folders and globs."""
    job: Job
    """What is done with each image."""
    output_dir: Path
    """The folder for all results."""
    batch_size: int | None = None
    """Images at a time; None for as many as fit."""
    shard: tuple[int, int] = (0, 1)
    """Which part of the images is worked on, and of how many parts."""
    cluster: str | None = None
    """`ray`, or None for this machine alone."""
    quiet: bool = False
    """Whether only errors are printed."""
    device: str | None = None
    """`cpu`, `gpu` or `tpu`; None for what JAX takes by itself."""
    pool: bool = False
    """Whether all images get one kernel."""


class Flag(NamedTuple):
    """A flag of the command."""

    define: Callable[..., Any]
    """The function of absl that defines it."""
    default: Any
    """The default value."""
    about: str
    """What it does, in plain words."""
    options: dict[str, Any] = {}
    """Further arguments for absl."""


FLAGS = {
    "image": Flag(
        flags.DEFINE_multi_string,
        [],
        # absl adds that it may be repeated.
        "Image file, folder or glob. Arguments without a flag are images as well, as "
        "from a glob that the shell expands",
    ),
    "output_dir": Flag(
        flags.DEFINE_string,
        "results",
        "Folder for the results, or a URL that fsspec knows (s3://...); also -o.",
        {"short_name": "o"},
    ),
    "scale": Flag(
        flags.DEFINE_integer,
        None,
        "By how much to enlarge, from 1 (deblur) to 8, short for --config.scale.",
    ),
    "seed": Flag(
        flags.DEFINE_integer,
        0,
        "Random seed. Each image starts from it anew, so that its kernel does not "
        "depend on the other images.",
        {"lower_bound": 0, "upper_bound": 2**32 - 1},  # JAX drops higher bits.
    ),
    "quiet": Flag(
        flags.DEFINE_boolean,
        False,
        "Print errors only.",
    ),
    "sr": Flag(
        flags.DEFINE_enum,
        None,
        "How to super-resolve, short for --config.sr; none: the kernel alone.",
        {"enum_values": [*METHODS, NO_SR]},
    ),
    "strength": Flag(
        flags.DEFINE_float,
        None,
        "From 0 (faithful: a linear filter) to 1 (sharp: the network), short for "
        "--config.deep_wiener.strength.",
    ),
    "sr_weights": Flag(
        flags.DEFINE_string,
        None,
        "Weights of the super-resolution network (.npz, of your own training; see "
        "docs/deep_wiener.md), short for --config.deep_wiener.weights.",
    ),
    "format": Flag(
        flags.DEFINE_enum,
        "png",
        "Format of the super-resolved image; same: that of the image. Floating point "
        "and other numbers of bands than 1 and 3 always give a TIFF.",
        {"enum_values": [*FORMATS, SAME]},
    ),
    "quality": Flag(
        flags.DEFINE_integer,
        QUALITY,
        "Quality of JPEG, WebP and AVIF; 100 makes WebP lossless.",
        {"lower_bound": 1, "upper_bound": 100},
    ),
    "band": Flag(
        flags.DEFINE_integer,
        None,
        "Which band of an image the kernel is estimated from, counted from 1 as GDAL "
        "does; by default their mean, and all channels of gray and RGB. All bands are "
        "super-resolved.",
        {"lower_bound": 1},
    ),
    "kernel": Flag(
        flags.DEFINE_string,
        None,
        "Known kernel for the super-resolution (.npy, or .mat with Kernel), in place "
        "of an estimated one; FILE:NAME names another variable, FILE:NAME[3] one of "
        "several kernels in it, counted from 0.",
    ),
    "sr_kernel": Flag(
        flags.DEFINE_enum,
        "estimated",
        "Kernel for the super-resolution; bicubic: the ideal bicubic kernel, in place "
        "of an estimated one.",
        {"enum_values": ["estimated", "bicubic"]},
    ),
    "kernel_map": Flag(
        flags.DEFINE_string,
        None,
        "ROWSxCOLUMNS, as 3x4: blur that varies, a kernel for each part of the image; "
        "short for --config.spectral.kernel_map.",
    ),
    "pool": Flag(
        flags.DEFINE_boolean,
        False,
        "One kernel for all images, as those of one camera: they are analysed first, "
        "and the kernel is written to OUTPUT_DIR as well.",
    ),
    "batch_size": Flag(
        flags.DEFINE_string,
        "auto",
        "Images at a time; auto: one per CPU core or, for KernelGAN on GPUs and TPUs, "
        "as many as fit in memory.",
    ),
    "resume": Flag(
        flags.DEFINE_boolean,
        True,
        "Leave out images that are finished with the same settings; --noresume does "
        "them again.",
    ),
    "figures": Flag(
        flags.DEFINE_boolean,
        True,
        "Draw kernel.png and comparison.png; --nofigures saves about a second of one "
        "core per image.",
    ),
    "device": Flag(
        flags.DEFINE_enum,
        None,
        "Kind of device to compute on; by default the fastest that JAX finds.",
        {"enum_values": ["cpu", "gpu", "tpu"]},
    ),
    "shard": Flag(
        flags.DEFINE_string,
        "0/1",
        "I/N: only every Nth image, from the Ith on, counted from 0: the part of one "
        "machine among N.",
    ),
    "cluster": Flag(
        flags.DEFINE_enum,
        None,
        "Work on a Ray cluster: that of RAY_ADDRESS, or one of this machine's cores. "
        'Needs pip install "kernelgan-jax[cluster]"; see docs/cluster.md.',
        {"enum_values": ["ray"]},
    ),
}
"""The flags by name, apart from `--config`."""


def parse(argv: Sequence[str]) -> Options:
    """Makes options of the arguments.

    Raises:
      UsageError: For flags that are unknown or have a wrong value, a config file that
        does not work, or if there is no image.
    """
    source, argv = _take_config(argv)
    explicit = _overridden(argv)
    for name in explicit:
        configuration.check_name(name)
    file = configuration.load(source)
    values, images = _values(argv, file)
    settings = configuration.changed(file, values.config)
    images = values.image + images
    if not images:
        raise UsageError("no image: name a file, a folder or a glob with --image=")
    config = _config(values, file, settings, explicit)
    if values.pool:
        _check_pool(values, config)
    return Options(
        images=images,
        job=Job(
            config=config,
            seed=values.seed,
            figures=values.figures,
            format=values.format,
            quality=values.quality,
            band=values.band,
            resume=values.resume,
        ),
        output_dir=_output_dir(values.output_dir),
        batch_size=_batch_size(values.batch_size),
        shard=_shard(values.shard),
        cluster=values.cluster,
        quiet=values.quiet,
        device=values.device,
        pool=values.pool,
    )


def _check_pool(values: flags.FlagValues, config: Config) -> None:
    """Checks that there can be one kernel for all images."""
    if config.estimator != "spectral":
        raise UsageError(
            f"--pool needs the estimator spectral; here it is {config.estimator}"
        )
    if config.spectral.kernel_map:
        raise UsageError("--pool and --kernel_map exclude each other")
    if values.cluster or values.shard != "0/1":
        raise UsageError(
            "--pool looks at all images first, on this machine; without --cluster and "
            "--shard it writes pooled_kernel_xS.npy, which --kernel= then takes there"
        )


def define(values: flags.FlagValues) -> None:
    """Defines the flags, apart from `--config`.

    They get values of their own instead of absl's global ones, so that `main` can be
    called again and that `--help` shows only them.
    """
    for name, flag in FLAGS.items():
        flag.define(
            name=name,
            default=flag.default,
            help=flag.about,
            flag_values=values,
            **flag.options,
        )


def _take_config(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """The value of `--config`, the last one if there are several, and the rest."""
    source, rest = None, []
    arguments = iter(argv)
    for argument in arguments:
        if argument == "--":
            rest += [argument, *arguments]
        elif argument in ("--config", "-config"):
            source = next(arguments, "")
        elif found := re.fullmatch("--?config=(.*)", argument, re.DOTALL):
            source = found[1]
        else:
            rest.append(argument)
    if source == "":
        raise UsageError("--config: name a Python file or a preset")
    return source, rest


def _overridden(argv: Sequence[str]) -> list[str]:
    """Names of the single settings that are given, such as `zssr.crop`."""
    found = (re.match(r"--?config\.([^=]*)", text) for text in _before_dashes(argv))
    return [override[1] for override in found if override]


def _before_dashes(argv: Sequence[str]) -> list[str]:
    """The arguments that may be flags: those before `--`."""
    argv = list(argv)
    return argv[: argv.index("--")] if "--" in argv else argv


def _values(
    argv: Sequence[str], settings: configuration.Settings
) -> tuple[flags.FlagValues, list[str]]:
    """The values of the flags and the arguments without a flag."""
    values = flags.FlagValues()
    define(values)
    program = ["kernelgan-jax", *argv]
    try:
        config_flags.DEFINE_config_dict(
            "config",
            configuration.changeable(settings),
            flag_values=values,
            sys_argv=_before_dashes(program),
        )
        return values, values(program)[1:]
    except flags.Error as error:
        first, *more = str(error).splitlines()
        raise UsageError(" ".join([first, *more[-1:]])) from error
    except (TypeError, ValueError) as error:  # of ml_collections, for wrong types
        raise UsageError(" ".join(str(error).split())) from error


def _config(
    values: flags.FlagValues,
    file: configuration.Settings,
    settings: configuration.Settings,
    explicit: Sequence[str],
) -> Config:
    """The config, with the known kernel if there is one."""
    for flag, name in _SHORT.items():
        value = getattr(values, flag)
        if value is None:
            continue
        group, _, last = name.rpartition(".")
        if group:
            settings[group] = dict(settings[group])
        place = settings[group] if group else settings
        if name in explicit and place[last] != value:
            raise UsageError(f"--{flag} and --config.{name} exclude each other")
        place[last] = value
        explicit = [*explicit, name]
    known = None
    if values.kernel is not None:
        known = "--kernel"
        settings["estimator"] = "given"
    if values.sr_kernel == "bicubic":
        if known:
            raise UsageError("--kernel and --sr_kernel=bicubic exclude each other")
        known = "--sr_kernel=bicubic"
        settings["estimator"] = "bicubic"
    if known and "estimator" in explicit:
        raise UsageError(f"{known} and --config.estimator exclude each other")
    config = configuration.choose(file, settings, explicit)
    if not config.chosen_estimator.estimates and config.chosen_method is None:
        raise UsageError("a known kernel serves super-resolution; leave out --sr=none")
    if not config.chosen_estimator.estimates and values.band is not None:
        raise UsageError("--band is for kernels that are estimated; leave it out")
    if config.deep_wiener.weights:
        config = dataclasses.replace(config, deep_wiener=_with_digest(config))
    if values.kernel is not None:
        return dataclasses.replace(config, given=_known_kernel(values.kernel, config))
    if config.estimator == "given" and not config.given.kernel:
        raise UsageError("config.estimator is 'given'; name the kernel with --kernel=")
    return config


_SHORT = {
    "scale": "scale",
    "sr": "sr",
    "strength": "deep_wiener.strength",
    "sr_weights": "deep_wiener.weights",
    "kernel_map": "spectral.kernel_map",
}
"""Flags that are short for a setting."""


def _with_digest(config: Config) -> DeepWienerConfig:
    """The network's settings with the digest of its file of weights, which is read."""
    from kernelgan_jax.app import files
    from kernelgan_jax.super_resolution.deep_wiener import weights

    path = Path(config.deep_wiener.weights)
    try:
        digest = files.content(path).sha256  # Opens regular files only.
        scales = weights.load(path).about.get("scales", [config.scale])
    except OSError as error:
        raise UsageError(f"--sr_weights: {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"--sr_weights: {error}") from error
    if config.scale not in scales:
        trained = ", ".join(map(str, scales))
        raise UsageError(
            f"--sr_weights: {path}: was trained for scale {trained}, not for "
            f"{config.scale}; use other weights or --sr=wiener"
        )
    return dataclasses.replace(config.deep_wiener, weights_digest=digest)


def _known_kernel(path: str, config: Config) -> GivenConfig:
    """The kernel of a file, checked for the scale."""
    from kernelgan_jax import kernels
    from kernelgan_jax.app import kernel_files

    if not path:
        raise UsageError("--kernel is empty; name a file")
    path = configuration.expanded(path)
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


def _output_dir(text: str) -> Path:
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
