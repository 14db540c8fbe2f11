"""SRMD and SRMDNF: a plain convolutional network that is given the kernel as 15 planes.

Twelve convolutions of 3 x 3 with ReLU between them, then a pixel shuffle. The input is
the LR image, 15 numbers of the kernel and, for SRMD, the noise, each as a plane of
equal values. SRMDNF (noise-free) has no plane for the noise. The degradation that it
was trained for is a blur before a bicubic downscaling, so the SR kernel is replaced by
the blur that is nearest to it (`kernel_export`).

The files are those of ncnn: weights as float16, without names or shapes. The number of
channels and the scale follow from the file's length.

References:
  Zhang, Zuo, Zhang, "Learning a Single Convolutional Super-Resolution Network for
  Multiple Degradations", CVPR 2018.
"""

from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.kernel_export import SRMD_SIZE, export
from kernelgan_jax.super_resolution.published.files import hwio, read_bytes
from kernelgan_jax.super_resolution.published.residual import pixel_shuffle

LAYERS = 12
CODE = 15
"""Numbers of a kernel."""

TAG = 0x01306B47
"""What stands before float16 weights in a file of ncnn."""

MAX_CHANNELS = 1024


class SRMD(nn.Module):
    """The network, for `H x W x (3 + 15 + 1)`."""

    channels: int
    scale: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The enlarged image, `scale*H x scale*W x 3`."""
        for layer in range(LAYERS):
            last = layer == LAYERS - 1
            out = 3 * self.scale**2 if last else self.channels
            x = nn.Conv(out, (3, 3), name=f"conv_{layer}")(x)
            x = x if last else nn.relu(x)
        return pixel_shuffle(x, self.scale)


class Weights(NamedTuple):
    """The network with its weights."""

    network: SRMD
    params: Any
    takes_noise: bool
    """False for SRMDNF."""


def load(path: Path) -> Weights:
    """Reads a `.bin` of ncnn.

    Raises:
      ValueError: If it holds neither SRMD nor SRMDNF.
      OSError: If it cannot be read.
    """
    data = read_bytes(path)
    form = _form(len(data))
    tag = np.array(TAG, "<u4").tobytes()
    if form is None or not data.startswith(tag):
        raise ValueError(
            f"{path}: is not a file of SRMD; it must be the .bin of ncnn with float16 "
            "weights, such as srmdnf_x2.bin"
        )
    inputs, channels, scale = form
    params: dict[str, Any] = {}
    at = 0
    for layer, (into, out) in enumerate(_sizes(inputs, channels, scale)):
        if data[at : at + 4] != tag:
            raise ValueError(f"{path}: is damaged; layer {layer} has no weights")
        count = 9 * into * out
        weight = np.frombuffer(data, "<f2", count, at + 4).astype(np.float32)
        at += 4 + _padded(2 * count)
        bias = np.frombuffer(data, "<f4", out, at)
        at += 4 * out
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise ValueError(f"{path}: layer {layer} has weights that are not finite")
        params[f"conv_{layer}"] = {
            "kernel": jnp.asarray(hwio(weight.reshape(out, into, 3, 3))),
            "bias": jnp.asarray(bias),
        }
    return Weights(SRMD(channels, scale), params, inputs == 3 + CODE + 1)


def load_pca(path: Path) -> np.ndarray:
    """Reads the matrix that makes 15 numbers of a kernel, `15 x 225` float32.

    Raises:
      ValueError: If the file holds no such matrix.
      OSError: If it cannot be read.
    """
    try:
        matrix = np.load(path, allow_pickle=False)
        shape = matrix.shape
        fits = matrix.dtype.kind == "f" and np.isfinite(matrix).all()
    except OSError:
        raise
    except Exception as error:  # A damaged file makes the reader raise anything.
        raise ValueError(f"{path}: is no .npy of an array") from error
    if shape != (CODE, SRMD_SIZE**2) or not fits:
        raise ValueError(
            f"{path}: has an array of shape {shape}; it must be {CODE} x {SRMD_SIZE**2}"
            " finite numbers"
        )
    return np.asarray(matrix, np.float32)


def code(kernel: np.ndarray, pca: np.ndarray, *, scale: int) -> np.ndarray:
    """The 15 numbers of an SR kernel.

    Args:
      kernel: `h x w` correlation kernel, aligned for `scale`.
      pca: As `load_pca` gives it; it multiplies the kernel's columns one by one.
      scale: Positive integer.
    """
    blur = export(kernel, to="srmd", scale=scale)
    return (pca @ blur.ravel(order="F")).astype(np.float32)


def apply(
    weights: Weights, image: jax.Array, numbers: jax.Array, noise_std: jax.Array | float
) -> jax.Array:
    """Enlarges an image.

    Args:
      weights: As `load` gives them.
      image: `H x W x 3`, floating point in [0, 1].
      numbers: Those of the kernel, as `code` gives them.
      noise_std: Standard deviation of the noise, as a fraction of the range; SRMDNF
        does not read it.

    Returns:
      `sH x sW x 3`, s the network's scale, not clipped.
    """
    known = jnp.asarray(numbers, jnp.float32)
    if weights.takes_noise:
        known = jnp.append(known, jnp.asarray(noise_std, jnp.float32))
    planes = jnp.broadcast_to(known, (*image.shape[:2], len(known)))
    seen = jnp.concatenate([image, planes], -1)
    return weights.network.apply({"params": weights.params}, seen)  # type: ignore[return-value]


def _sizes(inputs: int, channels: int, scale: int) -> list[tuple[int, int]]:
    """Input and output channels of each layer."""
    widths = [inputs, *[channels] * (LAYERS - 1), 3 * scale**2]
    return list(zip(widths, widths[1:], strict=False))


def _padded(size: int) -> int:
    return -(-size // 4) * 4


def _form(length: int) -> tuple[int, int, int] | None:
    """Input channels, channels and scale of a file of this many bytes."""
    for inputs in (3 + CODE, 3 + CODE + 1):
        for scale in (1, 2, 3, 4):
            for channels in range(1, MAX_CHANNELS):
                sizes = _sizes(inputs, channels, scale)
                found = sum(4 + _padded(18 * i * o) + 4 * o for i, o in sizes)
                if found == length:
                    return inputs, channels, scale
                if found > length:
                    break
    return None
