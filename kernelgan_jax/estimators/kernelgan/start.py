"""Where KernelGAN's two networks start: files of starts, and the meta-learned one.

A start in the sense of MetaKernelGAN (Lee et al., WACV 2024): weights from which few
steps lead to the kernel of an image. `meta_learning.py` trains it.
"""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.kernelgan.networks import PatchDiscriminator


class Start(NamedTuple):
    """Weights of both networks, as `State` has them."""

    generator: Any
    discriminator: Any
    singular_vectors: Any


def save(path: Path, start: Start) -> None:
    """Writes a start to a file with the suffix `.npz`, as float16."""
    flat = traverse_util.flatten_dict(start._asdict(), sep="/")
    arrays: dict[str, Any] = {n: np.asarray(v, np.float16) for n, v in flat.items()}
    np.savez_compressed(path, **arrays)


def load(path: Path) -> Start:
    """Reads a start that `save` wrote; weights become float32.

    Raises:
      ValueError: If the file holds no start.
      OSError: If it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name].astype(np.float32) for name in file.files}
        return Start(**traverse_util.unflatten_dict(arrays, sep="/"))
    except OSError:
        raise
    except Exception as error:  # A damaged file makes the reader raise anything.
        raise ValueError(f"{path}: holds no start of KernelGAN") from error


@functools.cache
def meta_learned() -> Start:
    """The start that comes with the package, for networks of the paper's sizes."""
    return load(Path(__file__).parent / "start.npz")


def variables(
    key: jax.Array, discriminator: PatchDiscriminator, config: KernelGANConfig
) -> dict[str, Any]:
    """The variables that the discriminator starts with, by the names of collections."""
    if config.start == "meta":
        _, params, vectors = meta_learned()
        return {"params": params, "singular_vectors": vectors}
    size = config.discriminator_crop
    return dict(discriminator.init(key, jnp.zeros((1, 3, size, size))))
