"""A normalising flow on SR kernels: the model, its training, its files, the prior."""

from kernelgan_jax.priors.flow.couplings import Flow
from kernelgan_jax.priors.flow.files import load, pretrained, save
from kernelgan_jax.priors.flow.prior import flow
from kernelgan_jax.priors.flow.training import fit

__all__ = ["Flow", "fit", "flow", "load", "pretrained", "save"]
