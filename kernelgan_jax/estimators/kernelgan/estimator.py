"""The estimator KernelGAN: from images to cleaned kernels (see `registry.py`)."""

import functools
import threading
from collections.abc import Sequence

import jax
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.estimate import (
    Diagnostics,
    Evidence,
    KernelEstimate,
    Progress,
    ProgressCallback,
)
from kernelgan_jax.estimators.kernelgan import train
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.kernelgan.crops import Training, prepare, training_image
from kernelgan_jax.estimators.spectral.confidence import judge
from kernelgan_jax.parallel import map_images

SUM_TOLERANCE = 0.1
"""Largest distance from 1 of a good generator's sum; failed ones are far off."""


def check(image: np.ndarray, *, scale: int, config: KernelGANConfig) -> None:
    """Checks that an image can be trained on.

    Raises:
      ValueError: If it is too small or has no structure.
    """
    del scale
    training_image(image, config)


def estimate(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    *,
    scale: int,
    config: KernelGANConfig,
    evidence: Sequence[Evidence | None],
    progress: ProgressCallback | None = None,
    vectorised: bool | None = None,
) -> list[KernelEstimate]:
    """Trains KernelGAN on images, `config.restarts` times on each.

    Args:
      keys: A JAX random key for each image.
      images: Images that `check` accepts, `H x W x C` float32 in [0, 1].
      scale: 2 or 4; the x4 kernel follows from the x2 kernel (paper, section 4.2).
      config: Settings.
      evidence: The evidence of each image, or None: it chooses among restarts.
      progress: Called every 100 steps of each training; with restarts, the steps are
        the mean over an image's trainings.
      vectorised: Whether all trainings are one `vmap`ped program; by default on GPUs
        and TPUs only.

    Returns:
      The estimates, in the order of the images.
    """
    trainings = [
        training
        for key, image, seen in zip(keys, images, evidence, strict=True)
        for training in prepare(
            key, image, config, unusable=None if seen is None else seen.unusable
        )
    ]
    each = config.restarts
    steps = np.zeros((len(images), each), int)
    # One thread at a time, or an image's steps would seem to go back.
    lock = threading.Lock()

    def report(
        tell: ProgressCallback, index: int, step: int, losses: dict[str, float]
    ) -> None:
        with lock:
            steps.flat[index] = step
            image = index // each
            mean = int(steps[image].mean())
            tell(Progress(image, "kernelgan", mean, config.iterations, losses))

    def one(index: int, training: Training, tell: ProgressCallback) -> train.Result:
        def of_one(_: int, step: int, losses: dict[str, float]) -> None:
            report(tell, index, step, losses)

        return train.train([training], config, False, of_one)[0]

    if vectorised is None:
        vectorised = jax.default_backend() != "cpu" and len(trainings) > 1
    if vectorised:
        of_all = functools.partial(report, progress or (lambda _: None))
        results = train.train(trainings, config, True, of_all)
    else:
        results = map_images(one, trainings, progress=progress)
    found = [finish(config, *result) for result in results]
    if scale == 4:
        found = [_x4(estimate) for estimate in found]
    return [
        most_trusted(found[i * each : (i + 1) * each], evidence[i])
        for i in range(len(images))
    ]


def preload(config: KernelGANConfig) -> None:
    """Loads the programs of one training, if an earlier run has kept them."""
    train.preload(config)


def device_bytes(config: KernelGANConfig) -> int:
    """Device memory that each image of a large batch takes."""
    return config.restarts * train.device_bytes(config)


def finish(
    config: KernelGANConfig, raw_kernel: np.ndarray, losses: dict[str, np.ndarray]
) -> KernelEstimate:
    """Cleans and centres the x2 kernel, and finds out whether training failed.

    Args:
      raw_kernel: `n x n` kernel of the generator.
      losses: One value for each step that was taken, by the names of `Info`.
    """
    raw = raw_kernel.astype(np.float64)
    steps = len(losses["generator_loss"])
    failure = ""
    if steps < config.iterations or not np.isfinite(losses["generator_loss"]).all():
        failure = f"training diverged within {steps} steps"
    elif losses["bicubic_weight"][-1] >= config.constraints_below:
        failure = f"the warm start did not end within {steps} steps"
        if config.warm_start == "summed":  # it cannot, where colours are strong
            failure += "; try kernelgan.warm_start=per_channel"
    elif abs(raw.sum() - 1) > SUM_TOLERANCE:
        failure = f"the generator's kernel sums to {raw.sum():.2f}, not 1"
    try:
        kernel = kernels.remove_floor(
            raw, fraction=config.floor, count=config.floor_rank
        )
    except ValueError:  # nothing positive is left
        kernel = np.full_like(raw, 1 / raw.size)
        failure = failure or "no kernel was found"
    kernel = kernels.normalise(kernels.centre(kernel, 2))
    return KernelEstimate(
        kernel, 2, failure=failure, diagnostics=Diagnostics(raw_kernel, losses)
    )


def _x4(estimate: KernelEstimate) -> KernelEstimate:
    """The x4 estimate that follows from an x2 estimate (paper, section 4.2)."""
    kernel = kernels.kernel_x4(estimate.kernel)
    smaller = ((2, estimate.kernel),)
    return estimate._replace(kernel=kernel, scale=4, intermediate=smaller)


def most_trusted(
    restarts: Sequence[KernelEstimate], evidence: Evidence | None
) -> KernelEstimate:
    """The best of several trainings of an image.

    It is one that did not fail, if there is one, and among these the one with the
    highest expected kernel PSNR by the image's spectrum.
    """
    if len(restarts) == 1:
        return restarts[0]

    def trust(estimate: KernelEstimate) -> tuple[bool, float]:
        expected = (
            -np.inf
            if evidence is None
            else judge(estimate.kernel, evidence).kernel_psnr
        )
        return not estimate.failure, expected

    return max(restarts, key=trust)
