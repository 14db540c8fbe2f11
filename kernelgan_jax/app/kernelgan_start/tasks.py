"""Tasks for meta-learning: LR images made from photographs with random kernels."""

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.app import photographs
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.kernelgan.crops import Training, prepare
from kernelgan_jax.estimators.kernelgan.meta_learning import Tasks
from kernelgan_jax.estimators.kernelgan.state import Batch

SIDE = 512
"""Side of the part of a photograph that becomes the LR image of a task."""

TRIES = 20
"""Parts of photographs that are drawn at most for a task; flat ones are of no use."""

_draw = jax.jit(photographs.draw, static_argnames=("size", "count"))


def random_kernel(rng: np.random.Generator, size: int) -> np.ndarray:
    """A kernel as DIV2KRK has them at x2, aligned: `size x size`, sum 1."""
    kernel = kernels.centre(blur_kernels.random_gaussian(rng, 11, scale=2), 2)
    margin = (len(kernel) - size) // 2
    if margin > 0:
        kernel = kernel[margin:-margin, margin:-margin]
    return kernels.normalise(np.clip(kernel, 0, None))


def draw(
    seed: tuple[int, ...],
    photos: photographs.Photographs,
    *,
    count: int,
    config: KernelGANConfig,
) -> Tasks:
    """Draws tasks; the same from the same seed.

    Args:
      seed: Integers, at least 0.
      photos: As `photographs.load` gives them, of at least `SIDE` pixels.
      count: How many.
      config: Settings of the trainings.

    Raises:
      ValueError: If the photographs are nothing but flat areas.
    """
    made = [_task((*seed, task), photos, config) for task in range(count)]
    trainings, truths = zip(*made, strict=True)
    crops = [each.crops(0, config.iterations, config) for each in trainings]
    return Tasks(
        jnp.stack([each.train_key for each in trainings]),
        Batch(*(jnp.stack(part) for part in zip(*crops, strict=True))),
        jnp.asarray(np.stack(truths), jnp.float32),
    )


def _task(
    seed: tuple[int, ...], photos: photographs.Photographs, config: KernelGANConfig
) -> tuple[Training, np.ndarray]:
    rng = np.random.default_rng(seed)
    kernel = random_kernel(rng, config.kernel_size)
    for _ in range(TRIES):
        key = jax.random.key(int(rng.integers(2**31)))
        (hr,) = np.asarray(_draw(key, photos, size=SIDE, count=1))
        lr = downscale(hr.astype(np.float32), kernel, 2)
        lr = np.rint(np.clip(lr, 0, 255)) / np.float32(255)
        try:
            (training,) = prepare(key, lr, config)
        except ValueError as error:
            problem = error
        else:
            return training, kernel
    raise ValueError(f"photos are of no use: {problem}")
