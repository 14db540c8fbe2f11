"""The generators: kernel priors by the names in `KernelGANConfig.prior`."""

from collections.abc import Callable
from typing import Any

import jax

from kernelgan_jax import blur_kernels, priors
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.kernelgan.start import meta_learned
from kernelgan_jax.priors import KernelPrior

FLOW_START = 2.7
"""Variance, pixels^2, of the round Gaussian near which the flow starts: the middle of
those that it was trained on."""


def _deep_linear(config: KernelGANConfig) -> KernelPrior:
    channels = config.generator_channels
    prior = priors.deep_linear(filters=config.generator_kernels, channels=channels)
    if config.start == "meta":
        return prior._replace(init=lambda key: meta_learned().generator)
    return prior


def _flow(config: KernelGANConfig) -> KernelPrior:
    # Training moves the flow little, so that a random start would decide the result.
    size, variances = config.kernel_size, (FLOW_START, FLOW_START)
    start = blur_kernels.gaussian(size, variances=variances, scale=2)
    return priors.flow(start=start)


GENERATORS: dict[str, Callable[[KernelGANConfig], KernelPrior]] = {
    "deep_linear": _deep_linear,
    "flow": _flow,
    "gaussian": lambda config: priors.gaussian(config.kernel_size),
    "generalised_gaussian": lambda config: priors.generalised_gaussian(
        config.kernel_size
    ),
    "motion": lambda config: priors.motion(config.kernel_size),
    "simplex": lambda config: priors.simplex(config.kernel_size),
}


def generator_prior(config: KernelGANConfig) -> KernelPrior:
    """The kernel prior that the settings choose for the generator.

    Example:
      >>> import jax
      >>> from kernelgan_jax.estimators.kernelgan import (
      ...     KernelGANConfig, generator_prior,
      ... )
      >>> prior = generator_prior(KernelGANConfig(prior="simplex"))
      >>> prior.kernel(prior.init(jax.random.key(0))).shape
      (13, 13)
    """
    if not isinstance(config, KernelGANConfig):
        raise ValueError(f"config is {config!r}; it must be a KernelGANConfig")
    return GENERATORS[config.prior](config)


def check_generator(generator: Any, size: int) -> None:
    """Checks that a value is a kernel prior for kernels of a size.

    Args:
      generator: The value, of any type.
      size: Side of the kernels.

    Raises:
      ValueError: If it is not.

    Example:
      >>> check_generator(priors.gaussian(15), 13)
      Traceback (most recent call last):
        ...
      ValueError: generator makes kernels of shape (15, 15); it must be (13, 13)
    """
    if not isinstance(generator, KernelPrior):
        raise ValueError(f"generator is {generator!r}; it must be a KernelPrior")

    def kernel(key: jax.Array) -> jax.Array:
        return generator.kernel(generator.init(key))

    shape = jax.eval_shape(kernel, jax.random.key(0)).shape
    if shape != (size, size):
        raise ValueError(
            f"generator makes kernels of shape {shape}; it must be {(size, size)}"
        )
