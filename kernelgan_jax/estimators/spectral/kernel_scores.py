"""The scores of the second look: small networks, as NumPy arrays.

Differences of scores are expected differences of PSNR, dB.
`kernelgan_jax.app.second_look.train` trains them.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

WEIGHTS = Path(__file__).parent / "second_look.npz"
"""The weights of the package, float16."""


class Network(NamedTuple):
    """Small networks with one hidden layer; their scores are averaged."""

    mean: np.ndarray
    """`INPUTS`: means of the inputs."""
    deviation: np.ndarray
    """`INPUTS`: their standard deviations."""
    hidden: np.ndarray
    """`N x INPUTS x H`."""
    offset: np.ndarray
    """`N x H`."""
    output: np.ndarray
    """`N x H`."""

    def scores(self, inputs: np.ndarray) -> np.ndarray:
        """The score of each kernel of a `Look`, the mean over the parts: `K`."""
        given = np.clip((inputs - self.mean) / self.deviation, -5, 5)
        hidden = np.einsum("pki,nih->npkh", given, self.hidden)
        hidden = np.tanh(hidden + self.offset[:, None, None])
        return np.einsum("npkh,nh->npk", hidden, self.output).mean((0, 1))


@functools.cache
def network() -> Network:
    """The network of the package."""
    with np.load(WEIGHTS) as file:
        return Network(*(file[name].astype(np.float32) for name in Network._fields))
