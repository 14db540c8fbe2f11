"""The benchmark's commands: from parsed arguments to files and an exit status."""

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kernelgan_jax.app import resources, weight_files
from kernelgan_jax.app.images import image_files
from kernelgan_jax.app.terminal import print_error, print_text, printable
from kernelgan_jax.benchmark import page, plots, tables, testset
from kernelgan_jax.benchmark.cli import QUICK_IMAGES, SEEDS
from kernelgan_jax.benchmark.deblurring import with_deblurring
from kernelgan_jax.benchmark.degrade import make_test_set
from kernelgan_jax.benchmark.evaluate import run_benchmark
from kernelgan_jax.benchmark.finished import finished_results
from kernelgan_jax.benchmark.rows import Row, kernel_rows
from kernelgan_jax.benchmark.store import IMAGE
from kernelgan_jax.benchmark.systems import SYSTEMS, System, check_names, with_network
from kernelgan_jax.benchmark.user_files import load_systems


def degrade(arguments: argparse.Namespace) -> int:
    """Makes a test set; returns the exit status."""
    found = image_files.find(arguments.hr, leave_out=arguments.output_dir)
    try:
        made = make_test_set(
            found.paths,
            arguments.output_dir,
            protocol=arguments.protocol,
            scales=arguments.scales,
            seed=arguments.seed,
            kernel_noise=arguments.kernel_noise,
            image_noise=arguments.image_noise,
            jpeg_quality=arguments.jpeg_quality,
            camera=arguments.camera,
        )
    except OSError as error:  # That of a full disk names no file.
        reason = error.strerror or error
        raise OSError(f"{arguments.output_dir}: cannot be written: {reason}") from error
    problems = [*map(str, found.problems), *made.problems]
    for problem in problems:
        print_error(problem)
    scales = ", ".join(f"x{scale}" for scale in arguments.scales)
    result = f"{len(made.names)} images at {scales}"
    if problems:
        result += f", {len(problems)} failed"
    print_text(f"{result} -> {arguments.output_dir}")
    return 1 if problems or not made.names else 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Measures systems on a test set; returns the exit status."""
    data, output = arguments.data, arguments.output_dir
    page.load_template()  # Reports what is not installed before the work, not after.
    scales = arguments.scales or testset.find_scales(data)
    systems = _systems(arguments, scales)
    if not scales:
        raise ValueError(f"{data}: has no lr_x2, lr_x4, ..., so it is no test set")
    seeds = arguments.seeds
    if seeds is None:
        seeds = 1 if arguments.quick else SEEDS
    problems: list[str] = []
    texts = []
    for scale in scales:
        evaluation = run_benchmark(
            data,
            output,
            scale=scale,
            systems=systems,
            seeds=seeds,
            sr_seeds=arguments.sr_seeds,
            method=arguments.sr,
            names=arguments.images or _quick(arguments, scale),
            report=lambda line: print_text(printable(line)),
        )
        problems += [f"x{scale} {problem}" for problem in evaluation.problems]
        if not evaluation.rows and not evaluation.problems:
            problems.append(f"x{scale} has nothing that could be measured")
        titled = _titled(systems, evaluation.rows, arguments.sr)
        texts.append(tables.markdown(evaluation.rows, titled, scale))
        head = f"{resources.machine()}, {time.strftime('%Y-%m-%d')}\n"
        # Names of files may be no text at all.
        (output / "table.md").write_text(
            "\n".join([head, *texts]), encoding="utf-8", errors="backslashreplace"
        )
        plots.write(output, evaluation.rows, titled, scale)
        page.write(output / f"x{scale}.html", evaluation, titled)
    print_text("\n" + "\n".join(texts))
    for problem in problems:
        print_error(problem)
    failed = f"{len(problems)} failed, see above; " if problems else ""
    print_text(f"{failed}tables, pictures and each measurement -> {output}")
    return 1 if problems else 0


def _quick(arguments: argparse.Namespace, scale: int) -> list[str]:
    """The names of the images that `--quick` takes; without it none, for all."""
    if not arguments.quick:
        return []
    known = [case.name for case in testset.read_test_set(arguments.data, scale).cases]
    places = np.linspace(0, len(known) - 1, min(QUICK_IMAGES, len(known)))
    return [known[int(place)] for place in places]


def _systems(arguments: argparse.Namespace, scales: Sequence[int]) -> list[System]:
    """The systems that the arguments name; they must exist, and be at least one.

    The files of their networks are read: a wrong one is not to be found after hours.
    """
    systems: list[System] = []
    for name in arguments.systems:
        if name == "none":
            continue
        if name not in SYSTEMS:
            legal = ", ".join(SYSTEMS)
            raise ValueError(f"--systems={name}: it must be some of {legal}; or none")
        systems.append(SYSTEMS[name])
    own = list(systems)
    for text in arguments.sr_weights:
        added = _some(with_network(own, text), f"--sr_weights={text}")
        for scale in scales:
            try:
                weight_files.for_scale(added[0].method_config, scale)
            except ValueError as error:
                raise ValueError(f"--sr_weights={text}, x{scale}: {error}") from error
        systems += added
    if arguments.deblur:
        systems += _some(with_deblurring(own), "--deblur")
    for text in arguments.system:
        systems += load_systems(text)
    for text in arguments.results:
        name, _, folder = text.partition("=")
        if not (re.fullmatch(r"[\w.-]+", name) and folder):
            raise ValueError(f"--results={text}: it must be NAME=FOLDER, a plain name")
        systems.append(finished_results(name, Path(folder)))
    if not systems:
        raise ValueError("there is no system to evaluate")
    check_names(systems)
    return systems


def _some(systems: list[System], flag: str) -> list[System]:
    """The systems that a flag makes of those with kernels; at least one."""
    if not systems:
        raise ValueError(
            f"{flag} is for kernels, and --systems names none that has one; add one, "
            "as --systems=spectral"
        )
    return systems


def _titled(
    systems: Sequence[System], rows: Sequence[Row], method: str
) -> list[System]:
    """The systems, with the method in the title where their kernels are used by it."""
    used = {row.system for row in kernel_rows(rows) if IMAGE not in row.files}
    return [
        system.titled(method) if system.kernel_name in used else system
        for system in systems
    ]
