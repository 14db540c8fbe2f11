"""What estimators return, and what is known about an image: types only.

Arrays are NumPy's unless stated otherwise; kernels are as `kernelgan_jax.kernels` says.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax.confidence_levels import Level
from kernelgan_jax.pytrees import with_static_parts


class Progress(NamedTuple):
    """How far the work on one image is."""

    image: int
    """Index of the image in the call; 0 for a single image."""
    phase: str
    """What is being done: the name of an estimator or a super-resolution method."""
    step: int
    """Steps done."""
    total: int
    """Steps at most."""
    losses: Mapping[str, float] = {}
    """The latest losses by name."""


ProgressCallback = Callable[[Progress], None]
"""Called now and then in long work, from any thread; an exception ends the work."""


class Spectrum(NamedTuple):
    """Power spectrum of the HR image and noise of the LR image, as the likelihood
    models them (`estimators/spectral/likelihood.py`); JAX or NumPy arrays."""

    log_amplitude: Any
    """log A; gray levels^2 at one cycle per LR pixel. A gray level is 1/255 of the
    image's own range (see `levels.py`)."""
    exponent: Any
    """alpha."""
    direction: Any
    """c, d, e, f: the dependence on direction."""
    log_noise: Any
    """log sigma^2, gray levels^2."""


@with_static_parts
class Confidence(NamedTuple):
    """How far a kernel may be off; see `estimators/spectral/confidence.py`.

    Standard deviations are those of the posterior of the image's spectrum; errors are
    the expected ones, in the measures of `kernelgan_jax.metrics`.
    """

    level: Level
    """`high`: super-resolved images mostly come close to those of the true kernel:
    within 0.5 dB in 19 of 20 cases that were measured.
    `low`: the kernel should not be trusted."""
    reason: str
    """Why the level is not `high`, in a few words; empty if it is."""
    kernel_psnr: float
    """Expected kernel PSNR, dB."""
    covariance_error: float
    """Expected relative error of the kernel's covariance."""
    sr_loss: float
    """Expected PSNR loss, dB, of the super-resolved image against that of the true
    kernel, for the trained network: that of Wiener filters on the image's spectrum,
    times what was measured for the network (`SR_LOSS_FACTORS`)."""
    longer_std: float
    """Standard deviation of the longer width, pixels."""
    shorter_std: float
    """Standard deviation of the shorter width, pixels."""
    angle_std: float
    """Standard deviation of the longer axis' direction, degrees; 52 means any."""
    samples: np.ndarray
    """`S x n x n` kernels of the posterior, equally likely, sum 1."""

    def __repr__(self) -> str:
        """Without the samples."""
        fields = self._asdict()
        samples = len(fields.pop("samples"))
        text = ", ".join(f"{name}={value!r}" for name, value in fields.items())
        return f"Confidence({text}, samples=<{samples} kernels>)"

    def to_dict(self) -> dict[str, Any]:
        """All but the samples, with the keys of `report.json`."""
        return {
            "level": self.level,
            "reason": self.reason,
            "expected_kernel_psnr": self.kernel_psnr,
            "expected_covariance_error": self.covariance_error,
            "expected_sr_loss": self.sr_loss,
            "standard_deviations": {
                "longer": self.longer_std,
                "shorter": self.shorter_std,
                "angle": self.angle_std,
            },
        }


@with_static_parts
class Evidence(NamedTuple):
    """What an image's spectrum says about its kernel, its noise and itself.

    `kernelgan_jax.analyse` makes it once; estimators and super-resolution read it.
    """

    scale: int
    """The scale that the kernel and the samples are for."""
    kernel: np.ndarray
    """The most likely kernel, `n x n`, sum 1."""
    raw_kernel: np.ndarray
    """The same as fitted, with its empty margin."""
    intermediate: tuple[tuple[int, np.ndarray], ...]
    """(scale, kernel) of smaller scales that lead to `scale`, as x2 for x4."""
    samples: np.ndarray
    """`S x n x n` kernels of the posterior, equally likely, sum 1."""
    spectrum: Spectrum
    """The fitted power spectrum and noise."""
    misfit: float
    """Root mean square over frequencies of log(measured power / expected power)."""
    contrast: float
    """Standard deviation of the gray image, in gray levels of its own range, or in the
    steps between its levels if these are larger."""
    noise_std: float
    """Standard deviation of the noise in each channel, as a fraction of the range."""
    jpeg: bool
    """Whether the image shows the block grid of JPEG."""
    converged: bool
    """Whether the search for the most likely kernel converged."""
    family: str = ""
    """What the kernel is: `Gaussian`, `generalised Gaussian`, `sharpened Gaussian`,
    `motion`, `camera shake`; of resamplers `bicubic`, `lanczos`, `box`, `nearest`."""
    jpeg_strength: float = 0.0
    """Strength of JPEG compression, `(100 - quality) / 100`; 0 if there is none."""
    span: float = 1.0
    """The image's own range, as a fraction of the range of its type."""
    unusable: np.ndarray | None = None
    """`H x W` bool: what is no part of the picture (`usable_pixels`); or None."""
    left_out: str = ""
    """What is not part of the picture, in words; empty if all is."""
    text_share: float = 0.0
    """Share of the pixels without a part in the spectrum, as text has none."""
    by_picture: bool = False
    """Whether the picture decided for it; the spectrum speaks for another kernel."""
    rivalled: bool = False
    """Whether it is a resampler's, and another kernel explains the spectrum as well."""

    def __repr__(self) -> str:
        """What is found, without the arrays."""
        return (
            f"Evidence(scale={self.scale}, kernel=<{_size(self.kernel)}>, "
            f"family={self.family!r}, noise_std={_number(self.noise_std)}, "
            f"jpeg_strength={_number(self.jpeg_strength)}, converged={self.converged})"
        )

    @property
    def gray_noise_std(self) -> float:
        """Standard deviation of the gray image's noise, levels of its own range."""
        return float(np.exp(np.asarray(self.spectrum.log_noise) / 2))


@with_static_parts
class Diagnostics(NamedTuple):
    """What an estimator leaves for people who look into it."""

    raw_kernel: np.ndarray
    """The kernel as trained or fitted, before it was cleaned and centred."""
    losses: Mapping[str, np.ndarray] = {}
    """Losses by name (see `kernelgan.Info`), a value for each step; may be empty."""


@with_static_parts
class KernelMap(NamedTuple):
    """The kernels of the parts of an image whose blur varies."""

    kernels: np.ndarray
    """`R x C x n x n`: aligned for the scale, sum 1."""
    scale: int
    """Their scale."""
    width_std: np.ndarray
    """Relative standard deviation of their widths, `R x C`."""
    levels: tuple[tuple[str, ...], ...]
    """Level of the confidence in each part by itself, `R x C`; `none` where a part has
    no structure."""


@with_static_parts
class KernelEstimate(NamedTuple):
    """The estimated kernel of one image.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax import KernelEstimate
      >>> estimate = KernelEstimate(np.full((3, 3), 1 / 9), scale=1)
      >>> estimate.failure, estimate.trusted
      ('', False)
    """

    kernel: np.ndarray
    """The kernel of `scale`: cleaned, aligned (unless it was given), sum 1."""
    scale: int
    """The scale that was asked for."""
    intermediate: tuple[tuple[int, np.ndarray], ...] = ()
    """(scale, kernel) of smaller scales that lead to `scale`, as x2 for x4."""
    confidence: Confidence | None = None
    """Confidence in the kernel; None if that is given, or no spectrum was analysed."""
    failure: str = ""
    """Why the estimate cannot be used, in a few words; empty if it can."""
    trusted: bool = False
    """Whether super-resolution takes it as it is, not with several widths."""
    noise_std: float = 0.0
    """Standard deviation of each channel's noise, part of the range; 0 if unknown."""
    diagnostics: Diagnostics | None = None
    """The raw kernel and the losses, where the estimator has them."""
    evidence: Evidence | None = None
    """What the spectrum of the image says; None if it could not be analysed."""
    kernel_map: KernelMap | None = None
    """The kernels of its parts, if they were asked for."""

    def __repr__(self) -> str:
        """The kernel's size and what is thought of it, without the arrays."""
        level = None if self.confidence is None else self.confidence.level
        text = f"kernel=<{_size(self.kernel)}>, scale={self.scale}"
        text += f", confidence={level!r}, trusted={self.trusted}"
        text += f", failure={self.failure!r}" if self.failure else ""
        if self.kernel_map is not None:
            text += f", kernel_map=<{_size(self.kernel_map.kernels)}>"
        return f"KernelEstimate({text})"

    def _repr_html_(self) -> str | None:
        """The kernel's picture, for notebooks; None for a batch."""
        from kernelgan_jax.kernel_picture import figure

        return figure(self)


def _number(value: Any) -> str:
    """A number with two digits; what it is in a batch, or inside of `jit`."""
    try:
        return f"{value:.2g}"
    except (TypeError, ValueError):
        return repr(value)


def _size(array: Any) -> str:
    """Height and width of an array as text."""
    return " x ".join(map(str, np.shape(array)[:2]))
