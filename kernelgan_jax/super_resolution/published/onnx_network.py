"""A network of anybody's in a file of ONNX, which ONNX Runtime runs.

The network takes one image, `1 x C x H x W` with C = 1 or 3 and any height and width,
and returns it enlarged. The scale is found by a run on a small gray image. A network of
one channel enlarges red, green and blue one by one.

A file of ONNX is a list of numerical operators with their weights; it cannot name
programs or other files. ONNX Runtime is in the extra `onnx`.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax.super_resolution.published.files import read_bytes

PROBE = 64
"""Side of the image that shows the scale, pixels."""

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class Network(NamedTuple):
    """What a file says of its network."""

    scale: int
    channels: int
    """1 or 3."""
    dtype: Any


class Weights(NamedTuple):
    """The network, ready to run."""

    path: Path
    network: Network
    session: Any
    """An `onnxruntime.InferenceSession`."""


def load(path: Path) -> Weights:
    """Reads a network and runs it once.

    Raises:
      ImportError: If ONNX Runtime is not installed.
      ValueError: If the file holds no network for images.
      OSError: If it cannot be read.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"{path}: needs ONNX Runtime: pip install 'kernelgan-jax[onnx]'"
        ) from error
    data = read_bytes(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # What goes wrong comes as an exception.
    try:
        session = onnxruntime.InferenceSession(
            data, options, providers=onnxruntime.get_available_providers()
        )
    except Exception as error:  # A damaged file makes the reader raise anything.
        raise ValueError(
            f"{path}: is not a file of ONNX that can be run ({_one_line(error)})"
        ) from error
    channels, dtype = _input(path, session)
    found = Weights(path, Network(1, channels, dtype), session)
    probe = np.full((PROBE, PROBE, channels), 0.5, np.float32)
    shape = apply(found, probe, peak=1.0).shape
    scale = shape[0] // PROBE
    if shape != (scale * PROBE, scale * PROBE, channels) or scale < 1:
        raise ValueError(
            f"{path}: makes {shape[1]}x{shape[0]}x{shape[2]} pixels of {PROBE}x{PROBE}x"
            f"{channels}; it must enlarge both sides by a whole number"
        )
    return found._replace(network=Network(scale, channels, dtype))


def apply(weights: Weights, image: np.ndarray, *, peak: float) -> np.ndarray:
    """Enlarges an image.

    Args:
      weights: As `load` gives them.
      image: `H x W x C`, floating point in [0, 1], C a multiple of the network's.
      peak: White in the network's input and output.

    Returns:
      `sH x sW x C` float32, s the network's scale, not clipped.

    Raises:
      ValueError: If the network fails on it, or gives something else.
    """
    network, session = weights.network, weights.session
    planes = (peak * image.transpose(2, 0, 1)).astype(network.dtype)
    parts = planes.reshape(-1, 1, network.channels, *image.shape[:2])
    name = session.get_inputs()[0].name
    try:
        results = [session.run(None, {name: part})[0][0] for part in parts]
        found = np.concatenate(results).transpose(1, 2, 0)
    except Exception as error:  # The runtime raises exceptions of its own.
        height, width = image.shape[:2]
        raise ValueError(
            f"{weights.path}: fails on {width}x{height} pixels ({_one_line(error)})"
        ) from error
    if not np.isfinite(found).all():
        raise ValueError(f"{weights.path}: gives values that are not finite")
    return (found / peak).astype(np.float32)


def _input(path: Path, session: Any) -> tuple[int, Any]:
    """Channels and type of a network's input, which must be one image."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs) or "nothing"
        raise ValueError(f"{path}: takes {names}; it must take one image alone")
    ((shape, kind),) = ((each.shape, each.type) for each in inputs)
    if len(shape) != 4 or shape[0] not in (1, None) and isinstance(shape[0], int):
        raise ValueError(
            f"{path}: takes an array of shape {shape}; it must be 1 x C x H x W"
        )
    channels = shape[1] if isinstance(shape[1], int) else 3
    if channels not in (1, 3):
        raise ValueError(f"{path}: takes {channels} channels; it must be 1 or 3")
    if any(isinstance(side, int) for side in shape[2:]):
        raise ValueError(
            f"{path}: takes images of {shape[3]}x{shape[2]} pixels alone; export it "
            "with free height and width"
        )
    if kind not in _TYPES:
        raise ValueError(f"{path}: takes {kind}; it must be {' or '.join(_TYPES)}")
    return channels, _TYPES[kind]


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 120 else text[:117] + "..."
