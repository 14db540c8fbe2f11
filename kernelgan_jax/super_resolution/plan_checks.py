"""Whether an image can be enlarged by a plan: its size, its noise and its kernels."""

import numpy as np

from kernelgan_jax import checks, kernels
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.super_resolution.registry import find_method


def check_plan(pixels: np.ndarray, planned: Plan) -> None:
    """Checks that an image can be enlarged by a plan.

    Args:
      pixels: `H x W x C`, any type.
      planned: What `plan` returned for it.

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
        # Nobody can crop a kernel that was found; the enlarged image has room for it.
        room = stage.scale if found else 1
        sides = room * height, room * width
        kernels.check(stage.kernel, scale=stage.scale, image_shape=sides)
        # One that is far off its middle grows when its centre of mass is moved there.
        tall, wide = stage.aligned_kernel(image_shape=pixels.shape).shape
        if tall > stage.scale * height or wide > stage.scale * width:
            raise ValueError(
                f"kernel is {wide}x{tall} once its centre of mass is in its middle, "
                f"larger than the enlarged image, {stage.scale * width}x"
                f"{stage.scale * height}; use a larger image or a smaller kernel"
            )
