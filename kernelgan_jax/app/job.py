"""What the command does with images, and what becomes of each: types, without JAX."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kernelgan_jax.config import Config

FORMATS = ("png", "jpg", "webp", "avif", "gif", "tif")
"""Formats of super-resolved images: suffixes of the files that are written."""

WITHOUT_QUALITY = ("png", "gif", "tif")
"""Those of them in which `Job.quality` has no meaning."""

SAME = "same"
"""Stands for the format of the image's file."""

QUALITY = 95
"""Quality of JPEG, WebP and AVIF, if none is asked for."""

REPORT = "report.json"
"""The file that says whose results a folder holds; a folder with it is complete."""

POOLED = "pool"
"""What `GivenConfig.source` says of a kernel that was made of all images of a run."""

SETTINGS = ("seed", "band", "format", "quality")
"""Fields of `Job` that change results, apart from the config."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What is done with every image of a run."""

    config: Config = Config()
    """The settings; a known kernel is the estimator `given`."""
    seed: int = 0
    """Random seed, from which every image starts anew."""
    figures: bool = True
    """Whether kernel.png and comparison.png are drawn."""
    format: str = "png"
    """Format of the super-resolved images: one of `FORMATS`, or `SAME`."""
    quality: int = QUALITY
    """Quality of lossy formats, from 1 to 100."""
    exports: tuple[str, ...] = ()
    """Tools that a kernel file is written for, see `kernel_formats.TOOLS`."""
    band: int | None = None
    """The band, counted from 1, that the kernel is estimated from; None for the mean of
    all bands, or all channels of gray and colour."""
    resume: bool = True
    """Whether images are left out that are finished with the same settings."""

    @property
    def estimates(self) -> bool:
        """Whether the kernel is a result of the run; a known one is not."""
        return self.config.chosen_estimator.estimates

    @property
    def needs_kernel(self) -> bool:
        """Whether any result depends on the kernel."""
        method = self.config.chosen_method
        return self.estimates or (method is not None and method.uses_kernel)

    def settings(self) -> dict[str, Any]:
        """All that changes results: `SETTINGS` and the config, as a dictionary."""
        own = {name: getattr(self, name) for name in SETTINGS}
        return own | {"config": self.config.to_dict()}


class Task(NamedTuple):
    """One image and the folder for its results."""

    path: Path
    """The image file."""
    folder: Path
    """The folder that its results are written to."""


class Summary(NamedTuple):
    """What the terminal shows of one image; small, so that a long list can be kept."""

    widths: str
    """Widths of the kernel, or `-`."""
    angle: str
    """Direction of the kernel, or `-`, also of a round one."""
    seconds: float
    """Time of the super-resolution and the image's share of its batch's estimation."""
    failure: str | None
    """Why the estimate failed, empty if it did not; None if nothing was estimated."""
    family: str = ""
    """Family of the estimated kernel; may be empty."""
    level: str = "-"
    """Level of the confidence, or `-`."""
    reason: str = ""
    """Why the level is not `high`; may be empty."""
    note: str = ""
    """What was not done as usual in the super-resolution; may be empty."""
    conversions: str = ""
    """What was converted or left out when the file was read; may be empty."""
    values: Mapping[str, Any] | None = None
    """What the manifest has of the image; see `report_values`."""


class Outcome(NamedTuple):
    """What became of one image."""

    task: Task
    """The image."""
    status: Literal["done", "kept", "failed"]
    """`kept`: the image was finished before, with the same settings."""
    error: str = ""
    """What went wrong, in one line; empty if nothing did."""
    summary: Summary | None = None
    """What the terminal shows, if the image was done, now or before."""
