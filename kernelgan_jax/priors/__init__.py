"""Models of the SR kernel as differentiable components, for KernelGAN and for others.

A `KernelPrior` is a NamedTuple of pure functions: `init` makes parameters, `kernel`
makes a kernel from them, `penalty` and `log_prob` measure how plausible a kernel is. To
estimate a kernel, minimise anything that depends on it over the parameters:

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from kernelgan_jax import downscale, priors
    >>> model = priors.simplex(13)
    >>> hr, lr, noise_std = jnp.ones((40, 40)), jnp.ones((20, 20)), 1 / 255
    >>> def loss(params):
    ...     kernel = model.kernel(params)
    ...     misfit = ((downscale(hr, kernel, 2) - lr) ** 2).sum() / (2 * noise_std**2)
    ...     return misfit + sum(model.penalty(kernel).values())
    >>> params = model.init(jax.random.key(0))
    >>> value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    >>> gradient.shape
    (13, 13)

A penalty, everywhere in the project, is a function of a kernel that returns weighted
terms by name (`Penalty`); `penalty` is KernelGAN's. "Prior" means a model of kernels.

Nothing here is jitted; all of it can be, under `vmap`, `grad` (twice), `checkpoint` and
in `scan`. Kernels follow the convention of `kernelgan_jax.kernels`, and are aligned for
the prior's scale where the prior has an alignment. Computation is in the precision of
the parameters: for float64, cast what `init` gives.
"""

from kernelgan_jax.priors.base import KernelPrior, Penalty
from kernelgan_jax.priors.curved_motion import curved_motion
from kernelgan_jax.priors.deep_linear import deep_linear
from kernelgan_jax.priors.flow import flow
from kernelgan_jax.priors.gaussian import gaussian, generalised_gaussian
from kernelgan_jax.priors.motion import motion
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, penalty
from kernelgan_jax.priors.simplex import simplex

__all__ = [
    "PENALTY_WEIGHTS",
    "KernelPrior",
    "Penalty",
    "curved_motion",
    "deep_linear",
    "flow",
    "gaussian",
    "generalised_gaussian",
    "motion",
    "penalty",
    "simplex",
]
