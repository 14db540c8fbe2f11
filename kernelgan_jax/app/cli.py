"""The command line: from flags to a job, and from its outcomes to what is said.

Two steps, one function each: `parse` makes `Options` of the arguments, `run` hands the
images to `pipeline` and tells how each ended. This is the only module that knows flags
and ml_collections.
"""

import contextlib
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernelgan_jax.app.pipeline import Job, Outcome, Task

from kernelgan_jax.app import image_files, results
from kernelgan_jax.app.compilation_cache import keep_compilations
from kernelgan_jax.app.flags import Options, UsageError, parse, usage
from kernelgan_jax.app.resources import batch_size
from kernelgan_jax.app.terminal import (
    AGAIN,
    LONGEST_TABLE,
    SHORT_NAMES,
    complain,
    say,
    summary_line,
    table,
)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a run as Ctrl-C does."""


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
        with _terminating():
            return run(options)
    except UsageError as error:
        complain(f"{error} (--help shows all flags)")
        return 2
    except KeyboardInterrupt as error:
        terminated = isinstance(error, _Terminated)
        complain(
            f"{'terminated' if terminated else 'interrupted'}; the results of finished "
            "images are kept, and the same command goes on"
        )
        return 143 if terminated else 130


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """Lets SIGTERM end the run as Ctrl-C does."""

    def terminate(*_: Any) -> None:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # Not in the main thread: signals are not ours.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run(options: Options) -> int:
    """Estimates kernels and super-resolves, for all images; returns the exit status.

    What goes wrong with one image is a line on stderr, and the others go on.
    """
    # Imported here and below, not above: --help and a mistyped flag need no JAX.
    from kernelgan_jax.app import manifest, pipeline

    paths, problems = image_files.find(options.images)
    for problem in problems:
        complain(problem)
    if not paths:
        return 1
    folders = results.folders(paths, options.output_dir)
    part, parts = options.shard
    tasks = [
        pipeline.Task(path, folder) for path, folder in zip(paths, folders, strict=True)
    ][part::parts]
    name = "manifest.jsonl" if parts == 1 else f"manifest-{part}-of-{parts}.jsonl"
    list_of_all = options.output_dir / name
    try:
        results.prepare(options.output_dir)
        listed = manifest.Manifest(list_of_all)
    except results.OutputError as error:
        complain(error)
        return 1

    counts = dict.fromkeys(("done", "kept", "failed"), 0)
    summaries = []
    with listed, contextlib.closing(_outcomes(tasks, options)) as outcomes:
        for outcome in outcomes:
            listed.add(outcome)
            counts[outcome.status] += 1
            if outcome.status == "failed":
                complain(outcome.error)
            elif outcome.summary is not None:
                say(summary_line(outcome.summary), options)
                if len(tasks) <= LONGEST_TABLE:
                    summaries.append(outcome.summary)
            elif len(tasks) == 1:
                path, folder = outcome.task
                say(f"{path}: finished before{AGAIN} -> {folder}", options)
    if len(summaries) > 1:
        say("\n" + table(summaries), options)
    if len(tasks) > 1:
        said = [f"{counts['done']} of {len(tasks)} images done"]
        if counts["kept"]:
            said.append(f"{counts['kept']} finished before{AGAIN}")
        if counts["failed"]:
            said.append(f"{counts['failed']} failed")
        say(f"{', '.join(said)} -> {list_of_all}", options)
    return 1 if problems or counts["failed"] else 0


def _outcomes(
    tasks: "list[Task]", options: Options
) -> "Generator[Outcome, None, None]":
    """The pipeline's outcomes, with a bar: of steps for one image, else of images."""
    from tqdm import tqdm

    from kernelgan_jax.app import pipeline

    job, alone = _job(options), len(tasks) == 1
    with tqdm(
        desc=None if alone else "images",
        total=0 if alone else len(tasks),
        unit="step" if alone else "image",
        leave=False,
        dynamic_ncols=True,
        # None: shown only where somebody looks at it, on a terminal.
        disable=True if options.quiet else None,
    ) as bar:

        def watch(
            path: Path, phase: str, step: int, total: int, losses: dict[str, float]
        ) -> None:
            if alone:
                bar.set_description(f"{path.name}, {phase}", refresh=False)
                bar.total, bar.n = total, step
                bar.set_postfix(
                    {SHORT_NAMES[n]: losses[n] for n in SHORT_NAMES if n in losses}
                )

        if options.cluster:
            outcomes = _on_cluster(tasks, options)
        else:
            size = 1 if alone else options.batch_size
            if size is None:
                size = batch_size(job.config, job.kernel is not None)
            if not alone:
                size = min(size, len(tasks))
                say(f"{len(tasks)} images, {size} at a time", options)
            outcomes = pipeline.process(tasks, job, batch_size=size, watch=watch)
        for outcome in outcomes:
            if not alone:
                bar.update()
            bar.clear()
            yield outcome


def _on_cluster(tasks: "list[Task]", options: Options) -> "Iterator[Outcome]":
    try:
        from kernelgan_jax.app import cluster
    except ImportError as error:
        raise UsageError(
            f'--cluster=ray needs Ray: pip install "kernelgan-jax[cluster]" ({error})'
        ) from error
    return cluster.process(tasks, _job(options), batch_size=options.batch_size)


def _job(options: Options) -> "Job":
    from kernelgan_jax.app import pipeline

    return pipeline.Job(
        options.config,
        options.seed,
        options.kernel,
        options.kernel_source,
        options.figures,
        options.resume,
    )
