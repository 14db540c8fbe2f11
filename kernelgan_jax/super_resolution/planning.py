"""What super-resolution does with an estimate, a known kernel and the image's noise.

`plan` decides all of it before anything is computed; methods carry it out.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike

from kernelgan_jax import blur_kernels, checks, equivalent_gaussian
from kernelgan_jax.estimate import Evidence, KernelEstimate, KernelMap
from kernelgan_jax.estimators.spectral.resamplers import RESAMPLERS
from kernelgan_jax.super_resolution.registry import find_method
from kernelgan_jax.super_resolution.stage import Stage

WIDTHS = (0.65, 1.0, 1.35)
"""Factors on the width of an estimated kernel that is not trusted.

Estimates err in width by about this much, and a kernel that is too wide damages the
result. ZSSR is therefore trained on inputs made with all three: that costs little where
the estimate is good, and leaves no image with KernelGAN's kernel worse than bicubic
enlargement (`benchmarks/kodakrk.md`). Not part of its paper.
"""

RESAMPLER_PART = 0.2
"""Part of a kernel's uncertainty that counts if it is a resampler's: it is exact, or
quite another kernel is right, and then caution did not pay, either."""

USUAL_WIDTH = 1.5
"""Width in LR pixels beyond which a kernel that is not trusted is not used: lines of
one direction in a scene can be taken for a motion of their length."""


class Plan(NamedTuple):
    """How one image is super-resolved; made by `plan`."""

    method: str
    """Name in `METHODS`."""
    scale: int
    """The scale of the result."""
    stages: tuple[Stage, ...] = ()
    """The last one makes the result; empty if the method uses no kernel."""
    config: Any = None
    """The method's settings, adapted to the image; None if it has none."""
    noise_std: float = 0.0
    """Standard deviation of the image's noise, as a fraction of the range; 0 if there
    is none or it is not known."""
    kernel_std: float = 0.0
    """Relative standard deviation of the kernel's width; 0 for a known kernel."""
    evidence: Evidence | None = None
    """What the spectrum of the image says; None if it is not known."""
    bounds: tuple[float, float] = (0.0, 1.0)
    """The range of the result."""
    source: str = ""
    """Where the kernel comes from: `estimated`, `given`, or `bicubic`, which stands in
    for an estimate that cannot be used; empty if the method uses no kernel."""
    notes: tuple[str, ...] = ()
    """What is not done as usual: words that continue "super-resolved ..."."""
    kernel_map: KernelMap | None = None
    """Kernels for the parts of the image, which go before that of the stages."""

    @property
    def kernel(self) -> np.ndarray | None:
        """The kernel of the result's scale; None if the method uses none."""
        return self.stages[-1].kernel if self.stages else None


def plan(
    estimate: KernelEstimate | ArrayLike | None,
    *,
    scale: int | None = None,
    method: str = "deep_wiener",
    config: Any = None,
    evidence: Evidence | None = None,
    image_shape: Sequence[int] | None = None,
    image_span: float = 1.0,
) -> Plan:
    """Decides how an image is super-resolved.

    - A known kernel, or an estimate that is trusted, is used as it is.
    - Any other estimate is used at three widths (`WIDTHS`), and after its intermediate
      scales (gradual super-resolution).
    - An estimate with a failure is not used, and neither is one that is not trusted and
      unusually wide (`USUAL_WIDTH`): the bicubic kernel takes its place.
    - An estimate with a kernel map is used with a kernel for each part.
    - If the image is noisy, the settings are adapted to it (`MethodSettings`).

    Args:
      estimate: The estimate for the image; or a known kernel, `h x w`; or None for a
        method that uses no kernel.
      scale: The scale of the result; None for that of the estimate.
      method: Name in `METHODS`.
      config: The method's settings, such as a `ZSSRConfig`; None for the defaults.
      evidence: What the image's spectrum says, as `kernelgan_jax.analyse` returns it:
        here, its noise and power spectrum at `scale`. None for the estimate's.
      image_shape: Height and width of the LR image, if known, for the notes.
      image_span: The image's own range (`levels.Levels.span`); that of the evidence
        goes first.

    Raises:
      ValueError: If the method is unknown, the settings are not its own, there is no
        kernel for the scale, or the evidence or the map of kernels is of another.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax import KernelEstimate
      >>> from kernelgan_jax.super_resolution import plan
      >>> kernel = np.full((4, 4), 1 / 16)
      >>> plan(kernel, scale=2).stages[0].widths
      (1.0,)
      >>> plan(KernelEstimate(kernel, scale=2)).stages[0].widths
      (0.65, 1.0, 1.35)
      >>> failed = KernelEstimate(kernel, scale=2, failure="did not converge")
      >>> plan(failed).source
      'bicubic'

    References:
      Shocher, Cohen, Irani, "Zero-Shot Super-Resolution using Deep Internal Learning",
      CVPR 2018, section 3, for gradual super-resolution.
    """
    chosen = find_method(method)
    scale = _scale(estimate, scale)
    notes: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    source = ""
    if chosen.uses_kernel:
        stages, source = _stages(estimate, scale, method)
        if source == "bicubic":
            failure = getattr(estimate, "failure", "")
            reason = f"failed ({failure})" if failure else "is unusually wide"
            notes = (f"with the bicubic kernel, as the estimate {reason}",)
    noise_std = 0.0
    if isinstance(estimate, KernelEstimate):
        evidence = evidence or estimate.evidence
        checks.number("noise_std", estimate.noise_std, static=True)
        noise_std = float(estimate.noise_std)
    kernel_map = getattr(estimate, "kernel_map", None) if chosen.uses_kernel else None
    for name, known in (("evidence", evidence), ("kernel_map", kernel_map)):
        if known is not None and known.scale != scale:
            raise ValueError(f"{name}.scale is {known.scale}; it must be {scale}")
    if evidence is not None:
        noise_std = float(evidence.noise_std)
    if kernel_map is not None:
        rows, columns = _grid(kernel_map)
        source = "estimated"
        notes = (f"with a map of {rows}x{columns} kernels",)
    if chosen.uses_kernel and evidence is not None and evidence.left_out:
        notes = (*notes, f"apart from {evidence.left_out}")
    config = chosen.default_config(config)
    if config is not None:
        shape = None if image_shape is None else (image_shape[0], image_shape[1])
        own = noise_std / (image_span if evidence is None else evidence.span)
        config, more = config.for_image(scale=scale, noise_std=own, image_shape=shape)
        notes = (*more, *notes)
    return Plan(
        method,
        scale,
        stages,
        config,
        noise_std=noise_std,
        kernel_std=_kernel_std(estimate) if chosen.uses_kernel else 0.0,
        evidence=evidence,
        source=source,
        notes=notes,
        kernel_map=kernel_map,
    )


def _scale(estimate: Any, scale: int | None) -> int:
    """The scale of the result."""
    if isinstance(estimate, KernelEstimate):
        if scale not in (None, estimate.scale):
            raise ValueError(
                f"scale is {scale!r}; it must be {estimate.scale}, the scale of the "
                "estimate"
            )
        return checks.whole("estimate.scale", estimate.scale)
    if scale is None:
        raise ValueError(
            "scale is None; it must be given if estimate is not an estimate"
        )
    return checks.scale(scale)


def _stages(estimate: Any, scale: int, method: str) -> tuple[tuple[Stage, ...], str]:
    """The stages with a kernel, and the kernel's source."""
    if estimate is None:
        raise ValueError(
            f"estimate is None; it must be an estimate or a kernel for the method "
            f"{method}"
        )
    if not isinstance(estimate, KernelEstimate):
        return (Stage(scale, np.asarray(estimate)),), "given"
    if estimate.failure:
        return (Stage(scale, blur_kernels.bicubic(scale)),), "bicubic"
    checks.matrix("estimate.kernel", estimate.kernel)
    if estimate.trusted:
        return (Stage(scale, estimate.kernel),), "estimated"
    widths = equivalent_gaussian.widths(np.asarray(estimate.kernel), scale=scale)
    if widths.longer > USUAL_WIDTH * max(scale, 1.6):
        return (Stage(scale, blur_kernels.bicubic(scale)),), "bicubic"
    steps = (*estimate.intermediate, (scale, estimate.kernel))
    return tuple(Stage(at, kernel, WIDTHS) for at, kernel in steps), "estimated"


def _grid(kernel_map: KernelMap) -> tuple[int, int]:
    """Rows and columns of a map of kernels."""
    shape, uncertain = np.shape(kernel_map.kernels), np.shape(kernel_map.width_std)
    if len(shape) != 4 or 0 in shape:
        legal = "rows x columns x height x width, not empty"
        raise ValueError(f"kernel_map.kernels has shape {shape}; it must be {legal}")
    if uncertain != shape[:2]:
        raise ValueError(
            f"kernel_map.width_std has shape {uncertain}; it must be {shape[:2]}"
        )
    return shape[0], shape[1]


def _kernel_std(estimate: Any) -> float:
    """Relative standard deviation of the width of the kernel that is used."""
    if not isinstance(estimate, KernelEstimate):
        return 0.0
    found = 0.0
    if estimate.confidence is not None:
        found = width_std(estimate.confidence.samples, scale=estimate.scale)
    if not estimate.trusted or estimate.failure:
        found = max(found, float(np.std(WIDTHS)))
    seen = estimate.evidence
    if seen is None or seen.family not in RESAMPLERS:
        return found
    own = np.array_equal(estimate.kernel, seen.kernel)
    return RESAMPLER_PART * found if own else found


def width_std(samples: np.ndarray, *, scale: int) -> float:
    """How uncertain a kernel's width is, as a relative standard deviation.

    It is 0.7 of the standard deviation of the widths' logarithms, the mean over both
    axes: errors on photographs were about that much.

    Args:
      samples: `S x n x n` kernels of a posterior.
      scale: Their scale.
    """
    exact = np.asarray(samples, np.float64)
    widths = [equivalent_gaussian.widths(k, scale=scale)[:2] for k in exact]
    return 0.7 * float(np.log(np.maximum(widths, 0.05)).std(0).mean())
