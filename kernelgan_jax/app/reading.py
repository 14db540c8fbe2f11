"""Reading the image of a task, and what is checked before any work is done on it."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kernelgan_jax.app import enlarging, files
from kernelgan_jax.app.images import image_files
from kernelgan_jax.app.job import POOLED, Job, Task
from kernelgan_jax.confidence_levels import LEVELS
from kernelgan_jax.estimate import Evidence
from kernelgan_jax.estimators import run
from kernelgan_jax.estimators.spectral.analysis import analyse
from kernelgan_jax.estimators.spectral.confidence import judge
from kernelgan_jax.pixels import CONSTANT
from kernelgan_jax.usable_pixels import UsablePixels, find_usable

CANDIDATES = 4
"""Frames of which one is chosen for the estimation."""


class Sample(NamedTuple):
    """The frame of a file that the kernel is estimated from."""

    image: image_files.Image
    """Its contents."""
    frame: int = 0
    """Its place among the frames."""
    why_bicubic: str = ""
    """Why it is enlarged bicubically and no kernel is estimated; empty if one is."""
    usable: UsablePixels | None = None
    """The usable pixels of what the kernel is estimated from, if they are kept."""
    evidence: Evidence | None = None
    """What its spectrum says, if it was chosen among frames by that."""

    def for_estimation(self, job: Job) -> UsablePixels:
        """The usable pixels of what the kernel is estimated from.

        They can be larger than those of the file. If they are, images that wait do not
        keep them.
        """
        if self.usable is not None:
            return self.usable
        pixels = enlarging.for_estimation(self.image, band=job.band)
        return find_usable(pixels, unseen=enlarging.unseen(self.image, band=job.band))

    def for_enlarging(self, job: Job) -> UsablePixels | None:
        """The usable pixels of the image, if they are known."""
        return None if self.image.bands or job.band is not None else self.usable


class Ready(NamedTuple):
    """An image of a run that has been read and can be worked on."""

    number: int
    """Its place among the tasks."""
    task: Task
    """Its file and folder."""
    sample: Sample
    """The contents of the file; of several frames, the one with the kernel."""
    fingerprint: str
    """See `results.fingerprint`; of the file as it was read."""
    content: files.Content
    """Size and digest of the file."""
    state: tuple[int, ...] | None
    """See `state`; before the file was read."""

    @property
    def image(self) -> image_files.Image:
        """The contents of the file."""
        return self.sample.image


def read(path: Path, job: Job) -> Sample:
    """Reads the frame that says most about the kernel, which is that of all frames.

    It is the one of the best confidence among `CANDIDATES` frames, evenly spaced; the
    first of these if no kernel is estimated. Frames without structure are passed over.
    """
    image = image_files.read(path)
    frames = image.frames
    if frames == 1:
        is_constant = enlarging.is_constant(image)
        return Sample(image, why_bicubic=CONSTANT if is_constant else "")
    places = np.unique(np.linspace(0, frames - 1, CANDIDATES).astype(int)).tolist()
    places += [frame for frame in range(frames) if frame not in places]
    best, best_rating, rated = Sample(image, why_bicubic=CONSTANT), None, 0
    kept = image_files.Kept()
    for place in places:
        if place:
            image = image_files.read(path, frame=place, kept=kept)
        sample = Sample(image, place)
        if enlarging.is_constant(sample.image):
            continue
        if not job.estimates:
            return sample
        found, evidence = rating(sample, job)
        if best_rating is None or found > best_rating:
            best, best_rating = sample._replace(evidence=evidence), found
        rated += 1
        if rated == CANDIDATES:
            break
    return best


def rating(sample: Sample, job: Job) -> tuple[tuple[int, float], Evidence | None]:
    """How well a frame shows its kernel (larger is better), and its evidence."""
    try:
        evidence = analyse(sample.for_estimation(job), scale=job.config.scale)
    except ValueError:
        return (-1, 0.0), None
    found = judge(evidence.kernel, evidence)
    return (LEVELS.index(found.level), -found.sr_loss), evidence


def checked(sample: Sample, job: Job) -> Sample:
    """Checks an image for the estimator and the method.

    Returns:
      The image, with its usable pixels if they take little more memory. One that suits
      one of both only, as it is too small or has no structure, is enlarged bicubically.

    Raises:
      ValueError: If nothing is made of such an image but a kernel, or if the band that
        is asked for, or the known kernel, does not suit the image.
    """
    config, problem = job.config, sample.why_bicubic
    channels = sample.image.pixels.shape[2]
    if job.band is not None and job.band > channels:
        raise ValueError(
            f"--band={job.band}, but the image has {channels} "
            f"band{'s' * (channels > 1)}; choose another one, counted from 1"
        )
    method = config.chosen_method
    if method is not None:
        try:
            method.check_image_size(sample.image.pixels.shape, scale=config.scale)
        except ValueError as error:
            problem = problem or str(error)
    if job.needs_kernel:
        try:
            usable = run.check_image(
                sample.for_estimation(job),
                scale=config.scale,
                entry=config.chosen_estimator,
                config=config.estimator_config,
            )
            if usable.image.nbytes <= sample.image.pixels.nbytes:
                sample = sample._replace(usable=usable)
        except ValueError as error:
            if job.band and str(error) == CONSTANT and not sample.why_bicubic:
                raise ValueError(f"band {job.band} of the {error}") from None
            is_asked_for = not job.estimates and config.given.source != POOLED
            if is_asked_for and not sample.why_bicubic:
                raise  # The known kernel does not suit the image.
            problem = sample.why_bicubic or str(error)
    if problem and method is None:
        raise ValueError(problem)
    if problem == CONSTANT and config.sr == "bicubic" and not job.needs_kernel:
        problem = ""  # Nothing else is asked for.
    return sample._replace(why_bicubic=problem)


def state(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written to or replaced; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def check_state(path: Path, before: tuple[int, ...] | None) -> None:
    """Checks that a file is still the one that was read before."""
    if state(path) != before:
        raise image_files.ImageError(
            f"{path}: changed while it was read; run the same command again"
        )


def content(path: Path) -> files.Content:
    """Size and digest of a file.

    Raises:
      ImageError: If it cannot be read.
    """
    try:
        return files.content(path)
    except OSError as error:
        image_files.read(path)  # It says more about what is wrong.
        raise image_files.ImageError(f"{path}: {error.strerror or error}") from error
