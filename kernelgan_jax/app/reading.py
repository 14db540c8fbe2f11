"""Reading the image of a task, and what is checked before any work is done on it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from kernelgan_jax.app import enlarging, image_files
from kernelgan_jax.app.job import Job
from kernelgan_jax.estimators import run


class Sample(NamedTuple):
    """The frame of a file that the kernel is estimated from."""

    image: image_files.Image
    """Its contents."""
    frame: int = 0
    """Its place among the frames."""
    constant: bool = False
    """Whether it has no structure, as all other frames; it is enlarged bicubically."""

    def for_estimation(self, job: Job) -> np.ndarray:
        """The pixels that the kernel is estimated from.

        They can be larger than those of the file, so images that wait do not keep them.
        """
        return enlarging.for_estimation(self.image, band=job.band)


def first_with_structure(path: Path) -> Sample:
    """Reads the first frame that is not the same everywhere, or else the first."""
    first = Sample(image_files.read(path))
    if not enlarging.is_constant(first.image):
        return first
    for frame in range(1, first.image.frames):
        image = image_files.read(path, frame=frame)
        if not enlarging.is_constant(image):
            return Sample(image, frame)
    return first._replace(constant=True)


def check(sample: Sample, job: Job) -> None:
    """Checks an image for the estimator and the method.

    An image without structure is refused only if nothing is made of it but a kernel.

    Raises:
      ValueError: With what is wrong for both, so that what suits one suits the other.
    """
    config, problems = job.config, []
    channels = sample.image.pixels.shape[2]
    if job.band is not None and job.band > channels:
        raise ValueError(
            f"--band={job.band}, but the image has {channels} "
            f"band{'s' * (channels > 1)}; choose another one, counted from 1"
        )
    if (method := config.chosen_method) is not None:
        try:
            method.check_image_size(sample.image.pixels.shape, scale=config.scale)
        except ValueError as error:
            problems.append(str(error))
    if job.needs_kernel:
        try:
            run.check_image(
                sample.for_estimation(job),
                scale=config.scale,
                entry=config.chosen_estimator,
                config=config.estimator_config,
            )
        except ValueError as error:
            constant = str(error) == enlarging.CONSTANT and not sample.constant
            of = f"band {job.band} of the " if job.band and constant else ""
            problems.append(of + str(error))
    if method is not None and sample.constant and problems == [enlarging.CONSTANT]:
        return
    if problems:
        height, width = sample.image.pixels.shape[:2]
        same = f"image is {width}x{height} pixels; "
        rest = [text.removeprefix(same) for text in problems[1:]]
        raise ValueError("; ".join([problems[0], *rest]))
