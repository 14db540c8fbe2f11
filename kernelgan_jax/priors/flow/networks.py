"""The networks of the couplings, in Flax."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn


class MLP(nn.Module):
    """Three dense layers; the last starts at zero, so that a coupling is the identity.

    Attributes:
      hidden: Width of the two hidden layers.
      out: Number of outputs.
      relu: Whether the hidden units are ReLUs; otherwise they are tanh units.
    """

    hidden: int
    out: int
    relu: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        activation = nn.relu if self.relu else jnp.tanh
        for _ in range(2):
            x = activation(nn.Dense(self.hidden)(x))
        return nn.Dense(self.out, kernel_init=nn.initializers.zeros)(x)


class Couplings(nn.Module):
    """A chain of affine couplings, from data to noise, or backwards.

    Each scales and shifts one part of the vector by functions of the other part: tanh
    networks give the logarithm of the scale, ReLU networks the shift.

    Attributes:
      depth: Number of couplings.
      hidden: Hidden units of the couplings' networks.
    """

    depth: int
    hidden: int

    @nn.compact
    def __call__(self, x: jax.Array, *, backwards: bool) -> tuple[jax.Array, jax.Array]:
        """Maps a vector of `d` numbers; also gives the log-determinant of the map."""
        log_det = jnp.zeros((), x.dtype)
        order, bits = range(self.depth), (len(x) - 1).bit_length()
        for i in reversed(order) if backwards else order:
            # Components are separated by the bits of their index, lowest first, so that
            # the first ones, which vary most, soon depend on each other.
            bit = (np.arange(len(x)) >> (i // 2 % bits)) & 1
            given, changed = (np.flatnonzero(bit == (i + n) % 2) for n in (0, 1))
            size, condition, part = len(changed), x[given], x[changed]
            log_scale = MLP(self.hidden, size, False, name=f"scale_{i}")(condition)
            shift = MLP(self.hidden, size, True, name=f"shift_{i}")(condition)
            if backwards:
                part, log_scale = (part - shift) * jnp.exp(-log_scale), -log_scale
            else:
                part = part * jnp.exp(log_scale) + shift
            x = x.at[changed].set(part)
            log_det += log_scale.sum()
        return x, log_det
