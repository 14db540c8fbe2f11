"""The files of networks' weights that a run names: read, and their digests kept."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from kernelgan_jax.app import files
from kernelgan_jax.app.configuration import UsageError, name_flags
from kernelgan_jax.config import Config, group_name
from kernelgan_jax.super_resolution.deep_wiener.config import DeepWienerConfig
from kernelgan_jax.super_resolution.published.config import WeightsConfig
from kernelgan_jax.super_resolution.registry import METHODS

Settings = DeepWienerConfig | WeightsConfig
"""Those of a network."""


def needed(method: str) -> bool:
    """Whether a method has no weights of its own.

    Example:
      >>> needed("usrnet"), needed("deep_wiener"), needed("none")
      (True, False, False)
    """
    group = METHODS[method].config if method in METHODS else None
    return group is not None and issubclass(group, WeightsConfig)


def for_scale(config: Settings, scale: int) -> Settings:
    """The settings of a network with the files of a scale and their digest.

    The files are read. If the network is the package's, the settings stay as they are.

    Raises:
      ValueError: If a file is not named, cannot be read, is no regular file or holds
        something else, or a package is missing that runs it.
    """
    try:
        if isinstance(config, WeightsConfig):
            return _published(config, scale)
        return _own(config, scale) if config.weights else config
    except ImportError as error:
        raise ValueError(str(error)) from error
    except OSError as error:
        reason = error.strerror or error
        text = f"{error.filename}: {reason}" if error.filename else f"{reason}"
        raise ValueError(text) from error


def with_digest(config: Config) -> Config:
    """The config of a run with the digest of its files of weights, which are read.

    Raises:
      UsageError: If a file is missing or cannot be used.
    """
    settings, flag = config.sr_config, f"--sr={config.sr}"
    if isinstance(settings, DeepWienerConfig):
        flag = "--sr_weights"
    elif not isinstance(settings, WeightsConfig):
        return config
    elif not settings.weights:
        raise UsageError(
            f"{flag} needs --sr_weights=FILE, as no weights of it come with the package"
        )
    try:
        settings = for_scale(settings, config.scale)
    except ValueError as error:
        raise UsageError(f"{flag}: {name_flags(str(error))}") from error
    changed: dict[str, Any] = {group_name(type(settings)): settings}
    return dataclasses.replace(config, **changed)


def _published(config: WeightsConfig, scale: int) -> WeightsConfig:
    """The settings of a method that comes without weights."""
    from kernelgan_jax.super_resolution.published import methods
    from kernelgan_jax.super_resolution.weight_archives import read_if_changed

    config, _ = config.for_image(scale=scale, noise_std=0.0, image_shape=None)
    digest = hashlib.sha256()
    for path in map(Path, filter(None, config.files())):
        # A model.json has its weights in other files beside it.
        beside = sorted(path.parent.glob("*.bin")) if path.suffix == ".json" else []
        for file in (path, *beside):
            digest.update(read_if_changed(_digest, file).encode())
    methods.networks(config, scale)
    return dataclasses.replace(config, weights_digest=digest.hexdigest())


def _own(config: DeepWienerConfig, scale: int) -> DeepWienerConfig:
    """The settings of our network, with weights that the user has trained."""
    from kernelgan_jax.super_resolution.deep_wiener import weights
    from kernelgan_jax.super_resolution.weight_archives import read_if_changed

    path = Path(config.weights)
    digest = read_if_changed(_digest, path)
    scales = read_if_changed(weights.load, path).about.get("scales", [scale])
    if scale not in scales:
        trained = ", ".join(map(str, scales))
        raise ValueError(
            f"{path}: was trained for scale {trained}, not for {scale}; use other "
            "weights or the method wiener"
        )
    return dataclasses.replace(config, weights_digest=digest)


def _digest(path: Path) -> str:
    # Opens regular files only, so that the network's reader does as well.
    return files.content(path).sha256
