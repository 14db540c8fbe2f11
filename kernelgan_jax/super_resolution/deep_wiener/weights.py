"""Files of network weights: NumPy archives, float16, with the shape of the network."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from kernelgan_jax.super_resolution.deep_wiener.model import init
from kernelgan_jax.super_resolution.deep_wiener.network import DeepWiener, Params
from kernelgan_jax.super_resolution.weight_archives import read_arrays

VERSION = 3
"""Version of the network's form; files of another one are refused."""

FORM = ("channels", "coarse_channels", "stages", "blocks")
"""The network's own settings, which a file holds."""

MAX_BYTES = 2**28
"""Largest size of all weights of a file."""


class Weights(NamedTuple):
    """A trained network."""

    network: DeepWiener
    params: Params
    about: dict[str, Any]
    """How it was trained."""

    def __repr__(self) -> str:
        """How it was trained, without the weights, which would fill a screen."""
        return f"Weights(about={self.about!r})"


def save(path: Path, weights: Weights) -> None:
    """Writes weights as float16, replacing the file in one step.

    Raises:
      OSError: If the file cannot be written.
    """
    network = weights.network
    header = {
        "version": VERSION,
        **{key: getattr(network, key) for key in FORM},
        "about": weights.about,
    }
    flat = traverse_util.flatten_dict(weights.params, sep="/")
    arrays: dict[str, Any] = {n: np.asarray(v, np.float16) for n, v in flat.items()}
    part = path.with_name(path.name + ".part")
    archive = io.BytesIO()
    np.savez_compressed(archive, header=np.array(json.dumps(header)), **arrays)
    part.write_bytes(archive.getvalue())
    os.replace(part, path)


def load(path: Path, *, check: bool = True) -> Weights:
    """Reads weights; they become float32.

    Args:
      path: The file.
      check: Whether all weights and their shapes are compared with the network's.

    Raises:
      ValueError: If the file is no file of weights, or of another version or shape.
      OSError: If it cannot be read.
    """
    try:
        arrays = read_arrays(path, max_bytes=MAX_BYTES)
        header = dict(json.loads(str(arrays.pop("header"))))
        version = header["version"]
        if version == VERSION:
            form: dict[str, Any] = {key: int(header[key]) for key in FORM}
            about = dict(header["about"])
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: is not a file of network weights") from error
    if version != VERSION:
        raise ValueError(
            f"{path}: has version {version!r} of the network; it must have version "
            f"{VERSION}"
        )
    network = DeepWiener(**form)
    if check:
        _check(path, arrays, network)
    single = {name: array.astype(np.float32) for name, array in arrays.items()}
    params: Params = traverse_util.unflatten_dict(single, sep="/")
    return Weights(network, jax.device_put(params), about)


def _check(path: Path, arrays: dict[str, np.ndarray], network: DeepWiener) -> None:
    """Checks that a file holds the weights of a network, and nothing else."""
    expected = jax.eval_shape(lambda key: init(key, network=network), jax.random.key(0))
    flat = traverse_util.flatten_dict(expected, sep="/")
    shapes = {name: leaf.shape for name, leaf in flat.items()}
    for name, shape in shapes.items():
        if name not in arrays:
            raise ValueError(f"{path}: has no weights {name}")
        if arrays[name].shape != shape:
            raise ValueError(
                f"{path}: weights {name} have shape {arrays[name].shape}; it must be "
                f"{shape}"
            )
    if unknown := sorted(set(arrays) - set(shapes)):
        raise ValueError(f"{path}: has unknown weights {', '.join(unknown[:3])}")
