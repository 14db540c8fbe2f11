"""Super-resolution of images: checks the input, makes a plan, calls the method."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from kernelgan_jax import checks
from kernelgan_jax.estimate import Evidence, KernelEstimate, ProgressCallback
from kernelgan_jax.levels import find_levels
from kernelgan_jax.pixels import from_array, own_channels, to_unit
from kernelgan_jax.settings import shown
from kernelgan_jax.super_resolution.own_range import in_own_range, to_own
from kernelgan_jax.super_resolution.plan_checks import check_plan
from kernelgan_jax.super_resolution.planning import Plan, plan
from kernelgan_jax.super_resolution.registry import find_method
from kernelgan_jax.super_resolution.strokes import without_strokes
from kernelgan_jax.super_resolution.varying import by_parts
from kernelgan_jax.usable_pixels import UsablePixels, find_usable


def super_resolve(
    key: jax.Array,
    image: Any,
    estimate: KernelEstimate | ArrayLike | None,
    *,
    scale: int | None = None,
    method: str = "deep_wiener",
    config: Any = None,
    evidence: Evidence | None = None,
    progress: ProgressCallback | None = None,
) -> np.ndarray:
    """Enlarges an image with the estimate of its kernel, or with a known kernel.

    What is done with an estimate that cannot be trusted, and with noise, is decided by
    `plan`, which takes the same arguments.

    Args:
      key: JAX random key.
      image: `H x W`, `H x W x 1` or `H x W x 3`: uint8, uint16, or floating point in
        [0, 1].
      estimate: The estimate for the image; or a known kernel, `h x w`, which is
        trusted; or None for a method that uses no kernel.
      scale: The scale of the result; None for that of the estimate.
      method: Name in `METHODS`.
      config: The method's settings, such as a `DeepWienerConfig`; None for the
        defaults.
      evidence: What the image's spectrum says, as `kernelgan_jax.analyse` returns it at
        this scale; its noise is used. None for the noise that the estimate reports;
        with a known kernel the image then counts as free of noise.
      progress: Called now and then.

    Returns:
      `sH x sW x C` float32 in [0, 1], C = 1 or 3, s the scale, aligned with the bicubic
      enlargement of the image.

    Raises:
      ValueError: If the image, the estimate or an option cannot be used, or the
        training diverges.

    Example:
      >>> import jax, numpy as np
      >>> from kernelgan_jax import blur_kernels
      >>> from kernelgan_jax.super_resolution import super_resolve
      >>> image = np.random.default_rng(0).random((32, 32))
      >>> kernel = blur_kernels.gaussian(5, variances=(1.0, 1.0), scale=2)
      >>> key = jax.random.key(0)
      >>> super_resolve(key, image, kernel, scale=2).shape
      (64, 64, 1)
      >>> super_resolve(key, image, None, scale=3, method="bicubic").shape
      (96, 96, 1)
    """
    checks.key("key", key)
    checks.known("key", key)
    pixels = from_array(image)
    if estimate is not None and not isinstance(estimate, KernelEstimate):
        estimate = checks.matrix("estimate", estimate)
    if evidence is not None and not isinstance(evidence, Evidence):
        raise ValueError(
            f"evidence is {shown(evidence)}; it must be what analyse returns"
        )
    if evidence is not None:
        checks.known("evidence", evidence.noise_std)
    known = evidence or getattr(estimate, "evidence", None)
    usable = None
    if known is None:
        usable = find_usable(pixels)
        span = find_levels(own_channels(usable.image).select(usable.image)).span
    else:
        span = known.span
        if find_method(method).uses_kernel:
            usable = find_usable(pixels)
    planned = plan(
        estimate,
        scale=scale,
        method=method,
        config=config,
        evidence=evidence,
        image_shape=pixels.shape,
        image_span=span,
    )
    refined = refine_plan(pixels, planned, usable=usable)
    return super_resolve_planned(
        [key], [pixels], [refined], usable=[usable], progress=progress
    )[0]


def refine_plan(
    image: Any, planned: Plan, *, usable: UsablePixels | None = None
) -> Plan:
    """Refits the kernel of a plan to its image, where the method can.

    Args:
      image: As `super_resolve` takes it.
      planned: What `plan` returned for it.
      usable: What `find_usable` returned for it, if that is known.

    Returns:
      The plan, with another kernel, its uncertainty and a note if that explains the
      image better (`deep_wiener/refinement.py`).

    Raises:
      ValueError: If the image or the kernel cannot be used.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.super_resolution import plan, refine_plan
      >>> known = plan(np.full((4, 4), 1 / 16), scale=2)
      >>> refine_plan(np.zeros((64, 64), np.uint8), known) is known
      True
    """
    pixels = from_array(image)
    check_plan(pixels, planned)
    method = find_method(planned.method)
    if not (method.refines and _may_be_refined(planned)):
        return planned
    seen = find_usable(pixels) if usable is None else usable
    seen = without_strokes(seen, planned)
    own = to_own(seen, planned, headroom=method.headroom)
    refined = method.load("refine")(own.image, own.plan, seen)
    return planned._replace(
        stages=refined.stages, kernel_std=refined.kernel_std, notes=refined.notes
    )


def _may_be_refined(planned: Plan) -> bool:
    """Whether a plan has one kernel, which is an estimate that is trusted.

    A known kernel is not uncertain. A wrong one makes a wrong picture, which would make
    the kernel worse. Large images are not mapped for nothing, as for JPEG.
    """
    return (
        bool(planned.config.refine)
        and planned.source == "estimated"
        and planned.kernel_map is None
        and planned.kernel_std > 0
        and len(planned.stages[-1].widths) == 1
        and (planned.evidence is None or planned.evidence.jpeg_strength == 0)
    )


def super_resolve_planned(
    keys: Sequence[jax.Array],
    images: Sequence[Any],
    plans: Sequence[Plan],
    *,
    usable: Sequence[UsablePixels | None] | None = None,
    progress: ProgressCallback | None = None,
) -> list[np.ndarray]:
    """Enlarges images by plans that were made before, all of one method.

    Args:
      keys: JAX random keys, one for each image.
      images: As `super_resolve` takes them; sizes may differ.
      plans: What `plan` returned for each image.
      usable: What `find_usable` returned for each image, or None where that is not
        known.
      progress: Called now and then, with the index of the image.

    Returns:
      The results in the order of the images, as `super_resolve` returns them.

    Raises:
      ValueError: If lengths or methods differ, an image or a kernel cannot be used, or
        a training diverges.

    Example:
      >>> import jax, numpy as np
      >>> from kernelgan_jax.super_resolution import plan, super_resolve_planned
      >>> images = [np.zeros((8, 6), np.uint8), np.zeros((5, 7, 3), np.uint8)]
      >>> plans = [plan(None, scale=2, method="bicubic")] * 2
      >>> keys = jax.random.split(jax.random.key(0), 2)
      >>> [result.shape for result in super_resolve_planned(keys, images, plans)]
      [(16, 12, 1), (10, 14, 3)]
    """
    known = list(usable or [None] * len(images))
    if not len(keys) == len(images) == len(plans):
        raise ValueError(
            f"keys, images and plans are {len(keys)}, {len(images)} and {len(plans)}; "
            "they must be as many"
        )
    if len(known) != len(images):
        raise ValueError(f"usable is {len(known)} for {len(images)} images")
    methods = sorted({planned.method for planned in plans})
    if len(methods) > 1:
        raise ValueError(
            f"plans are for {' and '.join(methods)}; it must be one method"
        )
    checked = [from_array(image) for image in images]
    for pixels, planned in zip(checked, plans, strict=True):
        check_plan(pixels, planned)
    if not plans:
        return []
    method = find_method(methods[0])
    if method.uses_kernel:
        seen = [
            without_strokes(find_usable(pixels) if each is None else each, planned)
            for each, pixels, planned in zip(known, checked, plans, strict=True)
        ]
        return in_own_range(
            keys,
            checked,
            plans,
            enlarge=functools.partial(by_parts, enlarge=method.load()),
            usable=seen,
            headroom=method.headroom,
            progress=progress,
        )
    channels = [own_channels(pixels) for pixels in checked]
    selected = [
        to_unit(each.select(pixels))
        for each, pixels in zip(channels, checked, strict=True)
    ]
    results = method.load()(keys, selected, plans, progress=progress)
    return [
        each.restore(result, pixels)
        for each, result, pixels in zip(channels, results, checked, strict=True)
    ]
