"""Super-resolution of one image of a run, with all its frames."""

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
    planned = _plan(ready.image, estimate, job, bicubic=bool(reason))
    pixels = enlarging.usual_pixels(ready.image)
    one = enlarging.for_estimation(ready.image, pixels=pixels)
    known = ready.sample.for_enlarging(job) or _seen(ready.image, one, planned)
    estimated = planned.kernel
    planned = refine_plan(one, planned, usable=known)
    if ready.image.bands:  # They are enlarged in groups.
        known = None
    notes = [f"bicubically ({reason})"] if reason else list(planned.notes)
    enlarged = _enlarge(ready.image, pixels, planned, job, progress, known)
    image, format, more = image_encoding.fit(enlarged, job.format)
    frames: list[Callable[[], image_files.Image]] = []
    frame_notes: list[str] = []
    said = set(more)
    if ready.image.frames > 1:
        notes.append(f"in all {ready.image.frames} frames")
        if planned.source == "estimated":
            notes.append(f"with the kernel of frame {ready.sample.frame + 1}")

    def other(frame: int) -> image_files.Image:
        """Super-resolves another frame with the same kernel."""
        picture = image_files.read(ready.task.path, frame=frame)
        check_state(ready.task.path, ready.state)
        usual = enlarging.usual_pixels(picture)
        try:
            if enlarging.is_constant(picture):
                raise ValueError(CONSTANT)
            again = _plan(picture, estimate, job, bicubic=bool(reason))
            again = again._replace(stages=planned.stages, kernel_std=planned.kernel_std)
            larger = _enlarge(picture, usual, again, job, progress)
        except ValueError as error:
            again = _plan(picture, None, job, bicubic=True)
            larger = _enlarge(picture, usual, again, job, progress)
            frame_notes.append(f"frame {frame + 1} bicubically ({error})")
        fitted = image_encoding.fit(larger, format)
        if fitted.format != format:
            raise ValueError(
                f"frame {frame + 1} of {picture.frames} is of another kind and cannot "
                f"be written as --format={format}; use --format=tif"
            )
        for lost in fitted.notes:
            if lost not in said:  # Once, however many frames there are.
                said.add(lost)
                frame_notes.append(f"some frames {lost}")
        return fitted.image

    if ready.image.frames > 1:
        frames = [functools.partial(other, i) for i in range(ready.image.frames)]
        frames[ready.sample.frame] = lambda: image
    timing = None
    if frames and format in sequences.HELD_BY:
        timing = sequences.read_timing(ready.task.path, ready.image)
        if timing.starts_still and format in ("webp", "gif"):
            notes.append("without frame 1, which is not part of the animation")
    return SuperResolved(
        image=image,
        kernel=planned.kernel,
        source=_source(planned, job),
        refitted=planned.kernel is not estimated,
        seconds=time.perf_counter() - started,
        note=" and ".join([*notes, *more]),
        method="bicubic" if reason else "",
        format=format,
        frames=frames,
        frame_notes=frame_notes,
        timing=timing,
    )


def _plan(
    image: image_files.Image,
    estimate: KernelEstimate | None,
    job: Job,
    *,
    bicubic: bool,
) -> Plan:
    """How an image is enlarged: as asked for, or bicubically."""
    config = job.config
    if bicubic:
        return plan(None, scale=config.scale, method="bicubic")
    return plan(
        estimate,
        scale=config.scale,
        method=config.sr,
        config=config.sr_config,
        image_shape=image.pixels.shape,
    )


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
    """Enlarges an image by a plan, whatever its type and number of bands.

    Args:
      image: The image.
      pixels: Its `enlarging.usual_pixels`.
      planned: The plan.
      job: What is done.
      progress: Called now and then.
      known: The image's usable pixels, if they are known.
    """

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
    if job.writes_kernel or not planned.source:
        return planned.source
    # A known kernel, that of a file or one that needs no settings.
    return getattr(job.config.estimator_config, "source", job.config.estimator)
