"""The benchmark as a command: `degrade` makes test sets, `evaluate` uses them.

Only what is done (`commands`) needs JAX, so that `--help` and a mistyped flag are
answered at once.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from kernelgan_jax.app import weight_files
from kernelgan_jax.app.compilation_cache import keep_compilations
from kernelgan_jax.app.terminal import exit_status
from kernelgan_jax.benchmark.protocols import PROTOCOLS
from kernelgan_jax.benchmark.systems import SYSTEMS
from kernelgan_jax.config import NO_SR
from kernelgan_jax.super_resolution.registry import METHODS

QUICK_IMAGES = 4
"""Number of images that `--quick` takes."""
SEEDS = 3
"""Number of seeds of kernels, unless `--seeds` or `--quick` says otherwise."""

_PROGRAM = "kernelgan-benchmark"


def main(argv: Sequence[str] | None = None, *, program: str = _PROGRAM) -> int:
    """Runs the command; returns its exit status.

    Args:
      argv: The arguments without the program's name; by default those of the process.
      program: How it was called.
    """
    arguments = _parser(program).parse_args(argv)
    from kernelgan_jax.benchmark import commands  # It imports JAX.

    keep_compilations()
    run = {"degrade": commands.degrade, "evaluate": commands.evaluate}
    return exit_status(
        lambda: run[arguments.command](arguments),
        interrupted="interrupted; results are kept, and the same command goes on",
    )


# --- The arguments ---


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} ({self.prog} --help)\n")


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description="Makes test sets for kernel estimators, and measures on them.",
        epilog="Exit status: 0 if everything went well, 1 if images or runs failed, 2 "
        "for a mistake in the arguments, 130 if interrupted.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    protocols = "; ".join(f"{name}: {p.about}" for name, p in PROTOCOLS.items())
    degrade = commands.add_parser(
        "degrade",
        help="make a test set, LR images and true kernels, from HR images",
        description="Makes a test set from HR images: OUTPUT_DIR/hr, lr_xS and "
        "gt_k_xS. The same command makes the same files bit for bit.",
        epilog="protocols (s is the scale, lengths are in HR pixels): " + protocols,
        allow_abbrev=False,
    )
    _add_degrade_arguments(degrade)
    evaluate = commands.add_parser(
        "evaluate",
        help="measure systems on a test set: tables and pictures",
        description="Measures systems on a test set (hr or gt, lr_xS, gt_k_xS, as "
        "degrade makes it, or DIV2KRK as it is published). Writes to OUTPUT_DIR: "
        "table.md with the tables, xS_widths.png and xS_confidence.png, runs.jsonl "
        "with each measurement, the page xS.html with pictures, and xS/ with kernels "
        "and images. The command can be ended at any point; the same command goes on.",
        allow_abbrev=False,
    )
    _add_evaluate_arguments(evaluate)
    return parser


def _add_degrade_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--hr",
        action="append",
        required=True,
        help="HR image, folder or glob; can be given several times",
    )
    command.add_argument(
        "--output_dir", type=Path, required=True, help="folder of the test set"
    )
    command.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="div2krk",
        help="how kernels are drawn, see below (div2krk)",
    )
    command.add_argument(
        "--scales",
        type=_scales,
        default=[2, 4],
        help="such as 2,3,4 (2,4); 1 blurs alone",
    )
    command.add_argument("--seed", type=int, default=0, help="seed of all draws (0)")
    command.add_argument(
        "--kernel_noise",
        type=float,
        help="values of kernels are multiplied by 1 + U(-n, n) (the protocol's)",
    )
    command.add_argument(
        "--image_noise",
        type=float,
        default=0.0,
        help="standard deviation of noise on LR images, 8-bit gray levels (0)",
    )
    command.add_argument(
        "--jpeg_quality", type=int, help="JPEG on LR images, 1 to 100 (none)"
    )
    command.add_argument(
        "--camera",
        action="store_true",
        help="LR images are developed as a camera does: mosaic, denoising, sharpening",
    )


def _add_evaluate_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, required=True, help="the test set")
    command.add_argument(
        "--output_dir",
        type=Path,
        default=Path("results/benchmark"),
        help="folder of the results (results/benchmark)",
    )
    command.add_argument(
        "--scales", type=_scales, help="such as 2,4 (all scales of the test set)"
    )
    command.add_argument(
        "--images", type=_names, default=[], help="names of images (all)"
    )
    command.add_argument(
        "--quick",
        action="store_true",
        help=f"only {QUICK_IMAGES} images, spread over the set, and one seed",
    )
    command.add_argument(
        "--seeds", type=int, help=f"seeds of kernels ({SEEDS}; with --quick 1)"
    )
    command.add_argument("--sr_seeds", type=int, default=1, help="seeds of images (1)")
    command.add_argument(
        "--sr",
        choices=[*(name for name in METHODS if not weight_files.needed(name)), NO_SR],
        default="deep_wiener",
        help="super-resolution method; none for kernels alone (deep_wiener)",
    )
    command.add_argument(
        "--sr_weights",
        action="append",
        default=[],
        metavar="METHOD=FILE",
        help="also super-resolve the kernels of --systems with a network that you have "
        "the weights of: usrnet=FILE.npz, srmd=FILE.bin,pca=FILE.npy, or, without "
        "kernels, rdn=FILE.json, edsr=FILE.pt, rcan=FILE.pt, onnx=FILE.onnx; {scale} "
        "in a name stands for the scale; more settings of the method after commas; can "
        "be given several times",
    )
    command.add_argument(
        "--deblur",
        action="store_true",
        help="at scale 1, also deblur with the kernels of --systems by scikit-image: "
        "Wiener filter, unsupervised Wiener filter, Richardson-Lucy",
    )
    command.add_argument(
        "--systems",
        type=_names,
        default=list(SYSTEMS),
        help=f"the package's systems: {','.join(SYSTEMS)}; or none (all)",
    )
    command.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="FILE.py:FUNCTION",
        help="a system of your own: function(image, *, scale, seed) returns a kernel, "
        "an image or both, function(image, kernel, *, scale, seed) returns an image; "
        "scale and seed can be left out; or the settings of a config, FILE.py or a "
        "preset such as real; can be given several times",
    )
    command.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="finished results: kernels (.npy, .mat), images (.png), or both; can be "
        "given several times",
    )


def _scales(text: str) -> list[int]:
    try:
        scales = sorted({int(part.removeprefix("x")) for part in text.split(",")})
    except ValueError:
        scales = [0]
    if min(scales) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be positive integers, such as 2,4"
        )
    return scales


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
