"""The files of networks' weights that a run names: read, and their digests kept."""

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any

from kernelgan_jax.app import files
from kernelgan_jax.app.configuration import UsageError
from kernelgan_jax.config import Config
from kernelgan_jax.super_resolution.deep_wiener.config import DeepWienerConfig
from kernelgan_jax.super_resolution.published.config import WeightsConfig
from kernelgan_jax.super_resolution.registry import METHODS


def needed(method: str) -> bool:
    """Whether a method has no weights of its own.

    Example:
      >>> needed("usrnet"), needed("deep_wiener"), needed("none")
      (True, False, False)
    """
    group = METHODS[method].config if method in METHODS else None
    return group is not None and issubclass(group, WeightsConfig)


@functools.lru_cache(maxsize=32)
def for_scale(config: WeightsConfig, scale: int) -> WeightsConfig:
    """The settings of such a method with the files of a scale and their digest.

    Raises:
      ValueError: If a file is not named, cannot be read, is no regular file or holds
        something else, or a package is missing that runs it.
    """
    from kernelgan_jax.super_resolution.published import methods

    config, _ = config.for_image(scale=scale, noise_std=0.0, image_shape=None)
    digest = hashlib.sha256()
    try:
        for path in map(Path, filter(None, config.files())):
            # A model.json has its weights in other files beside it.
            beside = sorted(path.parent.glob("*.bin")) if path.suffix == ".json" else []
            for file in (path, *beside):
                # Opens regular files only, so that the network's reader does as well.
                digest.update(files.content(file).sha256.encode())
        methods.networks(config, scale)
    except ImportError as error:
        raise ValueError(str(error)) from error
    except OSError as error:
        reason = error.strerror or error
        text = f"{error.filename}: {reason}" if error.filename else f"{reason}"
        raise ValueError(text) from error
    return dataclasses.replace(config, weights_digest=digest.hexdigest())


def with_digests(config: Config) -> Config:
    """The config of a run with the digests of its files of weights, which are read.

    Raises:
      UsageError: If a file is missing or cannot be used.
    """
    changed: dict[str, Any] = {}
    if needed(config.sr):
        changed[config.sr] = _needed(config)
    elif config.deep_wiener.weights:
        changed["deep_wiener"] = _own(config)
    return dataclasses.replace(config, **changed)


def _needed(config: Config) -> WeightsConfig:
    """The settings of a method that needs weights."""
    given = config.sr_config
    if not given.weights:
        raise UsageError(
            f"--sr={config.sr} needs --sr_weights=FILE, as no weights of it come with "
            "the package"
        )
    try:
        return for_scale(given, config.scale)
    except ValueError as error:
        raise UsageError(f"--sr={config.sr}: {error}") from error


def _own(config: Config) -> DeepWienerConfig:
    """The settings of our network, with weights that the user has trained."""
    from kernelgan_jax.super_resolution.deep_wiener import weights

    path = Path(config.deep_wiener.weights)
    try:
        digest = files.content(path).sha256  # Opens regular files only.
        scales = weights.load(path).about.get("scales", [config.scale])
    except OSError as error:
        raise UsageError(f"--sr_weights: {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"--sr_weights: {error}") from error
    if config.scale not in scales:
        trained = ", ".join(map(str, scales))
        raise UsageError(
            f"--sr_weights: {path}: was trained for scale {trained}, not for "
            f"{config.scale}; use other weights or --sr=wiener"
        )
    return dataclasses.replace(config.deep_wiener, weights_digest=digest)
