"""The methods `deep_wiener` and `deep_wiener_fast`: the trained network, in two sizes,
with the weights of the package."""

import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from kernelgan_jax.estimate import Progress, ProgressCallback
from kernelgan_jax.super_resolution.deep_wiener.config import DeepWienerConfig
from kernelgan_jax.super_resolution.deep_wiener.enlarge import (
    prepare as prepare_program,
)
from kernelgan_jax.super_resolution.deep_wiener.network import FAST, MAX_KERNEL
from kernelgan_jax.super_resolution.deep_wiener.refinement import (
    can_be_refitted,
    refit,
    window,
)
from kernelgan_jax.super_resolution.deep_wiener.request import Request, added_noise_std
from kernelgan_jax.super_resolution.deep_wiener.self_ensemble import enlarge_averaged
from kernelgan_jax.super_resolution.deep_wiener.weights import Weights, load
from kernelgan_jax.super_resolution.filling import fill_unusable
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.super_resolution.stage import Stage, cropped
from kernelgan_jax.super_resolution.weight_archives import read_once
from kernelgan_jax.usable_pixels import UsablePixels

CERTAINTY = 0.7
"""What is left of the uncertainty of a kernel's width where it was refitted: half of
the variance."""

WEIGHTS = Path(__file__).parent / "weights.npz"
"""The file of the package's weights."""

FAST_WEIGHTS = Path(__file__).parent / "fast_weights.npz"
"""The same of `deep_wiener_fast`; the network is `network.FAST`."""


def enlarge(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    plans: Sequence[Plan],
    *,
    progress: ProgressCallback | None = None,
) -> list[np.ndarray]:
    """Enlarges images with the trained network; see `Enlarge`.

    The network is given the noise, the strength of JPEG and the uncertainty of the
    kernel.
    """
    del keys
    results: list[np.ndarray] = [np.empty(0)] * len(images)
    settings = [(p.method, p.config.weights, p.config.self_ensemble) for p in plans]
    for method, file, views in sorted(set(settings)):
        chosen = [i for i, own in enumerate(settings) if own == (method, file, views)]
        requests = [_request(images[i], plans[i]) for i in chosen]
        found = enlarge_averaged(_weights(method, file), requests, views=views)
        for index, result in zip(chosen, found, strict=True):
            results[index] = result
            if progress is not None:
                progress(Progress(index, method, 1, 1))
    return results


def prepare(
    method: str, image_shape: Sequence[int], *, scale: int, config: DeepWienerConfig
) -> None:
    """Loads the weights, and loads or compiles the program for images of a shape."""
    prepare_program(_weights(method, config.weights), image_shape, scale=scale)


def refine(image: np.ndarray, planned: Plan, usable: UsablePixels) -> Plan:
    """Refits an estimated kernel with the picture; see `refinement.py`.

    Only the part of the image that is used is filled as its kernel would have blurred
    it, so that a large image is filled once: with the refitted kernel.

    Args:
      image: As in `Enlarge`, filled from its neighbours.
      planned: As in `Enlarge`, with an estimate's kernel.

    Returns:
      The plan, with another kernel, less uncertainty and a note; as it is if no other
      kernel explains the image better.
    """
    place = window(image)
    asked = _request(np.ascontiguousarray(image[place]), planned)
    if not can_be_refitted(asked):
        return planned
    part = UsablePixels(*(each[place] for each in usable))
    seen = None if planned.evidence is None else planned.evidence.unusable
    if seen is not None and seen.shape != image.shape[:2]:
        seen = None  # The estimate is another image's.
    masks = [part.unusable, None if seen is None else seen[place]]
    known = [mask for mask in masks if mask is not None]
    asked = asked._replace(
        image=fill_unusable(asked.image, planned, part),
        unusable=np.logical_or.reduce(known) if known else None,
    )
    weights = _weights("deep_wiener", planned.config.weights)
    if weights.network == FAST:
        # Its pictures are too smooth: kernels fitted to them made results worse.
        weights = pretrained()
    kernel = refit(weights, asked)
    if kernel is None:
        return planned
    return planned._replace(
        stages=(Stage(planned.scale, kernel),),
        kernel_std=CERTAINTY * planned.kernel_std,
        notes=("with its kernel refitted to the picture", *planned.notes),
    )


def _request(image: np.ndarray, planned: Plan) -> Request:
    """What the network is given of an image."""
    evidence = planned.evidence
    kernel = planned.stages[-1].aligned_kernel(image_shape=image.shape)
    return Request(
        image,
        cropped(kernel, (MAX_KERNEL, MAX_KERNEL)),
        planned.scale,
        noise_std=added_noise_std(planned.noise_std),
        kernel_std=max(planned.kernel_std, planned.config.kernel_std),
        jpeg=0.0 if evidence is None else evidence.jpeg_strength,
        strength=planned.config.strength,
        spectrum=None if evidence is None else evidence.spectrum,
        bounds=planned.bounds,
    )


def _weights(method: str, file: str) -> Weights:
    """The weights of a user's file, read once for all images, or the package's."""
    if not file:
        return pretrained(fast=method == "deep_wiener_fast")
    weights: Weights = read_once(load, file, setting="config.deep_wiener.weights")
    return weights


@functools.cache
def pretrained(*, fast: bool = False) -> Weights:
    """The weights that come with the package, with their network; read once.

    Args:
      fast: Whether those of the smaller network, that of `deep_wiener_fast`.

    Example:
      >>> from kernelgan_jax.super_resolution import deep_wiener
      >>> weights = deep_wiener.pretrained()
      >>> weights.about["scales"]
      [1, 2, 3, 4]
      >>> deep_wiener.pretrained(fast=True).about["scales"]
      [1, 2, 3, 4]
    """
    file = FAST_WEIGHTS if fast else WEIGHTS
    return load(file, check=False)  # a test does; it takes most of a second
