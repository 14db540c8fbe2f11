"""Files of flows, and the flow that comes with the package."""

import functools
from pathlib import Path

import numpy as np

from kernelgan_jax.priors.flow.couplings import Flow

_FIXED = ("shape", "scale", "mean", "basis", "deviations")
"""Fields of a flow other than the parameters of its couplings."""


def save(path: str | Path, flow: Flow) -> None:
    """Writes a flow to an `.npz` file.

    Args:
      path: Name of the file; no suffix is added.
      flow: The flow.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(f"{folder}/flow.npz", pretrained())
      ...     load(f"{folder}/flow.npz").shape
      (13, 13)
    """
    from flax import traverse_util  # It takes a tenth of a second.

    arrays = {name: getattr(flow, name) for name in _FIXED}
    arrays |= traverse_util.flatten_dict(flow.params, sep="/")
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)


def load(path: str | Path) -> Flow:
    """Reads a flow that `save` wrote.

    Args:
      path: Name of the file.

    Raises:
      ValueError: If the file holds no flow.
      OSError: If it cannot be read.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(f"{folder}/flow.npz", pretrained())
      ...     load(f"{folder}/flow.npz").scale
      2
    """
    from flax import traverse_util

    with open(path, "rb") as opened:
        try:
            with np.load(opened, allow_pickle=False) as file:
                arrays = dict(file)
            shape, scale, mean, basis, deviations = (arrays.pop(n) for n in _FIXED)
            params = traverse_util.unflatten_dict(arrays, sep="/")
            params["scale_0"]["Dense_0"]["bias"]  # or there are no couplings
            sides, scale = (int(shape[0]), int(shape[1])), int(scale)
        except Exception as error:  # A damaged file makes the reader raise anything.
            reason = " ".join(str(error).split())
            message = f"{path} holds no flow; save writes one ({reason})"
            raise ValueError(message) from error
    return Flow(sides, scale, mean, basis, deviations, params)


@functools.cache
def pretrained() -> Flow:
    """The flow that comes with the package: 13 x 13 kernels of scale 2.

    It was trained on anisotropic Gaussians of variances 0.35 to 5 pixels^2 with
    multiplicative noise of up to 25 %.

    Example:
      >>> pretrained().shape, pretrained().scale
      ((13, 13), 2)
    """
    return load(Path(__file__).parent / "weights_x2.npz")
