"""RDN: a residual dense network for images that were downscaled bicubically.

It knows no kernel, and stands for the networks that KernelGAN's paper shows to fail on
other kernels. In each block every convolution sees the results of all before it; a
1 x 1 convolution joins them, and another one joins all blocks. At the end the pixels of
the features are repeated, and one convolution makes the enlarged image of them.

The files are those of TensorFlow.js: `model.json`, and beside it the weights, in 8 bits
each with a step and a least value for each array. The number of blocks, channels and
the scale are those of the file.

References:
  Zhang, Tian, Kong, Zhong, Fu, "Residual Dense Network for Image Super-Resolution",
  CVPR 2018.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.super_resolution.published.files import MAX_BYTES, Layers, read_bytes

NETWORK = "RDN"


class RDN(nn.Module):
    """The network, for `H x W x 3`."""

    scale: int
    channels: int
    growth: int
    """Channels that each convolution of a block adds."""
    blocks: int
    depth: int
    """Convolutions of a block."""
    head: tuple[int, int]
    """Channels of the two convolutions before the last ones."""

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """The enlarged image, `scale*H x scale*W x 3`."""

        def conv(x: jax.Array, out: int, side: int, name: str) -> jax.Array:
            return nn.Conv(out, (side, side), name=name)(x)

        first = conv(image, self.channels, 3, "F_m1")
        x = conv(first, self.channels, 3, "F_0")
        results = []
        for block in range(1, self.blocks + 1):
            seen = x
            for layer in range(1, self.depth + 1):
                new = nn.relu(conv(seen, self.growth, 3, f"F_{block}_{layer}"))
                seen = jnp.concatenate([seen, new], -1)
            x = x + conv(seen, self.channels, 1, f"LFF_{block}")
            results.append(x)
        x = conv(jnp.concatenate(results, -1), self.channels, 1, "GFF_1")
        x = conv(x, self.channels, 3, "GFF_2") + first
        x = nn.relu(conv(x, self.head[0], 5, "UPN1"))
        x = nn.relu(conv(x, self.head[1], 3, "UPN2"))
        x = conv(x, 3 * self.scale**2, 3, "UPN3")
        x = x.repeat(self.scale, 0).repeat(self.scale, 1)
        return conv(x, 3, 3, "SR")


class Weights(NamedTuple):
    """The network with its weights."""

    network: RDN
    params: Any


def load(path: Path) -> Weights:
    """Reads `model.json` of TensorFlow.js and the weights beside it.

    Raises:
      ValueError: If they hold no RDN.
      OSError: If a file cannot be read.
    """
    layers = _read(path)
    blocks = depth = 0
    while f"LFF_{blocks + 1}/kernel" in layers:
        blocks += 1
    while f"F_1_{depth + 1}/kernel" in layers:
        depth += 1
    outputs = {
        name: layers.shape(f"{name}/kernel")[-1]
        for name in ("F_m1", "F_1_1", "UPN1", "UPN2", "UPN3")
    }
    scale = round((outputs["UPN3"] / 3) ** 0.5)
    network = RDN(
        scale,
        outputs["F_m1"],
        outputs["F_1_1"],
        blocks,
        depth,
        (outputs["UPN1"], outputs["UPN2"]),
    )
    empty = jax.ShapeDtypeStruct((1, 1, 3), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), empty)["params"]
    params = {
        name: {
            part: jnp.asarray(layers.take(f"{name}/{part}", leaf.shape))
            for part, leaf in layer.items()
        }
        for name, layer in shapes.items()
    }
    layers.finish()
    return Weights(network, params)


def _read(path: Path) -> Layers:
    """The arrays of a model of TensorFlow.js."""
    text = read_bytes(path)
    arrays = {}
    try:
        for group in json.loads(text)["weightsManifest"]:
            data = b"".join(_shard(path, name) for name in group["paths"])
            at = 0
            for entry in group["weights"]:
                shape = tuple(int(side) for side in entry["shape"])
                count = int(np.prod(shape))
                coded = entry.get("quantization")
                stored = coded["dtype"] if coded else "float32"
                kind = {"uint8": "u1", "uint16": "<u2", "float32": "<f4"}[stored]
                array = np.frombuffer(data, kind, count, at).reshape(shape)
                at += array.nbytes
                if coded:
                    step, least = np.float32(coded["scale"]), np.float32(coded["min"])
                    if not np.isfinite([step, least]).all():
                        raise ValueError(f"step {step} and least value {least}")
                    array = array * step + least
                arrays[str(entry["name"])] = array.astype(np.float32)
            if at != len(data):
                raise ValueError(f"{len(data) - at} bytes are left")
    except OSError:
        raise
    except Exception as error:  # A damaged file makes the reader raise anything.
        raise ValueError(
            f"{path}: is not a file of {NETWORK}; it must be the model.json of "
            "TensorFlow.js with the file of its weights beside it"
        ) from error
    return Layers(path, arrays, NETWORK)


def _shard(path: Path, name: str) -> bytes:
    """A file of weights, which lies beside the model."""
    if Path(name).name != name or not name.endswith(".bin"):
        raise ValueError(f"{name!r} is no plain name of a file of weights")
    shard = path.with_name(name)
    if not shard.is_file() or shard.stat().st_size > MAX_BYTES:
        raise ValueError(f"{name} is absent or too large")
    return shard.read_bytes()
