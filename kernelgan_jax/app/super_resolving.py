"""Super-resolution of one image of a run, with all its frames."""

import dataclasses
import functools
import time
from collections.abc import Callable

import jax
import numpy as np

from kernelgan_jax.app import enlarging
from kernelgan_jax.app.images import image_encoding, image_files, sequences
from kernelgan_jax.app.job import Job
from kernelgan_jax.app.reading import Ready, check_state
from kernelgan_jax.app.report import SuperResolved
from kernelgan_jax.estimate import KernelEstimate, ProgressCallback
from kernelgan_jax.pixels import CONSTANT
from kernelgan_jax.super_resolution.planning import Plan, plan
from kernelgan_jax.super_resolution.run import refine_plan, super_resolve_planned
from kernelgan_jax.usable_pixels import UsablePixels, find_usable


def super_resolve(
    ready: Ready,
    estimate: KernelEstimate | None,
    job: Job,
    progress: ProgressCallback,
    reason: str,
) -> SuperResolved:
    """Super-resolves an image with all its frames.

    Args:
      ready: The image.
      estimate: The estimate of its kernel, or None.
      job: What is done.
      progress: Called now and then.
      reason: Why there is no estimate, so that the image is enlarged bicubically; empty
        if there is one.
    """
    started = time.perf_counter()
    pixels = enlarging.usual_pixels(ready.image)
    if reason:
        first = _bicubic_plan(job.config.scale)
    else:
        first = plan(
            estimate,
            scale=job.config.scale,
            method=job.config.sr,
            config=job.config.sr_config,
            image_shape=pixels.shape,
        )
    planned, known = _refined(ready, pixels, first, job)
    enlarged = _enlarge(ready.image, pixels, planned, job, progress, known)
    fitted = image_encoding.fit(enlarged, job.format)
    notes = [f"bicubically ({reason})"] if reason else list(planned.notes)
    frames: list[Callable[[], image_files.Image]] = []
    frame_notes: list[str] = []
    timing = None
    if ready.image.frames > 1:
        notes.append(f"in all {ready.image.frames} frames")
        if _source(planned, job) == "estimated":
            notes.append(f"with the kernel of frame {ready.sample.frame + 1}")
        others = _OtherFrames(
            ready,
            job,
            progress,
            planned,
            format=fitted.format,
            notes=frame_notes,
            lost=set(fitted.notes),
        )
        frames = [functools.partial(others.make, i) for i in range(ready.image.frames)]
        frames[ready.sample.frame] = lambda: fitted.image
        if fitted.format in sequences.HELD_BY:
            timing = sequences.read_timing(ready.task.path, ready.image)
            if timing.starts_still and fitted.format in ("webp", "gif"):
                notes.append("without frame 1, which is not part of the animation")
    return SuperResolved(
        image=fitted.image,
        kernel=planned.kernel,
        source=_source(planned, job),
        refitted=planned.kernel is not first.kernel,
        seconds=time.perf_counter() - started,
        note=" and ".join([*notes, *fitted.notes]),
        method="bicubic" if reason else "",
        format=fitted.format,
        frames=frames,
        frame_notes=frame_notes,
        timing=timing,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _OtherFrames:
    """The frames of an image beside the one whose kernel was estimated."""

    ready: Ready
    job: Job
    progress: ProgressCallback
    planned: Plan
    """How the frame with the kernel was enlarged."""
    _: dataclasses.KW_ONLY
    format: str
    """The format that it was fit for."""
    notes: list[str]
    """What was not done as usual; `make` adds to it."""
    lost: set[str]
    """What the format cannot hold and was said; `make` adds to it."""
    kept: image_files.Kept = dataclasses.field(default_factory=image_files.Kept)
    """What reading a frame leaves for the next one."""

    def make(self, frame: int) -> image_files.Image:
        """Super-resolves a frame by the same plan."""
        path = self.ready.task.path
        picture = image_files.read(path, frame=frame, kept=self.kept)
        check_state(path, self.ready.state)
        fitted = image_encoding.fit(self._enlarged(picture, frame), self.format)
        if fitted.format != self.format:
            raise ValueError(
                f"frame {frame + 1} of {picture.frames} is of another kind and cannot "
                f"be written as --format={self.format}; use --format=tif"
            )
        for lost in fitted.notes:
            if lost not in self.lost:  # Once, however many frames there are.
                self.lost.add(lost)
                self.notes.append(f"some frames {lost}")
        return fitted.image

    def _enlarged(self, picture: image_files.Image, frame: int) -> image_files.Image:
        """A frame enlarged by the plan, or bicubically if that does not suit it."""
        pixels = enlarging.usual_pixels(picture)
        try:
            if self.job.config.sr != "bicubic" and enlarging.is_constant(picture):
                raise ValueError(CONSTANT)
            return _enlarge(picture, pixels, self.planned, self.job, self.progress)
        except ValueError as error:
            planned = _bicubic_plan(self.job.config.scale)
            larger = _enlarge(picture, pixels, planned, self.job, self.progress)
            self.notes.append(f"frame {frame + 1} bicubically ({error})")
            return larger


def _bicubic_plan(scale: int) -> Plan:
    return plan(None, scale=scale, method="bicubic")


def _refined(
    ready: Ready, pixels: np.ndarray, first: Plan, job: Job
) -> tuple[Plan, UsablePixels | None]:
    """The plan with its kernel refitted to the image, and usable pixels if known."""
    one = enlarging.for_estimation(ready.image, pixels=pixels)
    known = ready.sample.for_enlarging(job) or _seen(ready.image, one, first)
    planned = refine_plan(one, first, usable=known)
    # Bands are enlarged in groups, each with usable pixels of its own.
    return planned, None if ready.image.bands else known


def _seen(
    image: image_files.Image,
    pixels: np.ndarray,
    planned: Plan,
    *,
    band: int | None = None,
) -> UsablePixels | None:
    """The usable pixels of an image, or of bands from one on, of which something is
    not seen."""
    unseen = enlarging.unseen(image, band=band)
    if unseen is None or not planned.stages:
        return None
    return find_usable(pixels, unseen=unseen)


def _enlarge(
    image: image_files.Image,
    pixels: np.ndarray,
    planned: Plan,
    job: Job,
    progress: ProgressCallback,
    known: UsablePixels | None = None,
) -> image_files.Image:
    """Enlarges an image, of any type and number of bands, by a plan."""

    def enlarge(group: np.ndarray, band: int) -> np.ndarray:
        keys = [jax.random.key(job.seed)]
        usable = known or _seen(image, group, planned, band=band)
        return super_resolve_planned(
            keys, [group], [planned], usable=[usable], progress=progress
        )[0]

    enlarged = enlarging.enlarge_groups(pixels, enlarge, missing=image.missing)
    return enlarging.as_stored(enlarged, image, planned.scale)


def _source(planned: Plan, job: Job) -> str:
    """Where the kernel comes from: `estimated`, `bicubic` or the name of a file."""
    if job.estimates or not planned.source:
        return planned.source
    # A known kernel, that of a file or one that needs no settings.
    return getattr(job.config.estimator_config, "source", job.config.estimator)
