"""What the benchmark measures: one row for each kernel and each super-resolved image.

A row is one line of `runs.jsonl`; `to_json` and `from_json` are the only places that
know its form there.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from kernelgan_jax.app.report import finite

FORMAT = 5
"""Version of the rows' form; rows of other versions are measured again."""

Kind = Literal["kernel", "sr"]
KERNEL: Kind = "kernel"
SR: Kind = "sr"

Widths = tuple[float | None, float | None, float | None]
"""Longer width, shorter width (pixels) and angle (degrees), as `kernels.widths`."""


class Key(NamedTuple):
    """What identifies a row."""

    kind: Kind
    scale: int
    system: str
    """Name of the system; for kernels the name that systems share them under."""
    image: str
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Row:
    kind: ClassVar[Kind]
    scale: int
    system: str
    """Name of the system; for kernels `System.kernel_name`."""
    image: str
    """Name of the image."""
    seed: int
    fingerprint: str
    """Digest of all that the row depends on; see `store.fingerprint`."""
    files: Mapping[str, str]
    """Digests of the files that belong to the row: `image`, `kernel_x2`, ..."""
    seconds: float | None
    """Time that it took; None if that is not known."""
    memory: int | None
    """Peak memory of the process, MiB; None if that is not known."""

    @property
    def key(self) -> Key:
        """What identifies the row."""
        return Key(self.kind, self.scale, self.system, self.image, self.seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelRow(_Row):
    """The measures of one estimate.

    A measure is None if it is infinite, undefined, or there is no kernel.
    """

    kind: ClassVar[Kind] = KERNEL
    failure: str = ""
    """Why the estimate cannot be used; empty if it can."""
    trusted: bool = False
    """Whether super-resolution takes the kernel as it is."""
    noise_std: float = 0.0
    """Noise of the LR image, as a fraction of the range; 0 if unknown."""
    confidence: Mapping[str, Any] | None = None
    """The estimate's `Confidence.to_dict()`; None if it has none."""
    kernel_psnr: float | None = None
    """PSNR against the true kernel, dB."""
    kernel_psnr_on_grid: float | None = None
    """The same on the grid of other papers' kernels (`metrics.kernel_grid`), dB."""
    covariance_error: float | None = None
    """Relative error of the covariance."""
    widths: Widths | None = None
    true_widths: Widths | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageRow(_Row):
    """The measures of one super-resolved image.

    A measure is None if it is infinite, or the image is too small for it.
    """

    kind: ClassVar[Kind] = SR
    psnr_y: float | None
    """PSNR of luma, dB; None if there is no difference."""
    ssim_y: float | None
    """SSIM of luma."""
    lr_psnr_y: float | None
    """PSNR of luma of the downscaled result against the LR image, dB."""
    shift: tuple[float, float] | None
    """How far the result lies off the HR image, down and right, pixels."""


Row = KernelRow | ImageRow

_CLASSES: dict[str, type[Row]] = {KERNEL: KernelRow, SR: ImageRow}


def kernel_file(scale: int) -> str:
    """The name, in `Row.files`, of the kernel of a scale.

    Example:
      >>> kernel_file(2)
      'kernel_x2'
    """
    return f"kernel_x{scale}"


def to_json(row: Row) -> str:
    """A row as one line of JSON, without the line break."""
    values = {"kind": row.kind, **dataclasses.asdict(row)}
    return json.dumps(finite(values), allow_nan=False)


def from_json(line: str) -> Row:
    """The row of one line.

    Raises:
      ValueError: If the line is cut off or has another form.

    Example:
      >>> from_json("{}")
      Traceback (most recent call last):
      ValueError: not a row: {}
    """
    try:
        values = json.loads(line)
        row_class = _CLASSES[values.pop("kind")]
        # JSON has no tuples.
        values = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return row_class(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a row: {line}") from error


def kernel_rows(rows: Sequence[Row], *, system: str | None = None) -> list[KernelRow]:
    """The rows of kernels, of all systems or of one (`System.kernel_name`)."""
    return [
        row
        for row in rows
        if isinstance(row, KernelRow) and system in (None, row.system)
    ]


def image_rows(rows: Sequence[Row], *, system: str | None = None) -> list[ImageRow]:
    """The rows of super-resolved images, of all systems or of one (`System.name`)."""
    return [
        row
        for row in rows
        if isinstance(row, ImageRow) and system in (None, row.system)
    ]
