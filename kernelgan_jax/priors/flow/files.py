"""TODO docstring."""

import functools
import zipfile
from pathlib import Path

import numpy as np
from flax import traverse_util

from kernelgan_jax.priors.flow.couplings import Flow


def save(path: str | Path, flow: Flow) -> None:
    """Writes a flow to an `.npz` file, under exactly that name."""
    arrays = {name: getattr(flow, name) for name in _FIXED}
    arrays |= traverse_util.flatten_dict(flow.params, sep="/")
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)


def load(path: str | Path) -> Flow:
    """Reads a flow that `save` wrote.

    Raises:
      ValueError: If the file holds no flow.
      OSError: If it cannot be read.
    """
    try:
        with np.load(path) as file:
            arrays = dict(file)
        shape, scale, mean, basis, deviations = (arrays.pop(n) for n in _FIXED)
        params = traverse_util.unflatten_dict(arrays, sep="/")
        params["scale_0"]["Dense_0"]["bias"]  # or there are no couplings
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} holds no flow; save writes one ({error})") from error
    sides = (int(shape[0]), int(shape[1]))
    return Flow(sides, int(scale), mean, basis, deviations, params)


_FIXED = ("shape", "scale", "mean", "basis", "deviations")


@functools.cache
def pretrained() -> Flow:
    """The flow that comes with the package: see `kernelgan_jax.prior.flow`."""
    return load(Path(__file__).parent / "weights_x2.npz")
