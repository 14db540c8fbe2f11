"""Blind super-resolution kernel estimation (KernelGAN) in JAX."""

from kernelgan_jax.config import Config, SRConfig
from kernelgan_jax.estimate import (
    KernelEstimate,
    KernelEstimates,
    estimate_kernel,
    estimate_kernels,
)
from kernelgan_jax.kernelgan import (
    Batch,
    Info,
    KernelGAN,
    State,
    generator_kernel,
    kernelgan,
)
from kernelgan_jax.super_resolution import Jump, plan, super_resolve
from kernelgan_jax.version import __version__

__all__ = [
    "Batch",
    "Config",
    "Info",
    "Jump",
    "KernelEstimate",
    "KernelEstimates",
    "KernelGAN",
    "SRConfig",
    "State",
    "__version__",
    "estimate_kernel",
    "estimate_kernels",
    "generator_kernel",
    "kernelgan",
    "plan",
    "super_resolve",
]
