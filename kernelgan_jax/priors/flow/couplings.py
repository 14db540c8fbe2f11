"""The normalising flow itself: the map between kernels and noise."""

import dataclasses
import math
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.exact_products import matmul

FLOOR = 1e-3
"""Share of a uniform kernel that is mixed in, as no kernel value may be 0."""


@dataclasses.dataclass(frozen=True, eq=False)
class Flow:
    """A trained flow, whose methods are pure functions of one vector or kernel.

    Methods compute in the precision of their argument.

    Attributes:
      shape: (h, w) of the kernels.
      scale: Scale that the kernels are aligned for.
      mean: `h*w`, mean of the logarithms of the (floored) kernels.
      basis: `h*w x d`, d = h*w - 1, principal directions of the logarithms,
        orthonormal.
      deviations: `d`, standard deviations along the principal directions.
      params: Parameters of the couplings.

    Example:
      >>> from kernelgan_jax.priors.flow import pretrained
      >>> model = pretrained()
      >>> kernel = model.kernel(jnp.zeros(model.size))
      >>> kernel.shape, round(float(kernel.sum()), 5)
      ((13, 13), 1.0)
    """

    shape: tuple[int, int]
    scale: int
    mean: np.ndarray
    basis: np.ndarray
    deviations: np.ndarray
    params: Any

    @property
    def size(self) -> int:
        """Number d of components of a latent vector."""
        return len(self.deviations)

    def kernel(self, latent: jax.Array) -> jax.Array:
        """The kernel of a latent vector.

        Args:
          latent: `d` numbers.

        Returns:
          `h x w`, non-negative, sum 1.

        Raises:
          ValueError: If the vector has another length.
        """
        if latent.shape != (self.size,):
            raise ValueError(
                f"latent has shape {latent.shape}; it must be {(self.size,)}"
            )
        white, _ = self._couplings(latent, backwards=True)
        mean, basis, deviations = self._whitening(latent.dtype)
        logits = mean + matmul(basis, white * deviations)
        values = jax.nn.relu(jax.nn.softmax(logits) - FLOOR / logits.size)
        return (values / values.sum()).reshape(self.shape)

    def latent(self, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The latent vector whose `kernel` is the given one.

        Args:
          kernel: `h x w`. Negative values count as 0, and it is divided by its sum.

        Returns:
          The latent vector, `d`, and the log-determinant of the map from log-ratios to
          it.

        Raises:
          ValueError: If the kernel has another shape than the flow's.
        """
        return self._from_logarithms(_floored_logarithms(kernel, self.shape))

    def log_prob(self, kernel: jax.Array) -> jax.Array:
        """Logarithm of the density of a kernel.

        This is the density of the kernel's log-ratios, after a little of a uniform
        kernel is mixed in: a density with respect to Aitchison's measure on positive
        vectors of sum 1, not to Lebesgue's. Gradients are finite everywhere.

        Args:
          kernel: `h x w`. Negative values count as 0, and it is divided by its sum.

        Raises:
          ValueError: If the kernel has another shape than the flow's.
        """
        return self._log_density(_floored_logarithms(kernel, self.shape))

    def _log_density(self, logarithms: jax.Array) -> jax.Array:
        latent, log_det = self._from_logarithms(logarithms)
        normal = -0.5 * (latent @ latent) - 0.5 * self.size * math.log(2 * math.pi)
        return normal + log_det

    def _from_logarithms(self, logarithms: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean, basis, deviations = self._whitening(logarithms.dtype)
        # The basis is orthogonal to (1, ..., 1): the kernel's sum does not matter.
        ratios = matmul(basis.T, logarithms - mean)
        white = ratios / deviations
        latent, log_det = self._couplings(white, backwards=False)
        return latent, log_det - jnp.log(deviations).sum()

    def _whitening(self, dtype: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        mean, basis, deviations = (
            jnp.asarray(x, dtype) for x in (self.mean, self.basis, self.deviations)
        )
        return mean, basis, deviations

    def _couplings(
        self, x: jax.Array, *, backwards: bool
    ) -> tuple[jax.Array, jax.Array]:
        # Flax takes a tenth of a second, and other priors do without.
        from kernelgan_jax.priors.flow.networks import Couplings

        depth = len(self.params) // 2
        hidden = self.params["scale_0"]["Dense_0"]["bias"].shape[-1]
        params = jax.tree.map(lambda p: jnp.asarray(p, x.dtype), self.params)
        network = Couplings(depth, hidden)
        mapped = network.apply({"params": params}, x, backwards=backwards)
        return cast(tuple[jax.Array, jax.Array], mapped)


def _floored_logarithms(kernel: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Logarithms, `h*w`, of a kernel with a little of a uniform one mixed in."""
    if kernel.shape != shape:
        raise ValueError(f"kernel has shape {kernel.shape}; it must be {shape}")
    positive = jnp.maximum(kernel.reshape(-1), 0)
    total = positive.sum()
    # A kernel whose sum is almost 0 counts as uniform: its gradients would overflow.
    counts = total > float(jnp.finfo(positive.dtype).eps ** 2)
    positive = positive / jnp.where(counts, total, 1)
    return jnp.log((1 - FLOOR) * positive + FLOOR / positive.size)
