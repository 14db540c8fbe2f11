"""Blind super-resolution kernel estimation in JAX: spectral likelihood, KernelGAN."""

from kernelgan_jax.config import BEST, Config, SRConfig
from kernelgan_jax.estimate import (
    KernelEstimates,
    estimate_kernel,
    estimate_kernels,
)
from kernelgan_jax.kernel_estimate import Confidence, KernelEstimate
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
from kernelgan_jax.super_resolution import Jump, heed_noise, plan, super_resolve
from kernelgan_jax.version import __version__

__all__ = [
    "BEST",
    "Batch",
    "Confidence",
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
    "heed_noise",
    "kernelgan",
    "plan",
    "super_resolve",
]
