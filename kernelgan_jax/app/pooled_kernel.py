"""One kernel for all images of a run, as those of one camera (`--pool`).

All images are analysed first. What follows is a run with a known kernel. The kernels
that a run has estimated, one of each image, are gathered by `kernel_pool.py`.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kernelgan_jax.app import files, kernel_files, reading, terminal
from kernelgan_jax.app.files import OutputError
from kernelgan_jax.app.job import POOLED, Job, Task
from kernelgan_jax.estimate import ProgressCallback
from kernelgan_jax.estimators.registry import GivenConfig
from kernelgan_jax.estimators.spectral import camera_shake
from kernelgan_jax.estimators.spectral.analysis import evidence, fit_measured
from kernelgan_jax.estimators.spectral.best import Fits
from kernelgan_jax.estimators.spectral.config import SpectralConfig
from kernelgan_jax.estimators.spectral.measured import measure
from kernelgan_jax.estimators.spectral.resamplers import RESAMPLERS
from kernelgan_jax.estimators.spectral.smoothing import Pooled, log_covariance, pool
from kernelgan_jax.parallel import map_images
from kernelgan_jax.super_resolution.deep_wiener.config import DeepWienerConfig

RARE = {*RESAMPLERS, camera_shake.NAME}
"""Kernels that stand for no width, which is what is pooled."""

_Vote = tuple[np.ndarray, np.ndarray, str]
"""What is kept of an image: see `smoothing.pool`."""


def pool_images(tasks: Sequence[Task], job: Job) -> tuple[Pooled, int]:
    """The kernel of all images, and how many of them it is made of.

    Images that cannot be read or analysed are left out; the run itself says why.

    Raises:
      ValueError: If none is left.
    """
    scale = job.config.scale

    def look(index: int, task: Task, _: ProgressCallback) -> _Vote | None:
        try:
            sample = reading.read(task.path, job)
            found, resampler = sample.evidence, ""
            if found is None or found.family in RARE:
                measured = measure(sample.for_estimation(job))
                measured, fits = fit_measured(measured, scale=scale)
                found = evidence(measured, fits, scale=scale)
                if found.family in RARE:
                    resampler = found.family if found.family in RESAMPLERS else ""
                    if not found.by_picture:  # Else its spectrum is too wide.
                        usual = Fits(fits.families, fits.samples)
                        found = evidence(measured, usual, scale=scale)
        except Exception:  # Whatever it is, the other images go on.
            return None
        return *log_covariance(found.kernel, found.samples, scale=scale), resampler

    votes = [vote for vote in map_images(look, tasks) if vote is not None]
    if not votes:
        raise ValueError("--pool: no image could be analysed")
    values, variances, resamplers = zip(*votes, strict=True)
    pooled = pool(
        np.array(values), np.array(variances), resamplers=resamplers, scale=scale
    )
    return pooled, len(votes)


def write(pooled: Pooled, output_dir: Path, *, scale: int) -> Path:
    """Writes the kernel into the folder of all results; returns its file.

    Raises:
      OutputError: If that is impossible.
    """
    name = f"pooled_kernel_x{scale}"
    place = output_dir if isinstance(output_dir, Path) else None
    try:
        with files.temporary_folder(place) as folder:
            kernel_files.write(folder / name, pooled.kernel)
            made = {path.name: path.read_bytes() for path in folder.glob(f"{name}.*")}
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{output_dir}: cannot be written: {reason}") from error
    for file in sorted(made):
        files.write_whole(output_dir / file, made[file])
    return output_dir / f"{name}.npy"


def pooled_job(
    job: Job, tasks: Sequence[Task], output_dir: Path, *, quiet: bool = False
) -> Job | None:
    """The job with the kernel of all images; None if nothing else is to be done.

    Raises:
      ValueError: If no image could be analysed.
      OutputError: If the kernel cannot be written.
    """
    config, scale = job.config, job.config.scale
    pooled, count = pool_images(tasks, job)
    path = write(pooled, output_dir, scale=scale)
    if not quiet:
        terminal.print_text(
            f"pooled kernel of {count} images, widths known to "
            f"{100 * pooled.width_std:.0f} % -> {path}"
        )
    if config.chosen_method is None:
        return None
    known = GivenConfig(kernel=tuple(map(tuple, pooled.kernel.tolist())), source=POOLED)
    network = config.deep_wiener
    if isinstance(config.sr_config, DeepWienerConfig):
        least = max(network.kernel_std, pooled.width_std)
        network = dataclasses.replace(network, kernel_std=least)
    config = dataclasses.replace(
        config,
        estimator="given",
        given=known,
        spectral=SpectralConfig(),
        deep_wiener=network,
    )
    return dataclasses.replace(job, config=config)
