"""A run of the command: from options to printed lines and an exit status."""

import collections
import contextlib
import dataclasses
import logging
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from kernelgan_jax.app import (
    folders,
    kernel_pool,
    pipeline,
    pooled_kernel,
    progress,
    report,
    resources,
    results,
    summary_table,
    terminal,
)
from kernelgan_jax.app.compilation_cache import keep_compilations
from kernelgan_jax.app.configuration import NotInstalled
from kernelgan_jax.app.flags import Options
from kernelgan_jax.app.images import image_files
from kernelgan_jax.app.job import Outcome, Summary, Task
from kernelgan_jax.app.manifest import Manifest
from kernelgan_jax.app.result_names import COMPARISON, KERNEL_FIGURE

_LOG = logging.getLogger(__name__)


def run(options: Options) -> int:
    """Estimates kernels and super-resolves, for all images; returns the exit status.

    What goes wrong with one image is a line on stderr, and the others go on.
    """
    if options.device is not None:
        _choose_device(options.device)
    keep_compilations()
    with terminal.debug_log(options.shows("debug")):
        return _run(options)


def _run(options: Options) -> int:
    _LOG.debug("%s", ", ".join(f"{k} {v}" for k, v in report.versions().items()))
    paths, problems = image_files.find(options.images, leave_out=options.output_dir)
    for problem in problems:
        terminal.print_error(problem)
    if options.shows("info"):
        for line in image_files.passed_over(
            options.images, leave_out=options.output_dir
        ):
            terminal.print_text(line)
    if not paths:
        return 1
    tasks = _tasks(paths, options)
    try:
        results.prepare(options.output_dir)
        manifest = Manifest(_manifest_path(options))
    except results.OutputError as error:
        terminal.print_error(error)
        return 1
    _warn(tasks, options, manifest)
    if options.pool:
        try:
            job = pooled_kernel.pooled_job(
                options.job, tasks, options.output_dir, quiet=not options.shows("info")
            )
        except (ValueError, results.OutputError) as error:
            terminal.print_error(error)
            return 1
        if job is None:
            return 1 if problems else 0
        options = dataclasses.replace(options, job=job)
    tally = _Tally(tasks, options)
    with manifest, contextlib.closing(_outcomes(tasks, options)) as outcomes:
        for outcome in outcomes:
            had_problem = manifest.problem
            manifest.add(outcome)
            tally.add(outcome)
            if manifest.problem and not had_problem:
                terminal.print_error(f"{manifest.problem}; the images go on")
    if manifest.problem:
        terminal.print_error(f"{manifest.problem}; it lacks lines of this run")
    tally.finish(manifest.path)
    try:
        summary_table.write(options.output_dir)
        if options.export_confidence is not None:
            scale = options.job.config.scale
            least = options.export_confidence
            path, count = kernel_pool.write(
                options.output_dir, scale=scale, least=least
            )
            if options.shows("info"):
                terminal.print_text(f"{count} kernel{'s' * (count != 1)} -> {path}")
    except results.OutputError as error:
        terminal.print_error(error)
        return 1
    return 1 if problems or tally.counts["failed"] or manifest.problem else 0


def _choose_device(name: str) -> None:
    """Has JAX use a kind of device; raises a NotInstalled error if there is none."""
    import jax

    jax.config.update("jax_platforms", name)
    try:
        jax.devices()
    except RuntimeError as error:
        raise NotInstalled(
            f"--device={name}: JAX finds no {name.upper()} here; leave the flag out, "
            'or install JAX for it (NVIDIA: pip install "kernelgan-jax[cuda]")'
        ) from error


def _warn(tasks: Sequence[Task], options: Options, manifest: Manifest) -> None:
    """Says beforehand what this run replaces, and what was odd in the folder."""
    if not options.shows("warning"):
        return
    if manifest.note:
        terminal.print_text(manifest.note)
    count, example = folders.different_settings(
        [task.folder for task in tasks], report.settings(options.job)
    )
    if count:
        terminal.print_text(
            f"{options.output_dir}: holds results of {count} of these images with "
            f"other settings ({example}), which new results replace; another "
            "--output_dir keeps them"
        )


def _tasks(paths: Sequence[Path], options: Options) -> list[Task]:
    """The images of this machine's part, with the folders for their results."""
    chosen = folders.folders(paths, options.output_dir)
    part, parts = options.shard
    return list(map(Task, paths, chosen))[part::parts]


def _manifest_path(options: Options) -> Path:
    part, parts = options.shard
    name = "manifest.jsonl" if parts == 1 else f"manifest-{part}-of-{parts}.jsonl"
    return options.output_dir / name


class _Tally:
    """Counts outcomes, and prints a line for each and a table of all."""

    def __init__(self, tasks: Sequence[Task], options: Options):
        self.tasks = tasks
        self.options = options
        self.counts: collections.Counter[str] = collections.Counter()
        self.summaries: dict[Path, Summary] = {}

    def add(self, outcome: Outcome) -> None:
        """Counts an outcome and prints a line for it."""
        self.counts[outcome.status] += 1
        lacks_figures = self._lacks_figures(outcome)
        self.counts["without figures"] += lacks_figures
        if outcome.status == "failed":
            terminal.print_error(outcome.error)
        elif outcome.status == "done" and outcome.summary is not None:
            unusual = outcome.summary.failure or outcome.summary.note
            self._print(
                terminal.summary_line(outcome.task, outcome.summary),
                level="warning" if unusual else "info",
            )
        elif len(self.tasks) == 1:
            path, folder = outcome.task
            text = f"{path}: finished before{terminal.KEPT}"
            if lacks_figures:
                text += ", without figures"
            self._print(f"{text} -> {folder}")
        if outcome.summary and len(self.tasks) <= terminal.LONGEST_TABLE:
            self.summaries[outcome.task.path] = outcome.summary

    def finish(self, manifest: Path) -> None:
        """Prints the table, also of images finished before, and counts outcomes, if
        there were several images."""
        if len(self.summaries) > 1:
            self._print("\n" + terminal.table(self.summaries))
        if len(self.tasks) > 1:
            parts = [f"{self.counts['done']} of {len(self.tasks)} images done"]
            if self.counts["kept"]:
                parts.append(f"{self.counts['kept']} finished before{terminal.KEPT}")
            if self.counts["without figures"]:
                parts.append(f"{self.counts['without figures']} without figures")
            if self.counts["failed"]:
                parts.append(f"{self.counts['failed']} failed")
            self._print(f"{', '.join(parts)} -> {manifest}")

    def _lacks_figures(self, outcome: Outcome) -> bool:
        """Whether an image was finished before without the figures of this run."""
        if outcome.status != "kept" or not self.options.job.figures:
            return False
        values = outcome.summary and outcome.summary.values
        if not values or not values["files"]:  # Another program has replaced it.
            return False
        return {KERNEL_FIGURE, COMPARISON}.isdisjoint(values["files"])

    def _print(self, text: str, *, level: str = "info") -> None:
        if self.options.shows(level):
            terminal.print_text(text)


def _outcomes(
    tasks: Sequence[Task], options: Options
) -> Generator[Outcome, None, None]:
    """The outcomes, with a progress bar: of steps for one image, else of images."""
    size = _batch_size(tasks, options)
    # The log has lines of its own.
    with progress.shown(tasks, enabled=options.log_level == "info") as bar:
        if options.cluster:
            outcomes = _on_cluster(tasks, options)
        else:
            outcomes = pipeline.process(
                tasks, options.job, batch_size=size, progress=bar.report
            )
        for outcome in outcomes:
            bar.add(outcome)
            with bar.hidden():
                yield outcome


def _batch_size(tasks: Sequence[Task], options: Options) -> int:
    """The number of images at a time on this machine."""
    if len(tasks) == 1 or options.cluster:
        return 1
    size = options.batch_size or resources.batch_size(options.job.config)
    size = min(size, len(tasks))
    if options.shows("info"):
        terminal.print_text(f"{len(tasks)} images, {size} at a time")
    return size


def _on_cluster(tasks: Sequence[Task], options: Options) -> Iterator[Outcome]:
    try:
        from kernelgan_jax.app import cluster
    except ImportError as error:
        raise NotInstalled(
            f'--cluster=ray needs Ray: pip install "kernelgan-jax[cluster]" ({error})'
        ) from error
    return cluster.process(tasks, options.job, batch_size=options.batch_size)
