"""Whether an image can be enlarged by a plan: its size, its noise and its kernels."""

import numpy as np

from kernelgan_jax import checks, kernels
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.super_resolution.registry import find_method
from kernelgan_jax.super_resolution.stage import Stage
from kernelgan_jax.super_resolution.varying import pieces


def check_plan(pixels: np.ndarray, planned: Plan) -> None:
    """Checks that an image, `H x W x C` of any type, can be enlarged by its plan.

    Raises:
      ValueError: If it cannot.
    """
    height, width = pixels.shape[:2]
    method = find_method(planned.method)
    method.check_image_size((height, width), scale=planned.scale)
    checks.number("noise_std", planned.noise_std)
    found = planned.source == "estimated" and not method.learns
    for stage in planned.stages:
        checks.whole("scale", stage.scale)
        for factor in stage.widths:
            checks.number("widths", factor, positive=True)
        _check_kernel(stage, (height, width), found=found)
    if planned.kernel_map is None:
        return
    for piece in pieces(0, (height, width), planned):
        shape = tuple(span.stop - span.start for span in (piece.rows, piece.columns))
        try:
            checks.number("width_std", piece.plan.kernel_std)
            _check_kernel(piece.plan.stages[0], shape, found=True)
        except ValueError as error:
            row, column = piece.part
            raise ValueError(f"kernel_map, part ({row}, {column}): {error}") from error


def _check_kernel(stage: Stage, shape: tuple[int, ...], *, found: bool) -> None:
    """Checks that an image, or a part of one, has room for a kernel.

    Args:
      shape: Height and width of the image.
      found: Whether it may be larger than the image, as nobody can crop a kernel that
        was found. It then has the room of the enlarged image.

    Raises:
      ValueError: If it has not, or the kernel cannot be used at all.
    """
    height, width = shape
    sides = None if found else (height, width)
    kernels.check(stage.kernel, scale=stage.scale, image_shape=sides)
    # One that is far off its middle grows when its centre of mass is moved there.
    tall, wide = stage.aligned_kernel(image_shape=shape).shape
    if tall > stage.scale * height or wide > stage.scale * width:
        raise ValueError(
            f"kernel is {wide}x{tall} once its centre of mass is in its middle, "
            f"larger than the enlarged image, {stage.scale * width}x"
            f"{stage.scale * height}; use a larger image or a smaller kernel"
        )
