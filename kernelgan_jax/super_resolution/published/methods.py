"""The methods with networks of others: compiled, on tiles, with files read once."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from kernelgan_jax import kernels, programs
from kernelgan_jax.estimate import Progress, ProgressCallback
from kernelgan_jax.super_resolution.closed_form import padded
from kernelgan_jax.super_resolution.deep_wiener.request import added_noise_std
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.super_resolution.published import onnx_network, residual
from kernelgan_jax.super_resolution.published import rdn as rdn_network
from kernelgan_jax.super_resolution.published import srmd as srmd_network
from kernelgan_jax.super_resolution.published import usrnet as usrnet_network
from kernelgan_jax.super_resolution.published.config import WeightsConfig
from kernelgan_jax.super_resolution.tiles import apply_tiled
from kernelgan_jax.super_resolution.weight_archives import read_once

TILE = 512
"""Side of a tile with its margins, LR pixels."""

MARGIN = 40
"""Margin of a tile, LR pixels: how far SRMD and RDN of ten blocks see."""

Restore = Callable[[np.ndarray], Any]


def _usrnet_of(image: np.ndarray, planned: Plan) -> Restore:
    """USRNet with the kernel as it is, however uncertain, as published."""
    (network,) = networks(planned.config, planned.scale)
    noise = max(added_noise_std(planned.noise_std), planned.config.noise_std)
    room = min(kernels.frame_size(planned.scale), planned.scale * min(image.shape[:2]))
    kernel = planned.stages[-1].aligned_kernel(image_shape=image.shape)
    framed = padded(kernel, room)
    run = _usrnet(network.denoiser, planned.scale)
    weights = network.params, network.hyper
    return lambda tile: run(weights, tile, framed, np.float32(noise))


def _srmd_of(image: np.ndarray, planned: Plan) -> Restore:
    """SRMD or SRMDNF."""
    del image
    weights, pca = networks(planned.config, planned.scale)
    noise = added_noise_std(planned.noise_std)
    kernel = planned.stages[-1].aligned_kernel()
    numbers = srmd_network.code(kernel, pca, scale=planned.scale)
    run = _srmd(weights.network, weights.takes_noise)
    return lambda tile: run(weights.params, tile, numbers, np.float32(noise))


def _plain_of(image: np.ndarray, planned: Plan) -> Restore:
    """A network that is given the image alone."""
    del image
    (weights,) = networks(planned.config, planned.scale)
    run = _plain(weights.network)
    return lambda tile: run(weights.params, tile)


def _onnx_of(image: np.ndarray, planned: Plan) -> Restore:
    """A network in a file of ONNX, which uses no kernel."""
    del image
    (weights,) = networks(planned.config, planned.scale)
    peak = planned.config.peak
    return lambda tile: onnx_network.apply(weights, tile, peak=peak)


_NETWORKS: dict[str, Callable[[np.ndarray, Plan], Restore]] = {
    "usrnet": _usrnet_of,
    "srmd": _srmd_of,
    "rdn": _plain_of,
    "edsr": _plain_of,
    "rcan": _plain_of,
    "onnx": _onnx_of,
}
"""What enlarges the tiles of an image, by the names of the methods."""


def enlarge(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    plans: Sequence[Plan],
    *,
    progress: ProgressCallback | None = None,
) -> list[np.ndarray]:
    """Enlarges images in colour; gray ones become colour and back. See `Enlarge`."""
    del keys
    results = []
    for index, (image, planned) in enumerate(zip(images, plans, strict=True)):
        colour = np.broadcast_to(image, (*image.shape[:2], 3))
        restore = _NETWORKS[planned.method](colour, planned)
        found = apply_tiled(
            restore, colour, scale=planned.scale, margin=MARGIN, tile=TILE
        )
        if image.shape[2] == 1:
            found = found.mean(-1, keepdims=True)
        results.append(np.clip(found, *planned.bounds))
        if progress is not None:
            progress(Progress(index, planned.method, 1, 1))
    return results


# --- Compiled networks ---


@functools.lru_cache(maxsize=8)
def _usrnet(denoiser: usrnet_network.Denoiser, scale: int) -> Callable[..., jax.Array]:
    # Of these networks it alone has Fourier transforms.
    @functools.partial(jax.jit, compiler_options=programs.compiler_options())
    def run(weights: Any, image: Any, kernel: Any, noise_std: Any) -> jax.Array:
        network = usrnet_network.USRNet(denoiser, *weights)
        return usrnet_network.apply(
            network, image, kernel, scale=scale, noise_std=noise_std
        )

    return run


@functools.lru_cache(maxsize=8)
def _srmd(network: srmd_network.SRMD, takes_noise: bool) -> Callable[..., jax.Array]:
    @jax.jit
    def run(params: Any, image: Any, numbers: Any, noise_std: Any) -> jax.Array:
        weights = srmd_network.Weights(network, params, takes_noise)
        return srmd_network.apply(weights, image, numbers, noise_std)

    return run


@functools.lru_cache(maxsize=8)
def _plain(network: nn.Module) -> Callable[..., jax.Array]:
    @jax.jit
    def run(params: Any, image: Any) -> jax.Array:
        return network.apply({"params": params}, image)  # type: ignore[return-value]

    return run


# --- Files ---

_LOADERS: dict[str, dict[str, Callable[[Path], Any]]] = {
    "onnx": {"weights": onnx_network.load},
    "edsr": {"weights": functools.partial(residual.load, network="EDSR")},
    "rcan": {"weights": functools.partial(residual.load, network="RCAN")},
    "rdn": {"weights": rdn_network.load},
    "usrnet": {"weights": usrnet_network.load},
    "srmd": {"weights": srmd_network.load, "pca": srmd_network.load_pca},
}
"""What reads the files of a method's settings."""


def networks(config: WeightsConfig, scale: int) -> list[Any]:
    """What the files of a method's settings hold, read once for all images.

    Raises:
      ImportError: If a package is missing that runs it.
      ValueError: If the settings name no file, or it cannot be read, holds something
        else or is for another scale.
    """
    method = config.method()
    found = []
    for name, load in _LOADERS[method].items():
        file, setting = getattr(config, name), f"config.{method}.{name}"
        if not file:
            raise ValueError(
                f"{setting} is {file!r}; it must be a file, as none comes with the "
                "package"
            )
        read = read_once(load, file, setting=setting)
        trained = getattr(getattr(read, "network", None), "scale", scale)
        if trained != scale:
            raise ValueError(f"{file}: is for scale {trained}, not {scale}")
        found.append(read)
    return found
