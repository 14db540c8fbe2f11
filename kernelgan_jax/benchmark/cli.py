"""The benchmark as a command: `degrade` and `evaluate`."""

import argparse
import contextlib
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import jax
import numpy as np

from kernelgan_jax.app import image_files
from kernelgan_jax.app.compilation_cache import keep_compilations
from kernelgan_jax.benchmark import page, plots, tables, testset
from kernelgan_jax.benchmark.degrade import PROTOCOLS, degrade
from kernelgan_jax.benchmark.evaluate import evaluate
from kernelgan_jax.benchmark.systems import SYSTEMS, System, finished, from_file

QUICK = 4
"""Images of `--quick`."""


_PROGRAM = "kernelgan-benchmark"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status.

    Args:
      argv: The arguments without the program's name; by default those of the process.
    """
    arguments = _parser().parse_args(argv)
    keep_compilations()
    try:
        return arguments.run(arguments)
    except (ValueError, OSError) as error:
        _complain(error)
        return 2
    except KeyboardInterrupt:
        _complain("interrupted; what is done is kept, and the same command goes on")
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} ({self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=_PROGRAM,
        description="Makes test sets for kernel estimators, and measures them.",
        epilog="Exit status: 0 if all went well, 1 if images or runs failed, 2 for a "
        "mistake in the arguments, 130 if interrupted.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "degrade",
        help="HR images to a test set: LR images and true kernels",
        description="Makes a test set of HR images: OUTPUT_DIR/hr, lr_xS and gt_k_xS. "
        "The same command makes the same files bit for bit.",
        epilog="protocols (s is the scale, lengths are in HR pixels): "
        + "; ".join(f"{name}: {p.about}" for name, p in PROTOCOLS.items()).replace(
            "%", "%%"
        ),
        allow_abbrev=False,
    )
    command.add_argument(
        "--hr", action="append", required=True, help="HR image, folder or glob; again"
    )
    command.add_argument("--output_dir", type=Path, required=True)
    command.add_argument("--protocol", choices=PROTOCOLS, default="div2krk")
    command.add_argument("--scales", type=_scales, default=[2, 4], help="2,3,4 (2,4)")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--kernel_noise",
        type=float,
        help="kernels' values are multiplied by 1 + U(-n, n) (the protocol's)",
    )
    command.add_argument(
        "--image_noise",
        type=float,
        default=0.0,
        help="standard deviation on LR images, 8-bit gray levels (0)",
    )
    command.add_argument(
        "--jpeg_quality", type=int, help="JPEG on LR images, 1 to 100 (none)"
    )
    command.set_defaults(run=_degrade)

    command = commands.add_parser(
        "evaluate",
        help="systems x images x seeds to tables and pictures",
        description="Measures systems on a test set (hr or gt, lr_xS, gt_k_xS; as "
        "degrade makes them, or DIV2KRK's own). OUTPUT_DIR/table.md has the tables, "
        "xS_widths.png and xS_confidence.png plots, runs.jsonl each measurement, "
        "xS.html the pictures, xS/ the kernels and images. Ended at any point, the "
        "same command goes on.",
        allow_abbrev=False,
    )
    command.add_argument("--data", type=Path, required=True, help="the test set")
    command.add_argument(
        "--output_dir",
        type=Path,
        default=Path("results/benchmark"),
        help="(results/benchmark)",
    )
    command.add_argument("--scales", type=_scales, help="2,4 (all that the set has)")
    command.add_argument("--images", type=_names, default=[], help="names (all)")
    command.add_argument(
        "--quick", action="store_true", help=f"{QUICK} images, spread over the set"
    )
    command.add_argument("--seeds", type=int, default=3, help="of kernels (3)")
    command.add_argument("--sr_seeds", type=int, default=1, help="of images (1)")
    command.add_argument(
        "--sr",
        choices=["zssr_fast", "zssr", "none"],
        default="zssr_fast",
        help="method for the kernels; none: kernels alone (zssr_fast)",
    )
    command.add_argument(
        "--systems",
        type=_names,
        default=list(SYSTEMS),
        help=f"of the package: {','.join(SYSTEMS)}; or none (all)",
    )
    command.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="FILE.py:FUNCTION",
        help="one of your own, function(image, *, scale, seed) -> kernel, image or "
        "both, or function(image, kernel, *, scale, seed) -> image; or a config of "
        "KernelGAN, FILE.py; again",
    )
    command.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="finished results: kernels (.npy, .mat), images (.png), or both; again",
    )
    command.set_defaults(run=_evaluate)
    return parser


def _scales(text: str) -> list[int]:
    try:
        scales = sorted({int(part.removeprefix("x")) for part in text.split(",")})
    except ValueError:
        scales = [0]
    if min(scales) < 2:
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be integers from 2 on, as 2,4"
        )
    return scales


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _degrade(arguments: argparse.Namespace) -> int:
    found = image_files.find(arguments.hr)
    made = degrade(
        found.paths,
        arguments.output_dir,
        protocol=arguments.protocol,
        scales=arguments.scales,
        seed=arguments.seed,
        kernel_noise=arguments.kernel_noise,
        image_noise=arguments.image_noise,
        jpeg_quality=arguments.jpeg_quality,
    )
    problems = [*map(str, found.problems), *made.problems]
    for problem in problems:
        _complain(problem)
    scales = ", ".join(f"x{scale}" for scale in arguments.scales)
    said = f"{len(made.names)} images at {scales}"
    if problems:
        said += f", {len(problems)} failed"
    print(f"{said} -> {arguments.output_dir}")
    return 1 if problems or not made.names else 0


def _evaluate(arguments: argparse.Namespace) -> int:
    data, output = arguments.data, arguments.output_dir
    compared = _systems(arguments)
    scales = arguments.scales or testset.scales(data)
    if not scales:
        raise ValueError(f"{data}: has no lr_x2, lr_x4, ...: it is no test set")
    problems: list[str] = []
    tables_of_all = []
    for scale in scales:
        names = arguments.images
        if arguments.quick and not names:
            known = [case.name for case in testset.read(data, scale).cases]
            places = np.linspace(0, len(known) - 1, min(QUICK, len(known)))
            names = [known[int(place)] for place in places]
        found = evaluate(
            data,
            output,
            scale=scale,
            systems=compared,
            seeds=arguments.seeds,
            sr_seeds=arguments.sr_seeds,
            method=arguments.sr,
            names=names,
            say=lambda line: print(line, flush=True),
        )
        problems += [f"x{scale} {problem}" for problem in found.problems]
        if not found.rows and not found.problems:
            problems.append(f"x{scale} has nothing that could be measured")
        tables_of_all.append(tables.markdown(found.rows, compared, scale))
        text = "\n".join(
            [f"{_machine()}, {time.strftime('%Y-%m-%d')}\n", *tables_of_all]
        )
        (output / "table.md").write_text(text, encoding="utf-8")
        plots.write(output, found.rows, compared, scale)
        page.write(output / f"x{scale}.html", found, compared)
    print("\n" + "\n".join(tables_of_all))
    for problem in problems:
        _complain(problem)
    said = f"{len(problems)} failed, named above; " if problems else ""
    print(f"{said}tables, pictures and each measurement -> {output}")
    return 1 if problems else 0


def _systems(arguments: argparse.Namespace) -> list[System]:
    chosen: list[System] = []
    for name in arguments.systems:
        if name == "none":
            continue
        if name not in SYSTEMS:
            legal = ", ".join(SYSTEMS)
            raise ValueError(f"--systems={name}: it must be some of {legal}; or none")
        chosen.append(SYSTEMS[name])
    for text in arguments.system:
        chosen += from_file(text)
    for text in arguments.results:
        name, _, folder = text.partition("=")
        if not (re.fullmatch(r"[\w.-]+", name) and folder):
            raise ValueError(f"--results={text}: it must be NAME=FOLDER, a plain name")
        chosen.append(finished(name, Path(folder)))
    names = [system.name for system in chosen]
    estimators = {e.name: e for s in SYSTEMS.values() if (e := s.estimator)}
    for system in chosen:
        mine = system.estimator
        known = estimators.setdefault(mine.name, mine) if mine else mine
        if names.count(system.name) > 1 or known is not mine:
            raise ValueError(f"there are two systems named {system.name}; rename one")
    if not chosen:
        raise ValueError("there is no system to evaluate")
    return chosen


def _machine() -> str:
    device = jax.devices()[0]
    kind = device.device_kind
    if device.platform == "cpu":
        kind = platform.processor() or platform.machine()
        with contextlib.suppress(OSError):  # Linux names the processor here.
            text = Path("/proc/cpuinfo").read_text()
            names = re.findall(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
            kind = names[0] if names else kind
    return f"{os.cpu_count()} cores, {kind}, JAX {jax.__version__}"


def _complain(problem: object) -> None:
    print(f"error: {problem}", file=sys.stderr, flush=True)
