"""TODO docstring."""

from kernelgan_jax import blur_kernels
from kernelgan_jax.config import Config
from kernelgan_jax.priors.base import KernelPrior
from kernelgan_jax.priors.deep_linear import deep_linear
from kernelgan_jax.priors.flow.prior import flow
from kernelgan_jax.priors.gaussian import gaussian
from kernelgan_jax.priors.simplex import simplex

FLOW_START = 2.7
"""Variance, pixels^2, of the round Gaussian near which the flow starts: the middle of
those that it was trained on."""


def generator_prior(config: Config) -> KernelPrior:
    """The kernel prior that the settings choose for the generator."""
    if config.prior == "deep_linear":
        layers, channels = config.generator_kernels, config.generator_channels
        return deep_linear(filters=layers, channels=channels)
    if config.prior == "flow":
        # Training moves it little, so that a random start would decide the result.
        size, variances = config.kernel_size, (FLOW_START, FLOW_START)
        return flow(start=blur_kernels.gaussian(size, variances=variances, scale=2))
    make = {"simplex": simplex, "gaussian": gaussian}[config.prior]
    return make(config.kernel_size)
