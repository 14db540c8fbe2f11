"""Blind super-resolution kernel estimation (KernelGAN) in JAX."""

from kernelgan_jax.config import Config
from kernelgan_jax.estimate import KernelEstimate, estimate_kernel
from kernelgan_jax.kernelgan import (
    Batch,
    Info,
    KernelGAN,
    State,
    generator_kernel,
    kernelgan,
)
from kernelgan_jax.version import __version__

__all__ = [
    "Batch",
    "Config",
    "Info",
    "KernelEstimate",
    "KernelGAN",
    "State",
    "__version__",
    "estimate_kernel",
    "generator_kernel",
    "kernelgan",
]
