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
    generator_prior,
    kernelgan,
)
from kernelgan_jax.prior import KernelPrior
from kernelgan_jax.resize import downscale, downscale_adjoint, downscale_inverse
from kernelgan_jax.spectral import estimate_spectral
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
    "KernelPrior",
    "SRConfig",
    "State",
    "__version__",
    "downscale",
    "downscale_adjoint",
    "downscale_inverse",
    "estimate_kernel",
    "estimate_kernels",
    "estimate_spectral",
    "generator_kernel",
    "generator_prior",
    "kernelgan",
    "plan",
    "super_resolve",
]
