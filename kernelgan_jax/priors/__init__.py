"""Models of the SR kernel as differentiable components (`KernelPrior`), a file each."""

from kernelgan_jax.priors.base import KernelPrior
from kernelgan_jax.priors.deep_linear import deep_linear
from kernelgan_jax.priors.flow import flow
from kernelgan_jax.priors.gaussian import gaussian, generalised_gaussian
from kernelgan_jax.priors.motion import motion
from kernelgan_jax.priors.penalties import PENALTY_WEIGHTS, penalty
from kernelgan_jax.priors.simplex import simplex

__all__ = [
    "PENALTY_WEIGHTS",
    "KernelPrior",
    "deep_linear",
    "flow",
    "gaussian",
    "generalised_gaussian",
    "motion",
    "penalty",
    "simplex",
]
