"""The command line: from flags to a config, and from each image to its saved kernel.

Three steps, one function each: `parse` makes `Options` of the arguments, `run` goes
through the images, `_estimate` follows one image. This is the only module that knows
flags and ml_collections.
"""

import dataclasses
import difflib
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ml_collections
import numpy as np
from absl import flags
from ml_collections import config_flags

from kernelgan_jax import kernel_files
from kernelgan_jax.config import SR_METHODS, Config, SRConfig

if TYPE_CHECKING:
    from kernelgan_jax.estimate import KernelEstimate
    from kernelgan_jax.images import Image
    from kernelgan_jax.report import Summary, SuperResolved

_USAGE = """\
Usage: python main.py --image=PHOTO [--image=FOLDER ...] [flags]

Finds the kernel that each image was downscaled with (KernelGAN), and super-resolves the
image with it (ZSSR). The results of a/photo.png go to OUTPUT_DIR/photo: sr_x2.png (or
sr_x4.png), comparison.png, kernel_x2.npy, kernel_x2.mat, for scale 4 also kernel_x4.npy
and kernel_x4.mat, kernel.png (to look at) and report.json.

Flags:
{flags}

Settings and their defaults, explained in kernelgan_jax/config.py:
{settings}

Exit status: 0 if all images were done, 1 if some failed, 2 for a mistake in the flags.
"""


class UsageError(Exception):
    """A mistake in the flags or the config; the message is one line."""


class Options(NamedTuple):
    """What the command line asks for."""

    images: list[str]
    config: Config
    output_dir: Path
    seed: int
    quiet: bool
    kernel: np.ndarray | None = None
    """A known kernel, in place of the estimated one."""
    kernel_source: str = "estimated"
    """`estimated`, `bicubic`, or the file of the known kernel."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status.

    Args:
      argv: The arguments without the program's name; by default those of the process.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not {"--help", "-help", "-h", "--helpshort", "--helpfull"}.isdisjoint(argv):
        print(usage())
        return 0
    try:
        options = parse(argv)
        keep_compilations()
        return run(options)
    except UsageError as error:
        _complain(f"{error} (--help shows all flags)")
        return 2
    except KeyboardInterrupt:
        _complain("interrupted; the results of finished images are kept")
        return 130


# --- Flags ---


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
    output_dir = Path(values.output_dir)
    return Options(
        images, config, output_dir, values.seed, values.quiet, kernel, source
    )


def _known_kernel(
    values: flags.FlagValues, config: Config
) -> tuple[np.ndarray | None, str]:
    if values.kernel is None and values.sr_kernel != "bicubic":
        return None, "estimated"
    if values.kernel is not None and values.sr_kernel == "bicubic":
        raise UsageError("--kernel and --sr_kernel=bicubic exclude each other")
    if config.sr.method == "none":
        raise UsageError("a known kernel serves super-resolution; leave out --sr=none")
    from kernelgan_jax import kernels

    if values.kernel is None:
        return kernels.bicubic(config.scale), "bicubic"
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
    "image", "config", "output_dir", "seed", "quiet", "sr", "kernel", "sr_kernel"
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
        default = ml_collections.ConfigDict(Config().asdict())
        config_flags.DEFINE_config_dict(
            "config", default, config_help, flag_values=values, sys_argv=argv
        )
    flags.DEFINE_string(
        "output_dir",
        "results",
        "Folder for the results; those of an earlier run are replaced.",
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
    for name in _FLAGS:
        default = values[name].default
        shown = f" (default: {default})" if name in ("output_dir", "seed") else ""
        text = f"--{name}: {' '.join(values[name].help.split())}{shown}"
        described.append(flags.text_wrap(text, 88, "      ", "  "))
    settings = [
        f"  --config.{name}="
        + (f'"{value}"' if isinstance(value, tuple) else f"{value}")
        for name, value in _flat(Config().asdict())
    ]
    return _USAGE.format(flags="\n".join(described), settings="\n".join(settings))


def _flat(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", v) for inner, v in _flat(value))
        else:
            yield name, value


# --- Images ---


def run(options: Options) -> int:
    """Estimates kernels and super-resolves, for all images; returns the exit status.

    What goes wrong with one image is a line on stderr, and the others go on.
    """
    # Imported here and below, not above: --help and a mistyped flag need no JAX.
    from kernelgan_jax import images, report

    paths, problems = images.find(options.images)
    for problem in problems:
        _complain(problem)
    if not paths:
        return 1
    folders = report.folders(paths, options.output_dir)
    try:
        report.prepare(options.output_dir)
    except report.OutputError as error:
        _complain(error)
        return 1

    summaries = []
    for path, folder in zip(paths, folders, strict=True):
        try:
            summaries.append(_process(path, folder, options))
        except (images.ImageError, report.OutputError) as error:
            _complain(error)
        except ValueError as error:
            _complain(f"{path}: {error}")
        except Exception as error:  # Whatever it is, the other images go on.
            _complain(f"{path}: {type(error).__name__}: {error}")
        else:
            _say(report.summary_line(summaries[-1]), options)
    if len(summaries) > 1:
        _say("\n" + report.table(summaries), options)
    return 1 if problems or len(summaries) < len(paths) else 0


def _process(path: Path, folder: Path, options: Options) -> "Summary":
    """One image, from its file to its saved results."""
    from kernelgan_jax import images, kernels, report, super_resolution

    config = options.config
    image = images.read(path)
    report.check_writable(folder)
    # What cannot end well is said before the training.
    shape = image.pixels.shape[0], image.pixels.shape[1]
    if config.sr.method != "none":
        super_resolution.check_size(shape, config.scale, config.sr)
        if options.kernel is not None and config.sr.method != "bicubic":
            kernels.check(options.kernel, scale=config.scale, image_shape=shape)
    estimate, seconds, sr = None, 0.0, None
    if options.kernel is None:
        started = time.perf_counter()
        estimate = _estimate(path, image, options)
        seconds = time.perf_counter() - started
    if config.sr.method != "none":
        sr = _super_resolve(path, image, estimate, options)
    result = report.Run(path, image, config, options.seed, estimate, seconds, sr)
    report.write(folder, result)
    return report.summary(folder, result)


def _bar(name: str, total: int, options: Options) -> Any:
    from tqdm import tqdm

    # disable=None: shown only where somebody looks at it, on a terminal.
    disable = True if options.quiet else None
    return tqdm(
        desc=name, total=total, leave=False, dynamic_ncols=True, disable=disable
    )


def _estimate(path: Path, image: "Image", options: Options) -> "KernelEstimate":
    import jax

    from kernelgan_jax.estimate import estimate_kernel

    with _bar(path.name, options.config.iterations, options) as bar:

        def progress(step: int, losses: dict[str, float]) -> None:
            bar.update(step - bar.n)
            shown = {
                "G": losses["generator_loss"],
                "D": losses["discriminator_loss"],
                "bicubic": losses["bicubic_loss"],
            }
            bar.set_postfix(shown)

        return estimate_kernel(
            jax.random.key(options.seed),
            image.pixels,
            config=options.config,
            progress=progress,
        )


def _super_resolve(
    path: Path, image: "Image", estimate: "KernelEstimate | None", options: Options
) -> "SuperResolved":
    import jax

    from kernelgan_jax import images, report, super_resolution
    from kernelgan_jax.resize import bicubic_resize

    config = options.config
    started = time.perf_counter()
    jumps = super_resolution.plan(config.scale, estimate, options.kernel)
    with _bar(f"{path.name}, {config.sr.method}", 0, options) as bar:

        def progress(step: int, total: int, loss: float) -> None:
            bar.total, bar.n = total, step
            bar.set_postfix({"loss": loss})

        result = super_resolution.super_resolve(
            jax.random.key(options.seed),
            image.pixels,
            jumps,
            config=config.sr,
            progress=progress,
        )
    dtype, alpha = image.pixels.dtype, image.alpha
    if alpha is not None:
        enlarged = bicubic_resize(images.to_unit(alpha), config.scale)
        alpha = images.from_unit(enlarged, alpha.dtype)
    pixels = images.from_unit(result, dtype)
    uses_kernel = config.sr.method != "bicubic"
    source, notes = options.kernel_source, []
    if note := super_resolution.note(image.pixels.shape[:2], config.sr):
        notes.append(note)
    if uses_kernel and estimate is not None and not estimate.converged:
        source = "bicubic"
        notes.append("with the bicubic kernel, as the estimate did not converge")
    return report.SuperResolved(
        images.Image(pixels, alpha, image.icc_profile, image.exif, ""),
        jumps[-1].kernel if uses_kernel else None,
        source if uses_kernel else "",
        time.perf_counter() - started,
        " and ".join(notes),
    )


def _say(text: str, options: Options) -> None:
    if not options.quiet:
        # Names that the terminal's encoding does not have are no reason to fail.
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _complain(problem: object) -> None:
    print("error:", " ".join(str(problem).split()), file=sys.stderr, flush=True)


# --- The compilation cache ---


def keep_compilations() -> None:
    """Lets JAX keep compiled programs, so that the next run starts at once.

    A cache that the user has set up stays as it is.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return  # No home, or a read-only one: compile every time.
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cache_folder() -> Path:
    """The folder of this program among the user's caches."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kernelgan_jax"
