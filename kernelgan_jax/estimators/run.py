"""From images to their kernels: the estimators behind one call.

The pixels are checked once; the spectrum of each image is analysed once; the estimator
then reads both, and the spectrum rates its kernels.
"""

from collections.abc import Sequence
from typing import Any

import jax

from kernelgan_jax import checks
from kernelgan_jax.estimate import Evidence, KernelEstimate, ProgressCallback
from kernelgan_jax.estimators.registry import Estimator, find_estimator
from kernelgan_jax.estimators.spectral.batches import analyse_images
from kernelgan_jax.estimators.spectral.confidence import judge
from kernelgan_jax.levels import to_own_range
from kernelgan_jax.usable_pixels import UsablePixels, find_usable


def estimate_kernel(
    key: jax.Array,
    image: Any,
    *,
    scale: int = 2,
    estimator: str = "spectral",
    config: Any = None,
    progress: ProgressCallback | None = None,
) -> KernelEstimate:
    """Estimates the kernel that an image was downscaled with.

    The same key, image and settings give the same kernel bit for bit on the same
    machine and versions.

    Args:
      key: JAX random key, which the estimators without training do not need.
      image: `H x W`, `H x W x 1` or `H x W x 3`: uint8, uint16, or floating point in
        [0, 1]. Both sides at least 32 pixels; for KernelGAN at least `config.min_side`.
      scale: Scale of the kernel; the registry tells which ones an estimator knows.
      estimator: A name in `kernelgan_jax.estimators.ESTIMATORS`.
      config: Settings of that estimator, as `KernelGANConfig`; by default its own.
      progress: Called now and then, with the steps done and the latest losses.

    Returns:
      The estimate. Training that fails is not an error: `failure` then says why.

    Raises:
      ValueError: If an argument is out of range, or the image is of a wrong shape or
        type, has values out of range, is too small, or has no structure at all.

    Example:
      >>> import jax, numpy as np
      >>> from kernelgan_jax import estimate_kernel
      >>> image = np.random.default_rng(0).random((48, 48))
      >>> found = estimate_kernel(jax.random.key(0), image, estimator="bicubic")
      >>> found.scale, round(float(found.kernel.sum()), 6)
      (2, 1.0)
    """
    entry = find_estimator(estimator)
    config = entry.default_config(config)
    scale = entry.check_scale(scale)
    pixels = check_image(image, scale=scale, entry=entry, config=config)
    checks.key("key", key)
    checks.known("key", key)
    return estimate_checked(
        [key], [pixels], scale=scale, entry=entry, config=config, progress=progress
    )[0]


def estimate_kernels(
    key: jax.Array,
    images: Sequence[Any],
    *,
    scale: int = 2,
    estimator: str = "spectral",
    config: Any = None,
    progress: ProgressCallback | None = None,
) -> list[KernelEstimate]:
    """Estimates the kernels of many images, of any sizes.

    On a CPU each result is that of `estimate_kernel` with the same key, bit for bit,
    and one image per core is worked on at a time. On GPUs and TPUs KernelGAN trains on
    all images as one program, sharded over the devices; results are then the same up to
    rounding, which training, being chaotic, magnifies.

    Args:
      key: One JAX random key, from which every image starts anew; or N keys, one for
        each image.
      images: N images, each as `estimate_kernel` takes it.
      scale: As for `estimate_kernel`, as all below; the same for all images.
      estimator: As for `estimate_kernel`.
      config: As for `estimate_kernel`.
      progress: Called from several threads; `Progress.image` is the index of the image.

    Returns:
      N estimates, in the order of the images. A training that fails leaves the others
      as they are.

    Raises:
      ValueError: As `estimate_kernel`, with the index of the image, before any work
        starts.

    Example:
      >>> import jax, numpy as np
      >>> from kernelgan_jax import estimate_kernels
      >>> images = list(np.random.default_rng(0).random((2, 48, 48)))
      >>> key = jax.random.key(0)
      >>> [e.scale for e in estimate_kernels(key, images, estimator="bicubic")]
      [2, 2]
    """
    checks.sequence("images", images)
    entry = find_estimator(estimator)
    config = entry.default_config(config)
    scale = entry.check_scale(scale)
    keys = _keys(key, len(images))
    checked = []
    for index, image in enumerate(images):
        try:
            pixels = check_image(image, scale=scale, entry=entry, config=config)
        except ValueError as error:
            raise ValueError(f"images[{index}]: {error}") from error
        checked.append(pixels)
    return estimate_checked(
        keys, checked, scale=scale, entry=entry, config=config, progress=progress
    )


def check_image(
    image: Any, *, scale: int, entry: Estimator, config: Any
) -> UsablePixels:
    """Checks an image for an estimator, and finds its usable pixels.

    The image is one that `estimate_kernel` takes, or its usable pixels.

    Raises:
      ValueError: As `estimate_kernel`.
    """
    scale = entry.check_scale(scale)
    usable = find_usable(image)
    own, _ = to_own_range(usable.image)
    entry.implementation.check(own, scale=scale, config=config)
    return usable


def estimate_checked(
    keys: Sequence[jax.Array],
    images: Sequence[UsablePixels],
    *,
    scale: int,
    entry: Estimator,
    config: Any,
    evidence: Sequence[Evidence | None] = (),
    progress: ProgressCallback | None = None,
) -> list[KernelEstimate]:
    """Estimates the kernels of images that `check_image` has returned.

    Images whose `evidence` of this scale is known already are not analysed again.

    Raises:
      ValueError: If the spectral model fits none of an image's spectra, for the
        estimator that needs it.
    """
    # Where it is None the spectral estimator tries again, and says what is wrong.
    known = list(evidence) or [None] * len(images)
    unseen = [None if own else image for image, own in zip(images, known, strict=True)]
    analysed = analyse_images(unseen, scale=scale)
    seen = [own or new for own, new in zip(known, analysed, strict=True)]
    found = entry.implementation.estimate(
        keys,
        [to_own_range(image.image)[0] for image in images],
        scale=scale,
        config=config,
        evidence=seen,
        progress=progress,
    )
    return [
        rate(estimate, own, estimated=entry.estimates)
        for estimate, own in zip(found, seen, strict=True)
    ]


def rate(
    estimate: KernelEstimate, evidence: Evidence | None, *, estimated: bool = True
) -> KernelEstimate:
    """Adds to an estimate what the spectrum of its image says.

    Args:
      estimate: The estimate.
      evidence: The evidence of the image, of the same scale; None leaves the estimate
        as it is.
      estimated: Whether the kernel was estimated and so gets a confidence.
    """
    if evidence is None:
        return estimate
    estimate = estimate._replace(evidence=evidence, noise_std=evidence.noise_std)
    if estimate.confidence is not None or not estimated:
        return estimate
    confidence = judge(estimate.kernel, evidence)
    if estimate.failure:
        confidence = confidence._replace(level="low", reason=estimate.failure)
    return estimate._replace(confidence=confidence)


def _keys(key: jax.Array, count: int) -> list[jax.Array]:
    """One key for each of `count` images."""
    checks.key("key", key, several=True)
    checks.known("key", key)
    if checks.is_one_key(key):
        return [key] * count
    if len(key) != count:
        raise ValueError(
            f"key has {len(key)} keys for {count} images; give one, or one each"
        )
    return list(key)
