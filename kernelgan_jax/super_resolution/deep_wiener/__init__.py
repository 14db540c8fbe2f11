"""Super-resolution by a trained network, for any kernel of up to 41 x 41.

`apply(params, image, kernel, scale=..., noise_std=..., kernel_std=..., jpeg=...)` is
the network as a pure function; `weights.load` reads its parameters; `train` is the
program that makes them.
"""

from kernelgan_jax.super_resolution.deep_wiener.model import apply, init
from kernelgan_jax.super_resolution.deep_wiener.network import DeepWiener, Params

__all__ = ["DeepWiener", "Params", "apply", "init"]
