"""The command line: from arguments to `Options`. Needs no JAX."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections import config_flags

from kernelgan_jax.app import configuration, flag_values, weight_files
from kernelgan_jax.app.configuration import UsageError
from kernelgan_jax.app.flag_values import LOG_LEVELS, POOL, SHELLS
from kernelgan_jax.app.job import FORMATS, QUALITY, SAME, Job
from kernelgan_jax.confidence_levels import LEVELS
from kernelgan_jax.config import NO_SR, Config
from kernelgan_jax.kernel_formats import TOOLS
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
    export_confidence: str | None = None
    """Least confidence of the kernels of the exported pool; None for no such pool."""
    log_level: str = "info"
    """The least level of the messages that are printed, one of `LOG_LEVELS`."""
    device: str | None = None
    """`cpu`, `gpu` or `tpu`; None for what JAX takes by itself."""
    pool: bool = False
    """Whether all images get one kernel."""

    def shows(self, level: str) -> bool:
        """Whether messages of a level are printed."""
        return LOG_LEVELS.index(level) >= LOG_LEVELS.index(self.log_level)


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
        "from a glob that the shell expands; also -i",
        {"short_name": "i"},
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
        "By how much to enlarge, from 1 to 8 (1: deblur), short for --config.scale; "
        "also -s.",
        {"short_name": "s"},
    ),
    "seed": Flag(
        flags.DEFINE_integer,
        0,
        "Random seed. Each image starts from it anew, so that its kernel does not "
        "depend on the other images.",
        {"lower_bound": 0, "upper_bound": 2**32 - 1},  # JAX drops higher bits.
    ),
    "quiet": Flag(
        flags.DEFINE_boolean, False, "Print errors only, as --log_level=error."
    ),
    "log_level": Flag(
        flags.DEFINE_enum,
        None,
        "What is printed; warning: what was not done as usual, and errors; debug: also "
        "each phase, compilations and where errors come from. By default info.",
        {"enum_values": list(LOG_LEVELS)},
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
        "Weights of the super-resolution network: of your own training "
        "(docs/deep_wiener.md), or what --sr=usrnet, srmd, ... need "
        "(docs/super_resolution.md). Short for --config.deep_wiener.weights, "
        "--config.usrnet.weights, ...",
    ),
    "sr_model": Flag(
        flags.DEFINE_string,
        None,
        "Super-resolve with a network in a file of ONNX (docs/super_resolution.md), "
        "short for --sr=onnx --config.onnx.weights.",
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
    "export": Flag(
        flags.DEFINE_list,
        [],
        "Also write the estimated kernels as other tools read them, separated by "
        f"commas: {', '.join(TOOLS)} (docs/export.md). {POOL}: all kernels of the "
        "output folder in one kernel_pool_x2.npz (or x3, ...).",
    ),
    "export_confidence": Flag(
        flags.DEFINE_enum,
        None,
        f"Least confidence of the kernels that --export={POOL} writes; by default low, "
        "which are all that were found.",
        {"enum_values": list(LEVELS)},
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
        "Known kernel for the super-resolution (.npy, .csv, or .mat with Kernel), in "
        "place of an estimated one; FILE:NAME names another variable, FILE:NAME[3] one "
        "of several kernels in it, counted from 0.",
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
        "Images at a time; auto: one per CPU core or, on GPUs and TPUs, as many as one "
        "program of the estimator takes.",
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
        "Draw kernel.png and comparison.png; --nofigures saves about half a second of "
        "one core per image.",
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
    "completion": Flag(
        flags.DEFINE_enum,
        None,
        "Print a script with which a shell completes the flags of kernelgan-jax; its "
        "first lines say where it belongs.",
        {"enum_values": list(SHELLS)},
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
    pattern = r"--?(?:no)?config\.([^=]*)"
    found = (re.match(pattern, text) for text in _before_dashes(argv))
    explicit = [setting[1] for setting in found if setting]
    for name in explicit:
        configuration.check_name(name)
    file = configuration.load(source)
    values, images = _values(argv, file)
    settings = configuration.changed(file, values.config)
    images = values.image + images
    if not images:
        raise UsageError("no image: name a file, a folder or a glob with --image=")
    config = _config(values, file, settings, explicit)
    exports, least = flag_values.exports(
        values.export,
        values.export_confidence,
        estimates=config.chosen_estimator.estimates,
    )
    given = [name for name in ("format", "quality") if values[name].present]
    flag_values.check_written(given, values.format, config)
    if values.cluster and values.device:
        raise UsageError(
            "--device and --cluster exclude each other; set JAX_PLATFORMS where the "
            "workers are started"
        )
    if values.pool:
        flag_values.check_pool(
            config, elsewhere=values.cluster or values.shard != "0/1", exports=exports
        )
    return Options(
        images=images,
        job=Job(
            config=config,
            seed=values.seed,
            figures=values.figures,
            format=values.format,
            quality=values.quality,
            exports=exports,
            band=values.band,
            resume=values.resume,
        ),
        output_dir=flag_values.output_dir(values.output_dir),
        batch_size=flag_values.batch_size(values.batch_size),
        shard=flag_values.shard(values.shard),
        cluster=values.cluster,
        export_confidence=least,
        log_level=flag_values.log_level(values.log_level, quiet=values.quiet),
        device=values.device,
        pool=values.pool,
    )


def define(
    values: flags.FlagValues, *, table: Mapping[str, Flag] | None = None
) -> None:
    """Defines flags: those of a table, by default `FLAGS`.

    They get values of their own instead of absl's global ones, so that `main` can be
    called again and that `--help` shows only them.
    """
    for name, flag in (FLAGS if table is None else table).items():
        flag.define(
            name=name,
            default=flag.default,
            help=flag.about,
            flag_values=values,
            **flag.options,
        )


def names() -> list[str]:
    """Names of all flags, with `no` before those that can be switched off."""
    switches = [n for n, flag in FLAGS.items() if flag.define is flags.DEFINE_boolean]
    return [*FLAGS, *(f"no{switch}" for switch in switches), "config"]


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
    except flags.UnrecognizedFlagError as error:
        raise UsageError(flag_values.unknown(error.flagname, names())) from error
    except flags.Error as error:
        raise UsageError(flag_values.in_our_words(str(error))) from error
    except (TypeError, ValueError) as error:  # of ml_collections, for wrong types
        raise UsageError(flag_values.in_our_words(str(error))) from error


def _config(
    values: flags.FlagValues,
    file: configuration.Settings,
    settings: configuration.Settings,
    explicit: Sequence[str],
) -> Config:
    """The config, with the known kernel if there is one."""
    if values.sr_model is not None:
        if values.sr not in (None, "onnx"):
            raise UsageError(f"--sr_model and --sr={values.sr} exclude each other")
        values["sr"].value = "onnx"
    short = {}
    for flag, name in _SHORT.items():
        value = getattr(values, flag)
        if value is None:
            continue
        if flag == "sr_weights" and weight_files.needed(settings["sr"]):
            name = f"{settings['sr']}.weights"
        group, _, last = name.rpartition(".")
        if group:
            settings[group] = dict(settings[group])
        place = settings[group] if group else settings
        if name in explicit and place[last] != value:
            raise UsageError(f"--{flag} and --config.{name} exclude each other")
        place[last] = value
        explicit = [*explicit, name]
        short[name] = flag
    known = None
    if values.kernel is not None:
        known = "--kernel"
        method = METHODS.get(settings["sr"])
        if method is not None and not method.uses_kernel:
            raise UsageError(
                f"--kernel has no effect with --sr={method.name}; leave out one of them"
            )
        settings["estimator"] = "given"
    if values.sr_kernel == "bicubic":
        if known:
            raise UsageError("--kernel and --sr_kernel=bicubic exclude each other")
        known = "--sr_kernel=bicubic"
        settings["estimator"] = "bicubic"
    if known and "estimator" in explicit:
        raise UsageError(f"{known} and --config.estimator exclude each other")
    config = configuration.choose(file, settings, explicit, short=short)
    if not config.chosen_estimator.estimates and config.chosen_method is None:
        raise UsageError("a known kernel serves super-resolution; leave out --sr=none")
    if not config.chosen_estimator.estimates and values.band is not None:
        raise UsageError("--band is for kernels that are estimated; leave it out")
    config = weight_files.with_digest(config)
    if values.kernel is not None:
        return dataclasses.replace(
            config, given=flag_values.known_kernel(values.kernel, config)
        )
    if config.estimator == "given" and not config.given.kernel:
        raise UsageError("config.estimator is 'given'; name the kernel with --kernel=")
    return config


_SHORT = {
    "scale": "scale",
    "sr": "sr",
    "strength": "deep_wiener.strength",
    "sr_weights": "deep_wiener.weights",
    "sr_model": "onnx.weights",
    "kernel_map": "spectral.kernel_map",
}
"""Flags that are short for a setting."""
