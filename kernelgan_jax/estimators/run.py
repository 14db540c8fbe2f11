"""From images to their kernels, by the estimator that the settings name.

`spectral.py` is such an estimator by itself. KernelGAN is run here, compiled, and its
kernels are cleaned; the spectrum then says how far to trust them (`confidence.py`).

KernelGAN for one image is compiled and batched here and nowhere else: `jit` over a
`scan` of a chunk of steps. The chunk's crops are cut on the host (6 MB per 100 steps
and image), so that images of all sizes share one compiled program, and one batch, and a
photo of any size takes little memory.

Many images run in one of two ways. On a GPU or TPU they are one program: `vmap`, with
the batch axis sharded over the devices. On a CPU each core takes an image at a time
with the program of a single image: `vmap` has nothing to win there (README of
`benchmarks/`), and so a kernel does not depend, in any bit, on the images beside it.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.config import DEFAULT, Config
from kernelgan_jax.estimate import Confidence, KernelEstimate
from kernelgan_jax.estimators.kernelgan import crops
from kernelgan_jax.estimators.kernelgan.train import Prepared, train, training_image
from kernelgan_jax.estimators.spectral.confidence import channel_noise, judge
from kernelgan_jax.estimators.spectral.estimator import analyse, estimate_spectral
from kernelgan_jax.estimators.spectral.periodogram import to_gray
from kernelgan_jax.parallel import Progress, map_images
from kernelgan_jax.pixels import from_array, luma, to_unit


class KernelEstimates(NamedTuple):
    """The estimated kernels of N images: `KernelEstimate` with a leading axis."""

    kernel: np.ndarray
    """`N x k x k`, the smaller ones with zeros around, aligned all the same."""
    kernel_x4: np.ndarray | None
    """`N x l x l`, alike, if `config.scale` is 4."""
    raw_kernel: np.ndarray
    """`N x n x n`."""
    history: dict[str, np.ndarray]
    """`N x iterations` each; NaN after a training that diverged. Empty without."""
    converged: np.ndarray
    """`N`, bool."""
    reason: tuple[str, ...]
    """N, each as in `KernelEstimate`, as all below."""
    confidence: tuple[Confidence | None, ...]
    noise: np.ndarray
    sure: np.ndarray


def estimate_kernel(
    key: jax.Array,
    image: Any,
    *,
    config: Config = DEFAULT,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> KernelEstimate:
    """Finds the kernel that an image was downscaled with.

    The same key, image and config give the same kernel bit for bit on the same machine
    and versions.

    Args:
      key: JAX random key.
      image: `H x W`, `H x W x 1` or `H x W x 3`: uint8, uint16, or floating point in
        [0, 1]. Both sides at least `config.minimum_side` pixels; for the estimator
        `spectral`, which heeds no key either, `whittle.WINDOW`.
      config: Settings; by default KernelGAN as published.
      progress: Called every 100 steps of KernelGAN with the number of steps done and
        the last losses; with restarts every 100 of each, with their mean.

    Returns:
      The estimate. Training that fails is no error: `converged` is then False, and the
      kernel what the last finite kernel of training gives.

    Raises:
      ValueError: If the image is of a wrong shape or type, has values out of range, is
        too small, or has no structure at all, or no spectrum fits it.
    """

    def tell(_: int, step: int, losses: dict[str, float]) -> None:
        if progress is not None:
            progress(step, losses)

    return find([prepare(key, image, config)], config, progress=tell)[0]


def estimate_kernels(
    key: jax.Array,
    images: Sequence[Any],
    *,
    config: Config = DEFAULT,
    vectorised: bool | None = None,
    progress: Progress | None = None,
) -> KernelEstimates:
    """Finds the kernels of many images, of any sizes, at once.

    On a CPU each result is that of `estimate_kernel` with the same key, bit for bit; on
    a GPU or TPU up to rounding (which training, being chaotic, magnifies).

    Args:
      key: One JAX random key, from which every image starts anew; or N keys, one an
        image. All of N restarts, where `config.restarts` gives the best one:
        `estimate_kernels(jax.random.split(key, N), [image] * N)`.
      images: N images, each as `estimate_kernel` takes.
      config: Settings, for all images.
      vectorised: Whether all images are one program, `vmap`ped and sharded over the
        devices of this host. By default so on a GPU or TPU; otherwise each core (or
        device, if there are several) takes an image at a time.
      progress: Called every 100 steps of each image with its index, the number of steps
        done and the last losses; from several threads. What it raises ends all.

    Returns:
      The estimates, in the order of the images. A training that fails leaves the
      others as they are.

    Raises:
      ValueError: As `estimate_kernel`, with the index of the image; before any starts.
    """
    if not len(images):
        raise ValueError("images is empty; there must be at least one")
    typed = jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    single = key.ndim == (0 if typed else 1)
    if not single and len(key) != len(images):
        raise ValueError(
            f"key has {len(key)} keys for {len(images)} images; give one, or one each"
        )
    prepared = []
    for i, image in enumerate(images):
        try:
            prepared.append(prepare(key if single else key[i], image, config))
        except ValueError as error:
            raise ValueError(f"images[{i}]: {error}") from error
    found = find(prepared, config, vectorised=vectorised, progress=progress)
    x4 = [e.kernel_x4 for e in found if e.kernel_x4 is not None]

    def padded(values: np.ndarray) -> np.ndarray:
        missing = config.iterations - len(values)
        return np.pad(values, (0, missing), constant_values=np.nan)

    return KernelEstimates(
        kernels.stack([e.kernel for e in found]),
        kernels.stack(x4) if x4 else None,
        np.stack([e.raw_kernel for e in found]),
        {
            name: np.stack([padded(e.history[name]) for e in found])
            for name in found[0].history
        },
        np.array([e.converged for e in found]),
        tuple(e.reason for e in found),
        tuple(e.confidence for e in found),
        np.array([e.noise for e in found]),
        np.array([e.sure for e in found]),
    )


def prepare(key: jax.Array, image: Any, config: Config) -> Prepared:
    """Checks an image and chooses its crops; arguments as of `estimate_kernel`."""
    if config.estimator == "spectral":
        unit = to_unit(from_array(image))
        to_gray(unit)
        return Prepared(unit, (), key, key)
    image = training_image(image, config)
    sides = (config.generator_crop, config.discriminator_crop)
    maps = crops.probability_maps(image, *sides)

    def training(key: jax.Array) -> Prepared:
        init_key, crop_key, train_key = jax.random.split(key, 3)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(crop_key)))
        count = config.iterations * config.crops
        generator, discriminator = (
            crops.sample_corners(rng, probability, side, count)
            for probability, side in zip(maps, sides, strict=True)
        )
        return Prepared(image, (generator, discriminator), init_key, train_key)

    # Far from 0, 1 and 2, which give the same keys as split(key, 3).
    others = (jax.random.fold_in(key, 1000 + i) for i in range(1, config.restarts))
    return training(key)._replace(restarts=tuple(training(k) for k in others))


def find(
    prepared: Sequence[Prepared],
    config: Config,
    *,
    vectorised: bool | None = None,
    progress: Progress | None = None,
) -> list[KernelEstimate]:
    """The kernels of prepared images; see `estimate_kernels`."""
    tell: Progress = progress or (lambda *_: None)
    if config.estimator == "spectral":
        return map_images(
            lambda row, _: estimate_spectral(prepared[row].image, scale=config.scale),
            len(prepared),
            tell,
        )
    rows = [row for first in prepared for row in (first, *first.restarts)]
    each = len(rows) // len(prepared)
    done = [0] * len(rows)
    telling = threading.Lock()  # One after the other, or steps would seem to go back.

    def tell_of_image(row: int, step: int, losses: dict[str, float]) -> None:
        image = row // each
        with telling:
            done[row] = step
            tell(image, sum(done[image * each : (image + 1) * each]) // each, losses)

    def one(row: int, tell: Progress) -> KernelEstimate:
        def of_row(_: int, step: int, losses: dict[str, float]) -> None:
            tell(row, step, losses)

        return train([rows[row]], config, False, of_row)[0]

    if vectorised is None:
        vectorised = jax.default_backend() != "cpu" and len(rows) > 1
    if vectorised:
        found = train(rows, config, True, tell_of_image)
    else:
        found = map_images(one, len(rows), tell_of_image)

    def best(image: int, _: Progress) -> KernelEstimate:
        restarts = found[image * each : (image + 1) * each]
        return _most_trusted(prepared[image], restarts, config)

    return map_images(best, len(prepared), tell)


def _most_trusted(
    prepared: Prepared, restarts: Sequence[KernelEstimate], config: Config
) -> KernelEstimate:
    """Of KernelGAN's estimates one, with what the spectrum says of it.

    It is one that converged, if any did, and of these the one of the least expected
    error.
    """
    gray = 255 * luma(prepared.image).astype(np.float64)
    try:
        evidence = analyse(gray, scale=config.scale).evidence
    except ValueError:  # The spectrum has nothing to say.
        return max(restarts, key=lambda found: found.converged)
    noise = channel_noise(evidence, prepared.image)

    def judged(found: KernelEstimate) -> KernelEstimate:
        confidence = judge(found.wanted, evidence, scale=config.scale)
        if not found.converged:
            confidence = confidence._replace(level="low", reason=found.reason)
        return found._replace(confidence=confidence, noise=noise)

    def trust(found: KernelEstimate) -> tuple[bool, float]:
        assert found.confidence is not None
        return found.converged, found.confidence.kernel_psnr

    return max((judged(found) for found in restarts), key=trust)
